/*
 * hiredis' own helper checks the certificate's chain but not its name, so the SSL object is made here, with
 * the name to verify, and given to hiredis.
 */
#include "queue/redis_tls.h"

#include <errno.h>
#include <stdio.h>

#include "queue/redis_url.h"

#ifdef ISOQ_HAVE_TLS

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* The name, or the address, which the certificate must be made out to. */
static int expect_peer(SSL *ssl, const char *host) {
  unsigned char address[sizeof(struct in6_addr)];
  if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
  return SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
}

int redis_tls_start(struct redisContext *c, const struct redis_url *url, char *error, size_t error_size) {
  SSL *ssl = NULL;
  int r = -EPROTO;
  snprintf(error, error_size, "%s: TLS could not be set up", url->display);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) ||
      !SSL_CTX_set_default_verify_paths(context))
    goto out;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  ssl = SSL_new(context); /* holds the context from here */
  if (!ssl || !expect_peer(ssl, url->host)) goto out;
  if (redisInitiateSSL(c, ssl) != REDIS_OK) {
    snprintf(error, error_size,
             "%s: TLS: %s; is it a TLS port, and its certificate known here (SSL_CERT_FILE)?", url->display,
             c->errstr);
    goto out;
  }
  ssl = NULL; /* hiredis' own now */
  r = 0;
out:
  SSL_free(ssl);
  SSL_CTX_free(context);
  return r;
}

#else

int redis_tls_start(struct redisContext *c, const struct redis_url *url, char *error, size_t error_size) {
  (void)c;
  snprintf(error, error_size, "%s: this isoq was built without TLS; use redis:// through a tunnel",
           url->display);
  return -ENOTSUP;
}

#endif
