"""Stands between a broker and an executor: makes a program for `executor_path` that starts the real executor, hands every
byte on, and keeps a copy of what the broker sent and of what the executor sent. The executor sits on descriptor 3
(worker/spawn.h)."""
import os
import sys

PROGRAM = '''#!{python} -IS
import os, select, socket, subprocess, sys
broker = socket.socket(fileno=3)
ours, theirs = socket.socketpair()

def place():
    os.dup2(theirs.fileno(), 3)
    os.set_inheritable(3, True)

if theirs.fileno() == 3:
    raise SystemExit("descriptor 3 is taken")
executor = subprocess.Popen([{executor!r}, *sys.argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            env=dict(os.environ), close_fds=False, preexec_fn=place)
theirs.close()
copies = {{broker: open({folder!r} + "/to-executor." + str(os.getpid()), "wb", 0),
          ours: open({folder!r} + "/to-broker." + str(os.getpid()), "wb", 0)}}
other = {{broker: ours, ours: broker}}
for one in other:
    one.setblocking(True)
while True:
    for one in select.select(list(other), [], [])[0]:
        try:
            data = one.recv(65536)
            copies[one].write(data)
            other[one].sendall(data)
        except OSError:
            data = b""
        if not data:
            executor.kill()
            executor.wait()
            os._exit(0)
'''


def make_relay(folder, executor):
    """The path of the program; its copies are folder/to-executor.PID and folder/to-broker.PID."""
    path = os.path.join(folder, 'relay')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(PROGRAM.format(python=sys.executable, executor=executor, folder=folder))
    os.chmod(path, 0o700)
    return path


def copies(folder):
    """{name: bytes}"""
    found = {}
    for name in os.listdir(folder):
        if name.startswith(('to-executor.', 'to-broker.')):
            with open(os.path.join(folder, name), 'rb') as file:
                found[name] = file.read()
    return found
