# SPDX-License-Identifier: GPL-2.0-only
"""What servers and clients say to each other in these tests."""
import contextlib
import hashlib
import socket
import struct
import threading
import time

CHUNK = 1 << 16


def accepting(serve):
    """Loop for a listening socket: serve(connection, peer) in a thread each."""
    def one(connection, peer):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            serve(connection, peer)

    def loop(listener):
        while True:
            connection, peer = listener.accept()
            threading.Thread(target=one, args=(connection, peer), daemon=True).start()
    return loop


def http(connection, peer):
    """Answers with the address of the client that it sees."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(CHUNK)
    body = ("you are %s\n" % peer[0]).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" %
                       len(body) + body)


def echo(connection, peer):
    while True:
        data = connection.recv(CHUNK)
        if not data:
            return
        connection.sendall(data)


def who(connection, peer):
    """Says whom it sees, then echoes."""
    connection.sendall(("%s %d\n" % peer[:2]).encode())
    echo(connection, peer)


def udp_echo(sock):
    """Echoes behind the sender's address."""
    while True:
        data, peer = sock.recvfrom(CHUNK)
        sock.sendto(("%s %d " % peer[:2]).encode() + data, peer)


def random_block(seed):
    """A MiB of bytes that differs by seed."""
    return hashlib.shake_128(b"%d" % seed).digest(1 << 20)


def send_bulk(sock, megabytes):
    digest = hashlib.sha256()
    block = random_block(megabytes)
    for n in range(megabytes):
        chunk = struct.pack("!I", n) + block[4:]
        digest.update(chunk)
        sock.sendall(chunk)
    return digest.hexdigest()


def receive_bulk(sock, size):
    digest = hashlib.sha256()
    while size:
        data = sock.recv(min(size, 1 << 18))
        if not data:
            break
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()


def swap_bulk(sock, megabytes):
    """Sends and receives at once: digests of what was sent and of what came."""
    sent = []
    sender = threading.Thread(target=lambda: sent.append(send_bulk(sock, megabytes)))
    sender.start()
    received = receive_bulk(sock, megabytes << 20)
    sender.join()
    return sent[0], received


def swapping(megabytes, digests):
    """What accepting() serves where check_swap() calls."""
    def serve(connection, peer):
        digests.append(swap_bulk(connection, megabytes))
        connection.sendall(b"!")
    return serve


def check_swap(sock, megabytes, digests):
    """Every byte arrives, both ways at once."""
    sock.settimeout(120)
    sent, received = swap_bulk(sock, megabytes)
    assert sock.recv(1) == b"!"
    assert (received, sent) == digests.pop()


def dial(space, address, port, timeout=20, sport=None):
    sock = space.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.settimeout(timeout)
    try:
        if sport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", sport))
        sock.connect((address, port))
        return sock
    except BaseException:
        sock.close()
        raise


def ask(sock, text):
    """Sends a line and waits for its echo."""
    sock.sendall(text)
    answer = b""
    while len(answer) < len(text):
        data = sock.recv(CHUNK)
        if not data:
            break
        answer += data
    return answer


class Numbered:
    """Numbered datagrams from space to address, steadily, until stopped."""

    def __init__(self, space, address, port, pause=0.0005):
        self.sock = space.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                                 socket.SOCK_DGRAM)
        self.to, self.pause, self.sent, self.running = (address, port), pause, 0, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.running:
            self.sock.sendto(struct.pack("!I", self.sent), self.to)
            self.sent += 1
            time.sleep(self.pause)

    def stop(self):
        self.running = False
        self.thread.join()
        self.sock.close()


class Collector:
    """Receives numbered datagrams: which came, how often."""

    def __init__(self):
        self.seen = {}

    def loop(self, sock):
        sock.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
        while True:
            number, = struct.unpack("!I", sock.recv(64))
            self.seen[number] = self.seen.get(number, 0) + 1
