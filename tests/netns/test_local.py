# SPDX-License-Identifier: GPL-2.0-only
"""The target `local`: this host's own services on another port, in every mode. Answers
are translated at tc's egress, where nothing else of ours has been."""
import socket

import pytest
import talk
import wire
from network import CLIENT, SIDES

PORT, SERVICE = 8080, 80


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp_dial(space, address, port):
    sock = space.socket(family(address), socket.SOCK_DGRAM)
    sock.settimeout(20)
    sock.connect((address, port))
    return sock


def line_of(sock):
    """Up to its end, and no byte more."""
    line = b""
    while not line.endswith(b"\n"):
        line += sock.recv(1)
    return line.decode().split()


def add(xdnat, listener="%d:local:%d" % (PORT, SERVICE), proto="tcp+udp"):
    """Without an address: for both families."""
    xdnat("rule", "add", "%s/%s" % (listener, proto), "name=own")


def check_answers(seen, router):
    """All that came from there came from the listener, with right checksums; how many."""
    frames = [one for one in seen if one.ends and one.ends[0][0] == router]
    assert {one.ends[0][1] for one in frames} == {PORT}
    assert all(one.has_right_checksum() for one in frames)
    return len(frames)


@SIDES
def test_tcp(network, shared, service, client, router, server):
    """The service sees the client itself; bulk both ways arrives whole, and every
    answer has a right checksum, finished or not."""
    bulk = talk.BothWays(3)

    def serve(connection, peer):
        connection.sendall(("%s %d\n" % peer[:2]).encode())
        bulk.serve(connection, peer)

    add(shared)
    service(network.router, talk.accepting(serve), SERVICE, router)
    with wire.Tap(network.client, "eth0") as tap, \
            talk.dial(network.client, router, PORT) as sock:
        assert line_of(sock) == [client, str(sock.getsockname()[1])]
        bulk.run(sock)
        assert check_answers(tap.seen(), router) > 20


@SIDES
def test_udp(network, shared, service, client, router, server):
    """All sizes, and an answer that is as large as a packet may be."""
    add(shared)
    service(network.router, talk.udp_echo, SERVICE, router, kind=socket.SOCK_DGRAM)
    with wire.Tap(network.client, "eth0") as tap, \
            udp_dial(network.client, router, PORT) as sock:
        saying = ("%s %d " % (client, sock.getsockname()[1])).encode()
        sizes = 0, 1, 2, 3, 511, 512, 1000, 1500 - (48 if ":" in client else 28) - len(saying)
        for size in sizes:
            sock.send(b"x" * size)
            assert sock.recv(65536) == saying + b"x" * size
        assert check_answers(tap.seen(), router) == len(sizes)


@SIDES
def test_last_hop(network, shared, service, client, router, server):
    """T056: what has one hop left is delivered, as this host takes nothing off it."""
    add(shared)
    service(network.router, talk.udp_echo, SERVICE, router, kind=socket.SOCK_DGRAM)
    with udp_dial(network.client, router, PORT) as sock:
        if ":" in client:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        for said in b"new", b"known":
            sock.send(said)
            assert sock.recv(100).endswith(said)


def send_much(sock):
    """Answers with more than fits a packet, and then with what it was asked."""
    while True:
        data, peer = sock.recvfrom(100)
        sock.sendto(b"x" * 4000, peer)
        sock.sendto(data, peer)


@SIDES
def test_answers_in_fragments(network, shared, service, client, router, server):
    """They cannot be translated: no piece that names the service's port comes out."""
    add(shared)
    service(network.router, send_much, SERVICE, router, kind=socket.SOCK_DGRAM)
    with wire.Tap(network.client, "eth0") as tap, \
            udp_dial(network.client, router, PORT) as sock:
        sock.send(b"say much")
        assert sock.recv(65536) == b"say much"
        ports = [one.ends[0][1] for one in tap.seen() if one.ends and one.ends[0][0] == router]
    assert SERVICE not in ports and PORT in ports


@SIDES
def test_checksums_that_the_card_does_not_finish(network, shared, service, client, router, server):
    """The kernel finishes them behind tc: the client's kernel then checks them."""
    add(shared)
    service(network.router, talk.accepting(talk.who), SERVICE, router)
    service(network.router, talk.udp_echo, SERVICE, router, kind=socket.SOCK_DGRAM)
    network.router.run("ethtool", "-K", "wan", "tx", "off")
    try:
        with wire.Tap(network.client, "eth0") as tap, \
                talk.dial(network.client, router, PORT) as sock, \
                udp_dial(network.client, router, PORT) as datagrams:
            assert line_of(sock)[0] == client
            assert talk.ask(sock, b"short: not joined") == b"short: not joined"
            datagrams.send(b"hello")
            assert datagrams.recv(100).endswith(b" hello")
            check_answers(tap.seen(), router)
            assert not any(one.is_partial for one in tap.seen() if one.source == router)
    finally:
        network.router.run("ethtool", "-K", "wan", "tx", "on")


def test_removed_rule_keeps_its_flows(network, shared, service):
    """They go on; what is new finds nobody. Killed, they end."""
    router = "203.0.113.1"
    add(shared)
    service(network.router, talk.accepting(talk.who), SERVICE, router)
    service(network.router, talk.udp_echo, SERVICE, router, kind=socket.SOCK_DGRAM)
    with talk.dial(network.client, router, PORT) as sock, \
            udp_dial(network.client, router, PORT) as datagrams:
        datagrams.send(b"before")
        assert datagrams.recv(100).endswith(b" before") and line_of(sock)[0] == CLIENT
        shared("rule", "del", "own")
        datagrams.send(b"after")
        assert datagrams.recv(100).endswith(b" after")
        assert talk.ask(sock, b"after" * 1000) == b"after" * 1000
        with pytest.raises(ConnectionRefusedError):
            talk.dial(network.client, router, PORT)
    add(shared)
    with talk.dial(network.client, router, PORT) as sock:
        assert line_of(sock)[0] == CLIENT
        shared("rule", "del", "own", "--flows", "kill")
        sock.sendall(b"more")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


@SIDES
def test_nobody_listens(network, shared, client, router, server):
    """The host's refusal comes from where the client knocked: RST, port unreachable."""
    add(shared)
    with pytest.raises(ConnectionRefusedError):
        talk.dial(network.client, router, PORT)
    with wire.Tap(network.client, "eth0") as tap, \
            udp_dial(network.client, router, PORT) as sock:
        sock.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(100)
        error, = [one for one in tap.seen() if one.quoted and one.quoted.ends]
        assert error.source == router
        assert error.quoted.ends == (sock.getsockname()[:2], (router, PORT))
        assert error.has_right_header() and error.quoted.has_right_header()


@pytest.mark.parametrize("loopback, router", [("127.0.0.1", "203.0.113.1"),
                                              ("::1", "2001:db8::1")], ids=["v4", "v6"])
def test_services_on_loopback_only(network, shared, service, loopback, router):
    """They are out of reach, as `xdnat help grammar` says."""
    add(shared)
    service(network.router, talk.accepting(talk.who), SERVICE, loopback)
    with pytest.raises(ConnectionRefusedError):
        talk.dial(network.client, router, PORT)
    assert "127.0.0.1 only are out of reach" in " ".join(
        shared("help", "grammar").stdout.split())


def test_from_the_other_side(network, shared, service):
    """Clients of each loaded interface; beside them the service's own port."""
    add(shared, "*:%d:local:%d" % (PORT, SERVICE))
    service(network.router, talk.accepting(talk.who), SERVICE)
    for space, address, seen in ((network.server, "10.0.0.1", "10.0.0.5"),
                                 (network.client, "203.0.113.1", CLIENT)):
        for port in PORT, SERVICE:
            with talk.dial(space, address, port) as sock:
                assert line_of(sock)[0] == seen
                assert talk.ask(sock, b"hello" * 500) == b"hello" * 500
