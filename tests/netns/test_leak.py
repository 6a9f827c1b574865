# SPDX-License-Identifier: GPL-2.0-only
"""The leak guard at the way out: what a target sends without a flow never shows its
private address to clients (T168), and what else the kernel sends is left alone (T075)."""
import contextlib
import itertools
import os
import socket

import bpf
import pytest
import talk
import wire
import world as w
from network import SIDES, rule

PORT, SERVICE, OTHER = 8080, 80, 81
SPORTS = itertools.count(6000)  # one after the other: ports of ended connections wait
MANY = 20
# Global addresses of the target, which nobody need hide.
GLOBAL = {"10.0.0.5": "198.51.100.5", "fd00::5": "2001:db8:1::5"}

# What the way out decides alone: these modes stand for all.
SOME_MODES = pytest.mark.parametrize("loaded_once", ["native", "generic"], indirect=True)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp(space, address, port=0):
    """Bound, or connected if it is another's address."""
    sock = space.socket(family(address), socket.SOCK_DGRAM)
    sock.settimeout(20)
    sock.bind((address, port))
    return sock


@contextlib.contextmanager
def conversation(network, client, listener, target, port=SERVICE):
    """A client and its target have exchanged datagrams: (sockets, whom the target
    sees)."""
    with udp(network.client, client) as ours, udp(network.server, target, port) as theirs:
        ours.sendto(b"hello", (listener, PORT))
        data, peer = theirs.recvfrom(100)
        theirs.sendto(data, peer)
        assert ours.recvfrom(100)[:1] == (b"hello",)
        yield ours, theirs, peer


@contextlib.contextmanager
def flows_of_no_life(xdnat):
    """What has no packet for a tick has expired."""
    config = bpf.pinned(xdnat.pin("xdnat_config"))
    before = bpf.value(config, bytes(4))
    bpf.set_lifetimes(config, 0)
    yield
    bpf.update(config, bytes(4), before)
    os.close(config)


def leaked(xdnat, *also):
    return sum(row["packets"] for row in xdnat.json("stats")["reasons"]
               if row["reason"] in ("leak", *also))


def stopped(xdnat, tap, send, server, *also):
    """What is sent is dropped, all of it, by its name; nothing of it is seen. also:
    another name that it may be dropped by."""
    before = leaked(xdnat, *also)
    for _ in range(MANY):
        send()
    w.wait(lambda: leaked(xdnat, *also) >= before + MANY, "they have been dropped")
    assert not [one for one in tap.seen() if one.source == server]
    assert "leak" in xdnat("stats").stdout


def add(xdnat, router, server, proto):
    xdnat("rule", "add", rule(router, PORT, server, SERVICE, proto), "name=guarded")


def dial_from(network, sport, address, port, timeout=20):
    return talk.dial(network.client, address, port, timeout, sport=sport)


@SIDES
def test_udp_target_goes_on_after_its_flow(network, shared, client, router, server):
    """T168: flushed, then expired; the client revives it each time."""
    add(shared, router, server, "udp")
    with wire.Tap(network.client, "eth0") as tap, \
            conversation(network, client, router, server) as (ours, theirs, peer):
        def send():
            theirs.sendto(b"more", peer)

        shared("flow", "flush", "--yes")
        stopped(shared, tap, send, server)
        ours.sendto(b"again", (router, PORT))
        assert theirs.recv(100) == b"again"
        send()
        assert ours.recvfrom(100)[1][:2] == (router, PORT)
        with flows_of_no_life(shared):
            w.wait(lambda: shared("flow", "list", "--json").stdout == "", "it has expired")
            stopped(shared, tap, send, server, "expired")


@SIDES
def test_tcp_target_goes_on_after_its_flow(network, shared, service, client, router, server):
    """T168: its segments are held back until the client's next one brings the flow back."""
    accepted = []
    add(shared, router, server, "tcp")
    service(network.server, talk.accepting(lambda connection, peer: (
        accepted.append(connection), talk.echo(connection, peer))), SERVICE, server)
    with wire.Tap(network.client, "eth0") as tap, \
            talk.dial(network.client, router, PORT) as sock:
        assert talk.ask(sock, b"before") == b"before"
        before = leaked(shared)
        shared("flow", "flush", "--yes")
        accepted[0].sendall(b"unasked")
        w.wait(lambda: leaked(shared) >= before + 2, "it was dropped, and sent again")
        assert not [one for one in tap.seen() if one.source == server]
        sock.sendall(b"here I am")
        answer = b""
        while len(answer) < 16:
            answer += sock.recv(100)
        assert answer == b"unaskedhere I am"
        assert not [one for one in tap.seen() if one.source == server]


@SOME_MODES
@SIDES
def test_guard_ends_with_its_rule(network, shared, service, client, router, server):
    """The port is nobody's target any more: direct conversations work."""
    add(shared, router, server, "tcp")
    service(network.server, talk.accepting(talk.who), SERVICE, server)
    before = leaked(shared)
    with pytest.raises(TimeoutError):
        dial_from(network, 0, server, SERVICE, 0.3)
    assert leaked(shared) > before
    shared("rule", "del", "guarded")
    with dial_from(network, 0, server, SERVICE) as sock:
        assert sock.makefile().readline().split()[0] == client


@SIDES
def test_direct_connection(network, shared, service, client, router, server):
    """T075: with the target's port itself, from the same port of the client: the guard
    takes its answers for what they look like. The one through the rule works, be it the
    first or the second."""
    sport = next(SPORTS)
    add(shared, router, server, "tcp")
    service(network.server, talk.accepting(talk.who), SERVICE, server)
    with wire.Tap(network.client, "eth0") as tap:
        before = leaked(shared)
        with pytest.raises(TimeoutError):
            dial_from(network, sport, server, SERVICE, 0.3)
        assert leaked(shared) > before
        with dial_from(network, sport, router, PORT) as sock:
            assert sock.makefile().readline() == "%s %d\n" % (client, sport)
            with pytest.raises(TimeoutError):
                dial_from(network, sport, server, SERVICE, 0.3)
            assert talk.ask(sock, b"hello" * 1000) == b"hello" * 1000
        assert not [one for one in tap.seen() if one.source == server]
    assert "leak" in shared("stats").stdout


@SIDES
def test_direct_datagrams(network, shared, client, router, server):
    """T075: the same by UDP."""
    add(shared, router, server, "udp")
    with wire.Tap(network.client, "eth0") as tap, udp(network.client, client) as ours, \
            udp(network.server, server, SERVICE) as theirs:
        ours.sendto(b"directly", (server, SERVICE))
        data, peer = theirs.recvfrom(100)
        stopped(shared, tap, lambda: theirs.sendto(data, peer), server)
        ours.sendto(b"by the rule", (router, PORT))
        data, peer = theirs.recvfrom(100)
        theirs.sendto(data, peer)
        assert ours.recvfrom(100)[1][:2] == (router, PORT)
        ours.sendto(b"directly", (server, SERVICE))
        data, peer = theirs.recvfrom(100)
        theirs.sendto(data, peer)
        assert ours.recvfrom(100)[1][:2] == (router, PORT)
        assert not [one for one in tap.seen() if one.source == server]


@SOME_MODES
@SIDES
def test_what_is_not_guarded(network, shared, service, client, router, server):
    """Other ports of the target, other protocols of the port; each packet as the kernel
    sends it. And what comes in, by whatever interface."""
    add(shared, router, server, "tcp")
    before = leaked(shared)
    service(network.server, talk.accepting(talk.who), OTHER, server)
    service(network.server, talk.udp_echo, SERVICE, server, kind=socket.SOCK_DGRAM)
    service(network.client, talk.accepting(talk.who), OTHER, client)
    with talk.dial(network.client, server, OTHER) as sock:
        assert sock.makefile().readline().split()[0] == client
    with udp(network.client, client) as ours:
        ours.sendto(b"hello", (server, SERVICE))
        assert ours.recv(100).endswith(b" hello")
    with talk.dial(network.server, client, OTHER) as sock:
        assert sock.makefile().readline().split()[0] == server
    assert leaked(shared) == before


@SOME_MODES
@SIDES
def test_global_target(network, shared, client, router, server):
    """Its address is no secret: what it sends without a flow is routed, and a direct
    conversation with it goes on."""
    target = GLOBAL[server]
    bits = 128 if ":" in target else 32
    network.server.ip("addr", "add", "%s/%d" % (target, bits), "dev", "eth0")
    network.router.ip("route", "add", "%s/%d" % (target, bits), "via", server, "dev", "lan")
    try:
        add(shared, router, target, "udp")
        before = leaked(shared)
        with conversation(network, client, router, target) as (ours, theirs, peer):
            shared("flow", "flush", "--yes")
            theirs.sendto(b"unasked", peer)
            assert ours.recvfrom(100)[:1] == (b"unasked",)
            ours.sendto(b"directly", (target, SERVICE))
            data, peer = theirs.recvfrom(100)
            theirs.sendto(data, peer)
            assert ours.recvfrom(100)[1][:2] == (target, SERVICE)
        assert leaked(shared) == before
    finally:
        network.router.ip("route", "del", "%s/%d" % (target, bits))
        network.server.ip("addr", "del", "%s/%d" % (target, bits), "dev", "eth0")


@SIDES
def test_errors_about_targets(network, shared, client, router, server):
    """A target's port unreachable comes as the listener's, about the listener; without
    a flow it does not come."""
    add(shared, router, server, "udp")
    with wire.Tap(network.client, "eth0") as tap, udp(network.client, client) as ours:
        ours.connect((router, PORT))
        ours.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            ours.recv(100)
        error, = [one for one in tap.seen() if one.quoted and one.quoted.ends]
        assert error.source == router
        assert error.quoted.ends == (ours.getsockname()[:2], (router, PORT))
        assert error.has_right_header() and error.quoted.has_right_header()
    with wire.Tap(network.client, "eth0") as tap, udp(network.client, client) as ours:
        before = leaked(shared)
        ours.sendto(b"directly", (server, SERVICE))
        w.wait(lambda: leaked(shared) > before, "the leak guard has dropped it")
        assert not [one for one in tap.seen() if one.source == server or one.quoted]
