# SPDX-License-Identifier: GPL-2.0-only
"""T167: what a rule or a live flow names and nobody can forward yet, or at all, is never
answered by this host itself: no reset, no "unreachable". Meanwhile transfers go on.
In each mode; auto is tc here (test_modes.py)."""
import contextlib
import itertools
import json
import os
import signal
import socket
import threading
import time

import packets as p
import pytest
import talk
import world as w
from network import CLIENT, CLIENT6, Network, ROUTER, ROUTER6, SERVER, SERVER6
from refusals import Wire
from test_tc import BACK_SEC, has_own

FLOWS = 1024
LAN_MTU = 1400
# Ports of the router: forwarded, to nobody, to nowhere, by no rule.
TCP_PORT, UDP_PORT, ABSENT_PORT, UNROUTED_PORT, CLOSED_PORT = 8080, 5300, 8099, 8098, 9
ABSENT, ABSENT6 = "10.0.0.99", "fd00::99"
UNROUTED, UNROUTED6 = "198.51.100.5", "2001:db8:5::5"
SIDES = {"v4": (CLIENT, ROUTER, SERVER, ABSENT, UNROUTED),
         "v6": (CLIENT6, ROUTER6, SERVER6, ABSENT6, UNROUTED6)}
XDP_MODES = "native", "generic"


class Stream:
    """A connection whose echo is compared, block after block, until it is stopped."""

    def __init__(self, space, address):
        self.sock = talk.dial(space, address, TCP_PORT)
        self.blocks, self.fault, self.stopping = 0, None, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping.wait(0.005):
                block = talk.random_block(self.blocks)[:32768]
                if talk.ask(self.sock, block) != block:
                    raise ValueError("block %d came back as another" % self.blocks)
                self.blocks += 1
        except (OSError, ValueError) as fault:
            self.fault = fault

    def goes_on(self):
        before = self.blocks
        w.wait(lambda: self.fault or self.blocks > before + 1, "the transfer goes on")
        assert not self.fault, self.fault

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.sock.close()


def rules():
    for name, (_, _, server, absent, unrouted) in SIDES.items():
        for port, target, to, proto in ((TCP_PORT, server, 80, "tcp"),
                                        (UDP_PORT, server, 53, "udp"),
                                        (ABSENT_PORT, absent, 80, "tcp+udp"),
                                        (UNROUTED_PORT, unrouted, 80, "tcp+udp")):
            yield "%d:%s:%d/%s name=%s-%d\n" % (
                port, "[%s]" % target if name == "v6" else target, to, proto, name, port)


class Side:
    """One family's: servers, a transfer, a flow of TCP and one of UDP that live."""

    def __init__(self, world, name, stack):
        self.name, self.world = name, world
        self.client, self.router, server = SIDES[name][:3]
        space = world.network.server
        for loop, port, kind in ((talk.accepting(talk.echo), 80, socket.SOCK_STREAM),
                                 (talk.udp_echo, 53, socket.SOCK_DGRAM)):
            stack.callback(w.serve(space, loop, port, server, kind=kind).stop)
        space = world.network.client
        self.tcp = stack.enter_context(talk.dial(space, self.router, TCP_PORT))
        self.udp = stack.enter_context(space.socket(self.tcp.family, socket.SOCK_DGRAM))
        self.udp.settimeout(20)
        self.udp.connect((self.router, UDP_PORT))
        self.stream = Stream(space, self.router)
        stack.callback(lambda: self.stream.stop())
        self.are_alive()

    def transfer_anew(self):
        self.stream.stop()
        self.stream = Stream(self.world.network.client, self.router)
        self.stream.goes_on()

    def are_alive(self):
        assert talk.ask(self.tcp, b"alive?") == b"alive?"
        question = b"alive? %d" % next(self.world.ports)
        self.udp.send(question)
        while not self.udp.recv(2000).endswith(question):
            pass  # answers to what was sent by hand
        self.stream.goes_on()

    def packet(self, port, proto, sport=None):
        return p.Packet(src=self.client, dst=self.router, sport=sport or next(self.world.ports),
                        dport=port, proto=proto, dmac=self.world.mac,
                        smac="02:00:00:00:01:09", payload=b"x" * 40 if proto == p.UDP else b"")

    def of_rule(self):
        return [self.packet(TCP_PORT, p.TCP), self.packet(UDP_PORT, p.UDP)]

    def of_flow(self):
        return [self.packet(TCP_PORT, p.TCP, self.tcp.getsockname()[1]).with_(
                    flags=p.ACK | p.PSH, payload=b"y" * 40),
                self.packet(UDP_PORT, p.UDP, self.udp.getsockname()[1])]

    def of_either(self):
        return self.of_rule() + self.of_flow()

    def to(self, port):
        """Without a flow, several of each protocol."""
        return [self.packet(port, proto) for proto in (p.TCP, p.UDP) for _ in range(5)]


class World:
    """Loaded in a mode, with everything that sends."""

    def __init__(self, network, mode, stack):
        self.network, self.mode = network, mode
        self.ports = itertools.count(10000)
        self.mac = network.router.mac("wan")
        network.set_offloads(mode not in XDP_MODES)
        self.xdnat = w.Xdnat(network.router, "h")
        stack.callback(self.xdnat.destroy)
        self.xdnat("load", "wan", "lan", "--mode", mode, "--flows", FLOWS)
        self.xdnat("rule", "add", "-", stdin="".join(rules()))
        self.wire = Wire(network.client, "eth0")
        stack.callback(self.wire.close)
        self.sides = {name: Side(self, name, stack) for name in SIDES}

    def counts(self):
        found = {}
        for row in self.xdnat.json("stats")["reasons"]:
            found[row["reason"]] = found.get(row["reason"], 0) + row["packets"]
        return found

    def answers(self, side):
        """What has been refused to the client by now, which is asked by what must be:
        packets for a port that nothing listens on."""
        datagram, syn = (side.packet(CLOSED_PORT, proto) for proto in (p.UDP, p.TCP))
        self.wire.send(datagram, syn)
        found = self.wire.refusals(lambda one: one.client_port == syn.sport)
        assert found.pop().kind == "reset"
        told = [one for one in found if one.client_port == datagram.sport]
        assert [one.kind for one in told] == ["unreachable"], found
        return [one for one in found if one not in told and one.source == side.router]

    def is_silent_about(self, side, packets, reason, count):
        """Sends them; reason is counted for so many and nobody answers."""
        before = self.counts()
        self.wire.send(*packets)
        assert not self.answers(side)
        w.wait(lambda: self.counts()[reason] >= before[reason] + count,
               "%d counted as %s" % (count, reason), 5)
        for one in self.sides.values():
            one.stream.goes_on()


@pytest.fixture(scope="module")
def network():
    """Of their own: what leads to the targets takes less, and the kernel, asked for an
    answer, gives it at any rate."""
    made = Network.__new__(Network)
    try:
        made.__init__("h")
        made.router.sysctl("ipv4.icmp_ratelimit=0", "ipv6.icmp.ratelimit=0",
                           "ipv4.neigh.lan.retrans_time_ms=100",
                           "ipv6.neigh.lan.retrans_time_ms=100")
        made.router.ip("link", "set", "lan", "mtu", LAN_MTU)
        made.server.ip("link", "set", "eth0", "mtu", LAN_MTU)
        made.router.ip("route", "add", "unreachable", UNROUTED)
        made.router.ip("-6", "route", "add", "unreachable", UNROUTED6)
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module", params=["native", "generic", "tc"])
def world(request, network):
    with contextlib.ExitStack() as stack:
        yield World(network, request.param, stack)


@pytest.fixture(params=list(SIDES))
def side(request, world):
    return world.sides[request.param]


def fragments(packet, at):
    """Two of them; the first has so much behind the IP header."""
    whole, ident = packet.transport(), packet.sport
    parts = (whole[:at], 0, True), (whole[at:], at // 8, False)
    if not packet.is_v6:
        return [packet.with_(l4=part, ident=ident, fragment=offset | (p.MF if more else 0))
                for part, offset, more in parts]
    return [packet.with_(l4=part, extensions=(
        (p.FRAGMENT, p.fragment_header(offset, more, ident)),)) for part, offset, more in parts]


def with_extensions(packet):
    kinds = ((p.HOP_BY_HOP, p.pad_options()), (p.DEST_OPTS, p.pad_options(2)),
             (p.ROUTING, p.routing_header(0)))
    return [packet.with_(extensions=some) for some in (*((kind,) for kind in kinds), kinds)]


def with_options(packet):
    return [packet.with_(options=options) for options in (
        b"\1\1\1\0",                            # nothing but padding
        b"\x94\4\0\0",                          # router alert
        b"\7\7\4" + bytes(4) + b"\0",           # record route
        b"\x83\7\4" + p.address(SERVER) + b"\0")]   # loose source route


def is_tcp(packet):
    return packet.proto == p.TCP


def too_big(packet):
    """Larger by one than the way out takes; IPv4 with and without "don't fragment"."""
    header = (40 if packet.is_v6 else 20) + (20 if is_tcp(packet) else 8)
    big = packet.with_(payload=b"z" * (LAN_MTU + 1 - header))
    return [big] if packet.is_v6 else [big, big.with_(fragment=0)]


def cut(packet):
    """A header that says more, or less, than there is."""
    if is_tcp(packet):
        return [packet.with_(doff_lie=4), packet.with_(doff_lie=15, payload=b""),
                packet.with_(l4=packet.transport()[:12])]
    return [packet.with_(udp_length_lie=7), packet.with_(udp_length_lie=4000),
            packet.with_(l4=packet.transport()[:6])]


BAD_FLAGS = (0, p.FIN, p.SYN | p.FIN, p.SYN | p.RST, p.RST, p.SYN | p.ACK, p.FIN | p.PSH | p.URG)

# name: (families, what is sent, the reason that it is counted under, for how many of it;
# 0: all).
CLASSES = {
    "options": ("v4", Side.of_either, with_options, "ip_options"),
    "extension headers": ("v6", Side.of_either, with_extensions, "ext_headers"),
    "fragments": ("v4 v6", Side.of_either, lambda one: fragments(one.with_(payload=b"f" * 80), 48),
                  "fragment"),
    "tiny first fragment": ("v4 v6", Side.of_either,
                            lambda one: fragments(one.with_(payload=b"f" * 80), 8), "fragment"),
    "TTL": ("v4 v6", Side.of_either, lambda one: [one.with_(ttl=1), one.with_(ttl=0)], "ttl"),
    "too big": ("v4 v6", Side.of_either, too_big, "too_big"),
    "cut": ("v4 v6", Side.of_either, cut, "malformed"),
    "bad flags": ("v4 v6", lambda side: filter(is_tcp, side.of_rule()),
                  lambda one: [one.with_(flags=flags) for flags in BAD_FLAGS], "tcp_flags"),
    "bad flags in a flow": ("v4 v6", lambda side: filter(is_tcp, side.of_flow()),
                            lambda one: [one.with_(flags=flags) for flags in BAD_FLAGS],
                            "forwarded"),
    "header checksum": ("v4", Side.of_rule, lambda one: [one.with_(ip_corrupt=1)],
                        "header_checksum"),
    "no UDP checksum": ("v6", lambda side: side.of_either()[1::2],
                        lambda one: [one.with_(l4_check_lie=0)], "udp6_checksum"),
    "broadcast": ("v4 v6", Side.of_either, lambda one: [one.with_(dmac="ff:ff:ff:ff:ff:ff")],
                  "other_mac"),
    "no route": ("v4 v6", lambda side: side.to(UNROUTED_PORT), lambda one: [one], "no_route"),
}
ROWS = [(name, family) for name in CLASSES for family in CLASSES[name][0].split()]


@pytest.mark.parametrize("name, family", ROWS, ids=["%s-%s" % row for row in ROWS])
def test_dropped(world, name, family):
    """T167: each under its reason, and in silence."""
    side = world.sides[family]
    _, chosen, vary, reason = CLASSES[name]
    sent = [one for packet in chosen(side) for one in vary(packet)]
    count = len(sent) // 2 if "fragment" in name else len(sent)
    world.is_silent_about(side, sent, reason, count)
    side.are_alive()


def test_priority_tag(world, side):
    """T167: XDP hands it on, tc forwards it."""
    sent = [one.with_(vlans=((0x8100, 0x6000),)) for one in side.of_either()]
    reason = "to_tc_priority_tag" if world.mode in XDP_MODES else "forwarded"
    world.is_silent_about(side, sent, reason, len(sent))


def test_absent_neighbour(world, side):
    """T167, T133: XDP hands on what is for a target that is not there, tc has the kernel
    ask for it, and nobody tells the client, then or when the kernel gives up."""
    sent = side.to(ABSENT_PORT)
    reason = "to_tc_neighbour" if world.mode in XDP_MODES else "forwarded"
    absent, before = SIDES[side.name][3], world.counts()["to_tc_neighbour"]
    world.is_silent_about(side, sent, reason, len(sent))
    w.wait(lambda: "FAILED" in world.network.router.ip("neigh", "show", absent), "given up", 10)
    world.is_silent_about(side, sent, reason, len(sent))
    if world.mode in XDP_MODES:
        assert world.counts()["to_tc_neighbour"] == before + 2 * len(sent), "they went in circles"
    told = json.loads(world.xdnat("--json").stdout)["problems"]
    assert any(one["problem"] == "no_neighbour" and absent in one["text"] for one in told), told


def test_full_table(world, side):
    """T167: no room for a flow among those in use."""
    before = world.counts()["table_full"]
    try:
        for _ in range(10):
            world.wire.send(*(side.packet(UDP_PORT, p.UDP) for _ in range(FLOWS)))
            if world.counts()["table_full"] > before + FLOWS // 2:
                break
        world.is_silent_about(side, side.of_rule() * 5, "table_full", 5)
    finally:
        world.xdnat("flow", "kill", "rule=%s-%d" % (side.name, UDP_PORT))


def delete_clsact(world):
    world.network.router.run("tc", "qdisc", "del", "dev", "wan", "clsact")


@pytest.mark.parametrize("world", XDP_MODES, indirect=True)
def test_without_filters_and_daemon(world, side):
    """T167: nobody puts the filters back for now. XDP forwards, and what it hands on
    reaches nobody; once the daemon looks again, tc has it."""
    router, daemon = world.network.router, world.xdnat.daemon()
    tagged = [one.with_(vlans=((0x8100, 0x6000),)) for one in side.of_either()]
    os.kill(daemon, signal.SIGSTOP)
    try:
        delete_clsact(world)
        world.is_silent_about(side, side.to(ABSENT_PORT), "to_tc_neighbour", 10)
        world.is_silent_about(side, tagged, "to_tc_priority_tag", len(tagged))
        side.are_alive()
        assert not has_own(router, "wan")
    finally:
        os.kill(daemon, signal.SIGCONT)
        w.wait(lambda: has_own(router, "wan"), "they are back", BACK_SEC)
    world.is_silent_about(side, tagged, "to_tc_priority_tag", len(tagged))


def refused_meanwhile(world, side, is_over):
    """Sends what no rule can take, a packet a millisecond, until is_over() has been true
    for a while: when each was refused."""
    refused, ended = [], None
    while not ended or time.monotonic() < ended + 0.2:
        world.wire.send(side.packet(TCP_PORT, p.TCP).with_(flags=p.SYN | p.FIN))
        refused += [time.monotonic() for one in world.wire.waiting(0.001) if one.port == TCP_PORT]
        if not ended and is_over():
            ended = time.monotonic()
    return refused


def test_deleted_clsact(world, side, capsys):
    """T167: it is back in time. Where XDP stands nobody is refused meanwhile and transfers
    go on; where it does not, the host answers for so long as there is no filter."""
    deleted = []
    deleting = threading.Thread(target=lambda: deleted.append(delete_clsact(world)))
    deleting.start()
    refused = refused_meanwhile(world, side, lambda: not deleting.is_alive() and
                                has_own(world.network.router, "wan"))
    assert deleted, "tc has failed"
    if world.mode in XDP_MODES:
        assert not refused
    else:
        window = refused[-1] - refused[0] if refused else 0
        assert window < BACK_SEC
        with capsys.disabled():
            print("\n%s: without clsact the host answered for %.0f ms" % (
                world.mode, 1e3 * window))
        for one in world.sides.values():
            one.transfer_anew()
    for one in world.sides.values():
        one.stream.goes_on()
    assert not world.answers(side)
