# SPDX-License-Identifier: GPL-2.0-only
"""What servers and clients really take for the other's largest segment, and rules that
make it smaller."""
import contextlib
import socket
import struct

import talk
from network import ROUTER, ROUTER6, SERVER, SERVER6
from talks import rule

LAN_MTU = 1400
TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28
TIMESTAMPS = 12                 # bytes that every segment has less
HEADERS = {False: 40, True: 60}
# Port: the rule's keys, and the largest segment that it leaves of 1500 less headers.
RULES = {
    7000: (["mss=1300"], lambda headers: 1300),
    7001: (["mss=9000"], lambda headers: 1500 - headers),
    7002: (["mss=auto"], lambda headers: LAN_MTU - headers),
    7003: (["mss=1220", "mode=masquerade"], lambda headers: 1220),
    7004: ([], lambda headers: 1500 - headers),
}


def add_rules(xdnat):
    xdnat("rule", "add", "-", stdin="".join(
        rule(listener, port, server, port, "tcp", *keys) + "\n"
        for port, (keys, _) in RULES.items()
        for listener, server in ((ROUTER, SERVER), (ROUTER6, SERVER6))))


@contextlib.contextmanager
def narrow_lan(network):
    """The way to the target has a smaller MTU than the client's."""
    network.router.ip("link", "set", "lan", "mtu", LAN_MTU)
    try:
        yield
    finally:
        network.router.ip("link", "set", "lan", "mtu", 1500)


def announced(segment):
    """The MSS option of a SYN, IP header and all; None without one."""
    tcp = segment[40:] if segment[0] >> 4 == 6 else segment[(segment[0] & 15) * 4:]
    options = tcp[20:(tcp[12] >> 4) * 4]
    while options and options[0]:
        if options[0] == 2:
            return struct.unpack_from("!H", options, 2)[0]
        options = options[1:] if options[0] == 1 else options[options[1]:]
    return None


def send_mss(sock):
    """How much the kernel puts in a segment (struct tcp_info)."""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64), 16)[0]


def expect_bulk(near, far):
    """Segments of that size fit, both ways."""
    far.settimeout(20)
    for here, there in (near, far), (far, near):
        here.sendall(talk.random_block(1)[:50000])
        got = b""
        while len(got) < 50000:
            got += there.recv(50000)
        assert got == talk.random_block(1)[:50000]


def expect_mss(network, client, listener, server, port):
    """The server reads it in the client's SYN, the client in the server's SYN-ACK."""
    limit = RULES[port][1](HEADERS[":" in server])
    with network.server.socket(socket.AF_INET6 if ":" in server else socket.AF_INET) as waiting:
        waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        waiting.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
        waiting.settimeout(20)
        waiting.bind((server, port))
        waiting.listen()
        with talk.dial(network.client, listener, port) as near:
            far, _ = waiting.accept()
            with far:
                syn = far.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 200)
                assert announced(syn) == limit
                assert send_mss(near) == limit - TIMESTAMPS
                assert send_mss(far) == limit - TIMESTAMPS
                if limit <= LAN_MTU - HEADERS[":" in server]:
                    expect_bulk(near, far)
