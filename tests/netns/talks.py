# SPDX-License-Identifier: GPL-2.0-only
"""Conversations whose server says whom it sees, over TCP and UDP alike."""
import contextlib
import socket
import struct

import talk

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def rule(listener, port, target, target_port, proto, *keys):
    """A rule's line; listener "" leaves it unbound."""
    form = "[%s]:%d" if ":" in target else "%s:%d"
    line = form % (listener, port) if listener else "%d" % port
    return " ".join([line + ":" + form % (target, target_port) + "/" + proto, *keys])


def serve(service, space, port, proto, address):
    loop = talk.udp_echo if proto == "udp" else talk.accepting(talk.who)
    started = service(space, loop, port, address, kind=KINDS[proto])
    started.sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: all speak at once
    return started


def sock_at(space, proto, source, sport=0):
    """A socket of the space, bound."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sock = space.socket(family, KINDS[proto])
    sock.settimeout(20)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((source, sport))
    return sock


class Talk:
    """Begins it. seen: (address, port) that the server sees."""

    def __init__(self, space, proto, source, listener, port, sport=0):
        self.sock, self.proto = sock_at(space, proto, source, sport), proto
        try:
            self.sock.connect((listener, port))
            if proto == "udp":
                self.sock.send(b"hello")
                line = self.sock.recv(2000)
            else:
                line = b""
                while not line.endswith(b"\n"):
                    line += self.sock.recv(1)
        except BaseException:
            self.sock.close()
            raise
        seen = line.decode().split()
        self.seen = seen[0], int(seen[1])

    def say(self, text):
        self.sock.sendall(text)

    def hear(self, text):
        """What comes back is what was said, and the server still sees the same."""
        if self.proto == "udp":
            whom = ("%s %d " % self.seen).encode()
            assert self.sock.recv(2000) == whom + text
            return
        got = b""
        while len(got) < len(text):
            data = self.sock.recv(len(text) - len(got))
            assert data, "it ended"
            got += data
        assert got == text

    def exchange(self, text):
        self.say(text)
        self.hear(text)

    def close(self):
        self.sock.close()

    def abandon(self):
        """Without a FIN, which would take the conversation up again."""
        if self.proto == "tcp":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


@contextlib.contextmanager
def closing():
    """begin(...): a Talk, closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda *words: stack.enter_context(contextlib.closing(Talk(*words)))
