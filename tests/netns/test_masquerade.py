# SPDX-License-Identifier: GPL-2.0-only
"""Masquerading between real stacks: many clients with one source port, a one-armed
relay, hairpin; what the command says of it, and who follows addresses and ports."""
import contextlib
import itertools
import os
import socket

import bpf
import pytest
import talk
import world as w
from network import CLIENT, CLIENT6, ROUTER, ROUTER6, SERVER, SERVER6

CLIENTS = 64
SPORTS = itertools.count(5000)  # one after the other: ports of ended connections wait
RELAY, RELAY6 = "203.0.113.50", "2001:db8::50"
INSIDE, INSIDE6 = "10.0.0.77", "fd00::77"
FAMILIES = pytest.mark.parametrize("is_v6", [False, True], ids=["v4", "v6"])
PROTOS = pytest.mark.parametrize("proto", ["tcp", "udp"])


def rule(listener, port, target, proto):
    form = "[%s]:%d:[%s]:%d/%s" if ":" in target else "%s:%d:%s:%d/%s"
    return form % (listener, port, target, port, proto)


@contextlib.contextmanager
def addresses(space, device, *addresses):
    for address in addresses:
        space.ip("addr", "add", address + ("/64" if ":" in address else "/24"), "dev", device,
                 *(["nodad"] if ":" in address else []))
    try:
        yield addresses
    finally:
        for address in addresses:
            space.ip("addr", "del", address + ("/64" if ":" in address else "/24"), "dev",
                     device)


def serve(service, space, port, proto, address):
    if proto == "tcp":
        service(space, talk.accepting(talk.who), port, address)
    else:
        service(space, talk.udp_echo, port, address, kind=socket.SOCK_DGRAM)


def begin(space, proto, source, listener, port, sport=0):
    """Opens a conversation and says hello: (socket, whom the server sees)."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sock = space.socket(family, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    sock.settimeout(20)
    sock.bind((source, sport))
    sock.connect((listener, port))
    if proto == "tcp":
        line = b""
        while not line.endswith(b"\n"):
            line += sock.recv(1)
    else:
        sock.send(b"hello")
        line = sock.recv(2000)
    return sock, line.decode().split()[:2]


def exchange(sock, proto, text):
    """What comes back is what was sent."""
    if proto == "tcp":
        assert talk.ask(sock, text) == text
    else:
        sock.send(text)
        assert sock.recv(2000).split(b" ", 2)[2] == text


@FAMILIES
@PROTOS
def test_many_clients_with_one_source_port(network, loaded, service, is_v6, proto):
    """T073: each gets its own answers; the server sees one address and many ports."""
    server, listener = (SERVER6, ROUTER6) if is_v6 else (SERVER, ROUTER)
    loaded("rule", "add", rule(listener, 7000, server, proto), "mode=masquerade")
    serve(service, network.server, 7000, proto, server)
    sport = next(SPORTS)
    names = [("2001:db8::1:%x" if is_v6 else "203.0.113.%d") % (n + 100) for n in range(CLIENTS)]
    with addresses(network.client, "eth0", *names), contextlib.ExitStack() as stack:
        talks = []
        for name in names:
            sock, seen = begin(network.client, proto, name, listener, 7000, sport)
            stack.enter_context(sock)
            talks.append((sock, name, tuple(seen)))
        assert {seen[0] for _, _, seen in talks} == {"fd00::1" if is_v6 else "10.0.0.1"}
        assert len({seen for _, _, seen in talks}) == CLIENTS
        for turn in range(3):
            for sock, name, _ in talks:
                exchange(sock, proto, ("I am %s, turn %d " % (name, turn)).encode() * 20)


@pytest.fixture
def passing(network):
    """A veth takes what XDP_TX sends only if its own end has a program."""
    program = bpf.load_pass()
    with network.client.entered():
        link = bpf.link_xdp(program, socket.if_nametoindex("eth0"))
    yield
    os.close(link)
    os.close(program)


@FAMILIES
@PROTOS
def test_one_armed_relay(network, xdnat, service, passing, is_v6, proto):
    """One interface; client and target are both beyond it, as before a game server. The
    target sees the relay."""
    relay, listener, client = (RELAY6, ROUTER6, CLIENT6) if is_v6 else (RELAY, ROUTER, CLIENT)
    xdnat("load", "wan", "--mode", "native")
    xdnat("rule", "add", rule(listener, 7000, relay, proto), "mode=masquerade")
    with addresses(network.client, "eth0", relay):
        serve(service, network.client, 7000, proto, relay)
        sock, seen = begin(network.client, proto, client, listener, 7000)
        with sock:
            assert seen[0] == listener
            for turn in range(20):
                exchange(sock, proto, b"turn %d " % turn * 50)


@FAMILIES
@PROTOS
def test_hairpin(network, loaded, service, is_v6, proto):
    """A LAN client reaches the server by its public address; clients outside are seen
    as who they are."""
    server, listener, inside, client = ((SERVER6, ROUTER6, INSIDE6, CLIENT6) if is_v6 else
                                        (SERVER, ROUTER, INSIDE, CLIENT))
    loaded("rule", "add", rule(listener, 7000, server, proto), "hairpin=on")
    serve(service, network.server, 7000, proto, server)
    with addresses(network.server, "eth0", inside):
        for space, source, seen_as in ((network.server, inside, "fd00::1" if is_v6 else
                                        "10.0.0.1"), (network.client, client, client)):
            sock, seen = begin(space, proto, source, listener, 7000)
            with sock:
                assert seen[0] == seen_as
                exchange(sock, proto, b"hello from " + source.encode() * 30)


def test_source_follows_the_hosts_addresses(network, native, service):
    """snat= is obeyed; without it the daemon follows the kernel's choice."""
    native("rule", "add", rule(ROUTER, 7000, SERVER, "udp"), "mode=masquerade", "name=m")
    serve(service, network.server, 7000, "udp", SERVER)

    def seen():
        sock, whom = begin(network.client, "udp", CLIENT, ROUTER, 7000)
        sock.close()
        return whom[0]

    assert seen() == "10.0.0.1"
    with addresses(network.router, "lan", "10.0.0.2"):
        native("rule", "replace", "m", rule(ROUTER, 7000, SERVER, "udp"), "mode=masquerade",
               "snat=10.0.0.2")
        assert seen() == "10.0.0.2"
        native("rule", "replace", "m", rule(ROUTER, 7000, SERVER, "udp"), "mode=masquerade")
        assert seen() == "10.0.0.1"
        network.router.ip("route", "change", "10.0.0.0/24", "dev", "lan", "src", "10.0.0.2")
        w.wait(lambda: seen() == "10.0.0.2", "the daemon follows the route")
        network.router.ip("route", "change", "10.0.0.0/24", "dev", "lan", "src", "10.0.0.1")
        w.wait(lambda: seen() == "10.0.0.1", "the daemon follows the route back")


def test_ports_that_may_be_given_out(network, xdnat):
    """--snat-ports is refused where the host uses ports itself; the list follows
    listeners and rules."""
    ephemeral = network.router.run("sysctl", "-n", "net.ipv4.ip_local_port_range").stdout.split()
    first, last = map(int, ephemeral)
    listener = network.router.socket()
    listener.bind(("", 20005))
    listener.listen()
    assert "ip_local_reserved_ports" in xdnat.refused(5, "load", "wan", "--snat-ports",
                                                      "%d-%d" % (first - 10, first))
    assert "20005" in xdnat.refused(5, "load", "wan", "--snat-ports", "20000-20009")
    listener.close()
    xdnat.refused(2, "load", "wan", "--snat-ports", "20009-20000")
    xdnat.refused(2, "load", "wan", "--snat-ports", "20000")
    xdnat("load", "wan", "lan")

    def ports():
        return xdnat.json("status")["masquerade"]["ports"]

    assert 65536 - 1024 - (last - first + 1) - 64 <= ports() <= 65536 - 1024 - (last - first + 1)
    xdnat("load", "--snat-ports", "20000-20009")
    assert ports() == 10
    xdnat("rule", "add", "20003:10.0.0.5:80", "mode=masquerade")
    assert xdnat.json("status")["masquerade"] == {
        "first_port": 20000, "last_port": 20009, "ports": 9, "targets": 1, "capacity": 9}
    assert "9 ports of 20000-20009" in xdnat("status").stdout
    listener = network.router.socket()
    listener.bind(("", 20007))
    listener.listen()
    w.wait(lambda: ports() == 8, "the daemon sees who listens")
    listener.close()
    w.wait(lambda: ports() == 9, "and that nobody does")
    xdnat("load")
    assert ports() == 9


def test_rule_without_a_source(network, native):
    """It is a problem, with its remedy."""
    done = native("rule", "add", "7000:192.0.2.5:80", "mode=masquerade", "snat=10.0.0.250")
    assert "snat=" in done.stderr
    words = {one["problem"] for one in native.json()["problems"]}
    assert "foreign_source" in words
