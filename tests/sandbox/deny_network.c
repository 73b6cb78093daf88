/* No socket but the one, and nothing on it but bytes: no descriptor is passed, no option set. */
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "tests/sandbox/deny.h"

#define DENY_SUBJECT "network"
#define BROKER_FD 3

static char byte;
static struct iovec io = {&byte, 1};

#define DENIED_SOCKET(name, family, type, protocol)                                                          \
  DENIED(name) {                                                                                             \
    return syscall(SYS_socket, family, type, protocol);                                                      \
  }

DENIED_SOCKET(making_a_socket_tcp, AF_INET, SOCK_STREAM, 0)
DENIED_SOCKET(making_a_socket_udp, AF_INET, SOCK_DGRAM, 0)
DENIED_SOCKET(making_a_socket_raw, AF_INET, SOCK_RAW, IPPROTO_ICMP)
DENIED_SOCKET(making_a_socket_tcp6, AF_INET6, SOCK_STREAM, 0)
DENIED_SOCKET(making_a_socket_udp6, AF_INET6, SOCK_DGRAM, 0)
DENIED_SOCKET(making_a_socket_unix, AF_UNIX, SOCK_STREAM, 0)
DENIED_SOCKET(making_a_socket_netlink, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)
DENIED_SOCKET(making_a_socket_netfilter, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER)
DENIED_SOCKET(making_a_socket_packet, AF_PACKET, SOCK_RAW, 0x0300)
DENIED_SOCKET(making_a_socket_vsock, AF_VSOCK, SOCK_STREAM, 0)
DENIED_SOCKET(making_a_socket_kernel_crypto, AF_ALG, SOCK_SEQPACKET, 0)
DENIED_SOCKET(making_a_socket_bluetooth, AF_BLUETOOTH, SOCK_RAW, 1)
DENIED_SOCKET(making_a_socket_can, AF_CAN, SOCK_RAW, 1)
DENIED_SOCKET(making_a_socket_xdp, AF_XDP, SOCK_RAW, 0)
DENIED_SOCKET(making_a_socket_tipc, AF_TIPC, SOCK_STREAM, 0)
DENIED_SOCKET(making_a_socket_of_no_family, 4095, SOCK_STREAM, 0)

DENIED(making_a_pair_of_sockets) {
  int fds[2];

  return syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds);
}
DENIED(connecting_to_the_network) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = 0xEB18 /* 6379 */};

  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return syscall(SYS_connect, BROKER_FD, &address, sizeof(address));
}
DENIED(connecting_to_a_unix_socket) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/docker.sock"};

  return syscall(SYS_connect, BROKER_FD, &address, sizeof(address));
}
DENIED(disconnecting) {
  struct sockaddr address = {.sa_family = AF_UNSPEC};

  return syscall(SYS_connect, BROKER_FD, &address, sizeof(address));
}
DENIED(binding_a_name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};

  return syscall(SYS_bind, BROKER_FD, &address, sizeof(sa_family_t));
}
DENIED(listening) {
  return syscall(SYS_listen, BROKER_FD, 1);
}
#ifdef SYS_accept
DENIED(accepting) {
  return syscall(SYS_accept, BROKER_FD, NULL, NULL);
}
#endif
DENIED(accepting_by_accept4) {
  return syscall(SYS_accept4, BROKER_FD, NULL, NULL, 0);
}
DENIED(passing_a_descriptor) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {
      .header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  struct msghdr message = {
      .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
  int fd = BROKER_FD;

  memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
  return syscall(SYS_sendmsg, BROKER_FD, &message, 0);
}
DENIED(passing_descriptors_in_many_messages) {
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &io, .msg_iovlen = 1}};

  return syscall(SYS_sendmmsg, BROKER_FD, &message, 1, 0);
}
DENIED(receiving_a_descriptor) {
  static char control[64];
  struct msghdr message = {
      .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

  return syscall(SYS_recvmsg, BROKER_FD, &message, MSG_DONTWAIT);
}
DENIED(receiving_descriptors_in_many_messages) {
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &io, .msg_iovlen = 1}};

  return syscall(SYS_recvmmsg, BROKER_FD, &message, 1, MSG_DONTWAIT, NULL);
}
DENIED(sending_to_an_address) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/notify"};

  return syscall(SYS_sendto, BROKER_FD, &byte, 1, MSG_DONTWAIT, &address, sizeof(address));
}
DENIED(sending_out_of_band) {
  return syscall(SYS_sendto, BROKER_FD, &byte, 1, MSG_OOB | MSG_DONTWAIT, NULL, 0);
}
DENIED(receiving_from_an_address) {
  return syscall(SYS_recvfrom, BROKER_FD, &byte, 1, MSG_DONTWAIT | MSG_PEEK, NULL, NULL);
}
DENIED(setting_a_socket_option) {
  int size = 1 << 30;

  return syscall(SYS_setsockopt, BROKER_FD, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}
DENIED(attaching_a_filter_to_the_socket) {
  return syscall(SYS_setsockopt, BROKER_FD, SOL_SOCKET, SO_ATTACH_FILTER, &io, sizeof(io));
}
DENIED(asking_for_a_socket_option) {
  static char credentials[16];
  socklen_t len = sizeof(credentials);

  return syscall(SYS_getsockopt, BROKER_FD, SOL_SOCKET, SO_PEERCRED, credentials, &len);
}
DENIED(asking_who_the_peer_is) {
  struct sockaddr_un address;
  socklen_t len = sizeof(address);

  return syscall(SYS_getpeername, BROKER_FD, &address, &len);
}
DENIED(asking_for_the_name_of_the_socket) {
  struct sockaddr_un address;
  socklen_t len = sizeof(address);

  return syscall(SYS_getsockname, BROKER_FD, &address, &len);
}
DENIED(shutting_the_socket_down) {
  return syscall(SYS_shutdown, BROKER_FD, SHUT_WR);
}
DENIED(asking_for_the_name_of_the_machine) {
  static char names[512];

  return syscall(SYS_uname, names);
}
DENIED(naming_the_machine) {
  return syscall(SYS_sethostname, "", -1L);
}
DENIED(naming_the_domain) {
  return syscall(SYS_setdomainname, "", -1L);
}

REFUSED(making_the_socket_non_blocking_by_ioctl, EBADF) {
  int on = 0;

  return syscall(SYS_ioctl, BROKER_FD, FIONBIO, &on);
}
REFUSED(asking_how_much_can_be_read, EBADF) {
  int count = -7;
  long r = syscall(SYS_ioctl, BROKER_FD, FIONREAD, &count);

  return count == -7 ? r : 1000;
}
REFUSED(typing_into_a_terminal, EBADF) {
  return syscall(SYS_ioctl, 0, TIOCSTI, "x");
}
