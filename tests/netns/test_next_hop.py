# SPDX-License-Identifier: GPL-2.0-only
"""The way to the target changes, or is not there: in each mode flows follow it within
seconds, and what cannot be forwarded says why. (auto is tc here: test_modes.py.)"""
import contextlib
import json
import os
import signal
import socket
import time

import packets as p
import pytest
import talk
import world as w
from network import CLIENT, Network, ROUTER, ROUTER6, SERVER, SERVER6
from refusals import Wire

FOLLOWED_SEC = 3  # a tick, and what a busy machine needs
MOVED_SEC = 8  # a tick for each half, and as long again: TCP waits ever longer
RETRANSMITTED_SEC = 2.5  # TCP's first is after one
TCP_PORT, UDP_PORT = 8080, 5300
TARGETS = {SERVER: ROUTER, SERVER6: ROUTER6}
ROUTED = {SERVER: ("-4", SERVER + "/32"), SERVER6: ("-6", SERVER6 + "/128")}
OLD_MAC, NEW_MAC = "02:00:00:00:02:05", "02:00:00:00:02:55"


class World:
    """A second way to the server, `lan2`, a daemon, and rules for both families."""

    def __init__(self, network, mode, stack):
        self.network, self.mode = network, mode
        self.router, self.server, self.client = network.router, network.server, network.client
        network.set_offloads(mode == "tc")
        self.xdnat = w.Xdnat(network.router, "n")
        stack.callback(self.xdnat.destroy)
        self.xdnat("load", "wan", "lan", "lan2", "--mode", mode)
        self.xdnat("rule", "add", "-", stdin="".join(
            "wan:%d:%s:80\nwan:%d:%s:53/udp\n" % (TCP_PORT, to, UDP_PORT, to)
            for to in (SERVER, "[%s]" % SERVER6)))
        for address in TARGETS:
            for loop, port, kind in ((talk.accepting(talk.echo), 80, socket.SOCK_STREAM),
                                     (talk.udp_echo, 53, socket.SOCK_DGRAM)):
                stack.callback(w.serve(self.server, loop, port, address, kind=kind).stop)

    def count(self, reason):
        return sum(row["packets"] for row in self.xdnat.json("stats")["reasons"]
                   if row["reason"] == reason)

    @contextlib.contextmanager
    def dialled(self):
        """A connection to each target, by its address."""
        with contextlib.ExitStack() as stack:
            yield {target: stack.enter_context(talk.dial(self.client, listener, TCP_PORT))
                   for target, listener in TARGETS.items()}

    @contextlib.contextmanager
    def daemon_stopped(self):
        os.kill(self.xdnat.daemon(), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.xdnat.daemon(), signal.SIGCONT)


@pytest.fixture(scope="module")
def network():
    made = Network.__new__(Network)
    try:
        made.__init__("n")
        w.veth(made.router, "lan2", "02:00:00:00:03:01", made.server, "eth1", "02:00:00:00:03:05")
        for space, device, number in (made.router, "lan2", 1), (made.server, "eth1", 5):
            space.ip("addr", "add", "10.0.3.%d/24" % number, "dev", device)
            space.ip("addr", "add", "fd00:3::%d/64" % number, "dev", device, "nodad")
        for feature in "tx", "txvlan":
            made.server.run("ethtool", "-K", "eth1", feature, "off")
        made.server.run("ethtool", "-K", "eth1", "gro", "on")
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module", params=["native", "generic", "tc"])
def world(request, network):
    with contextlib.ExitStack() as stack:
        yield World(network, request.param, stack)


def still_answers(sock, seconds=FOLLOWED_SEC):
    started = time.monotonic()
    assert talk.ask(sock, b"still there?") == b"still there?"
    assert time.monotonic() - started < seconds


def announce(server):
    """It asks for the router, from its present address."""
    for family, to in (socket.AF_INET, "10.0.0.1"), (socket.AF_INET6, "fd00::1"):
        with server.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", (to, 9))


def test_target_gets_another_mac(world):
    """T131: a server moved: as soon as the router knows, flows follow."""
    def is_known(mac):
        announce(world.server)
        return all(mac in world.router.ip("neigh", "show", target) for target in TARGETS)
    try:
        with world.dialled() as socks:
            world.server.ip("link", "set", "eth0", "address", NEW_MAC)
            w.wait(lambda: is_known(NEW_MAC), "the router knows", 30)
            for sock in socks.values():
                still_answers(sock)
    finally:
        world.server.ip("link", "set", "eth0", "address", OLD_MAC)
        w.wait(lambda: is_known(OLD_MAC), "the router knows", 30)


@pytest.mark.parametrize("state", ["absent", "stale", "delay", "failed"])
def test_first_packet_without_a_neighbour(world, state):
    """T132: the first SYN gets through, or its first retransmission; the daemon sees to
    nothing meanwhile."""
    with world.daemon_stopped():
        for target, listener in TARGETS.items():
            if state == "absent":
                world.router.ip("neigh", "del", target, "dev", "lan")
            else:
                address = ["lladdr", OLD_MAC] if state != "failed" else []
                world.router.ip("neigh", "replace", target, *address, "dev", "lan", "nud", state)
            started, handed_on = time.monotonic(), world.count("to_tc_neighbour")
            with talk.dial(world.client, listener, TCP_PORT) as sock:
                assert time.monotonic() - started < RETRANSMITTED_SEC
                assert talk.ask(sock, b"hello") == b"hello"
            if world.mode != "tc" and state in ("absent", "failed"):
                assert world.count("to_tc_neighbour") > handed_on


def asked(sock):
    """How many ARP requests have come."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            count += sock.recv(100)[20:22] == b"\0\1"
    return count


def test_few_requests_for_many_first_packets(world):
    """T132: a thousand flows begin while the target's MAC address is unknown."""
    with world.server.entered():
        arp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        arp.bind(("eth0", 0x0806))
    arp.setblocking(False)
    wire = Wire(world.client, "eth0")
    frame = p.Packet(src=CLIENT, dst=ROUTER, dport=UDP_PORT, proto=p.UDP,
                     dmac=world.router.mac("wan"), smac="02:00:00:00:01:09", payload=b"first")
    before = world.count("forwarded")
    with world.daemon_stopped(), contextlib.closing(arp), contextlib.closing(wire):
        world.router.ip("neigh", "del", SERVER, "dev", "lan")
        asked(arp)
        wire.send(*(frame.with_(sport=10000 + n) for n in range(1000)))
        w.wait(lambda: world.count("forwarded") >= before + 1000, "all are counted", 10)
        assert 1 <= asked(arp) <= 3
    with world.dialled() as socks:
        still_answers(socks[SERVER])


def held_up(world, socks, reason):
    """Sends until so many packets of the flows are counted for that; bytes of each."""
    before, sent = world.count(reason), 0

    def are_counted():
        nonlocal sent
        for sock in socks.values():
            sock.send(b"wait for it ")
        sent += 12
        return world.count(reason) >= before + 4 * len(socks)
    w.wait(are_counted, "the flows' are counted as " + reason, 10, 0.1)
    return sent


def come_through(socks, count):
    """What was held up is answered."""
    for sock in socks.values():
        left = count
        while left:
            left -= len(sock.recv(left))
        still_answers(sock)


@contextlib.contextmanager
def routes(world, *words):
    """To both targets, for now."""
    with contextlib.ExitStack() as stack:
        for family, prefix in ROUTED.values():
            world.router.ip(family, "route", "add", *words, prefix)
            stack.callback(world.router.ip, family, "route", "del", *words, prefix)
        yield


def test_route_that_leads_nowhere(world):
    """T134: counted as no_route, of flows and of what would begin one; flows go on when
    it is gone."""
    for kind in "blackhole", "unreachable":
        with routes(world, kind):
            for listener in TARGETS.values():
                before = world.count("no_route")
                family = socket.AF_INET6 if ":" in listener else socket.AF_INET
                with world.client.socket(family, socket.SOCK_DGRAM) as sock:
                    sock.sendto(b"nowhere", (listener, UDP_PORT))
                    w.wait(lambda: world.count("no_route") > before, "%s is counted" % kind, 5)
    with world.dialled() as socks:
        with routes(world, "prohibit"):
            sent = held_up(world, socks, "no_route")
        come_through(socks, sent)


def link_packets(space, device):
    """Received there so far."""
    shown, = json.loads(space.ip("-j", "-s", "link", "show", "dev", device))
    return shown["stats64"]["rx"]["packets"]


@contextlib.contextmanager
def other_way(world):
    """Both targets, and their way back, are behind the other interface."""
    ways = {SERVER: ("10.0.3.5", "10.0.3.1", "10.0.0.1"),
            SERVER6: ("fd00:3::5", "fd00:3::1", "fd00::1")}
    with contextlib.ExitStack() as stack:
        for target, (far, near, near_before) in ways.items():
            family, prefix = ROUTED[target]
            world.router.ip(family, "route", "add", prefix, "via", far, "dev", "lan2")
            stack.callback(world.router.ip, family, "route", "del", prefix)
            world.server.ip(family, "route", "replace", "default", "via", near)
            stack.callback(world.server.ip, family, "route", "replace", "default", "via",
                           near_before)
        yield


def test_route_moves_to_another_interface(world):
    """T134: flows go there, too; the server's answers take the same way."""
    with world.dialled() as socks, other_way(world):
        for sock in socks.values():
            still_answers(sock, MOVED_SEC)
        before = link_packets(world.router, "lan2")
        for sock in [*socks.values()] * 20:
            still_answers(sock)
        assert link_packets(world.router, "lan2") >= before + 40


def test_forwarding_off(world):
    """T135: counted as forwarding_off, and `xdnat` names the sysctls."""
    switches = "ipv4.ip_forward", "ipv6.conf.all.forwarding"
    with world.dialled() as socks:
        world.router.sysctl(*(switch + "=0" for switch in switches))
        try:
            sent = held_up(world, socks, "forwarding_off")
            told = world.xdnat().stdout
            assert all("sysctl -w net.%s=1" % switch in told for switch in switches), told
        finally:
            world.router.sysctl(*(switch + "=1" for switch in switches))
        come_through(socks, sent)


def test_listener_follows_its_interface(world):
    """T136: a rule that is bound to an interface listens where that is now."""
    moved = {ROUTER: ("203.0.113.2", "/24"), ROUTER6: ("2001:db8::2", "/64")}

    def connects(address):
        with contextlib.suppress(OSError):
            with talk.dial(world.client, address, TCP_PORT, 0.5) as sock:
                return talk.ask(sock, b"hello") == b"hello"
    for old, (new, bits) in moved.items():
        options = ["nodad"] if ":" in new else []
        world.router.ip("addr", "del", old + bits, "dev", "wan")
        world.router.ip("addr", "add", new + bits, "dev", "wan", *options)
    try:
        for old, (new, bits) in moved.items():
            w.wait(lambda: connects(new), "it listens on the new one", 10)
            assert not connects(old)
    finally:
        for new, bits in moved.values():
            world.router.ip("addr", "del", new + bits, "dev", "wan")
        world.network.configure("wan")
    for old in moved:
        w.wait(lambda: connects(old), "it is back on the old one", 10)
