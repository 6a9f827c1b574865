# SPDX-License-Identifier: GPL-2.0-only
"""A loaded router without anybody around it: its neighbours are permanent
entries, its packets are test runs. A row says what goes in and what must come
out, to the byte; the oracle is packets.translate()."""
import dataclasses
import itertools
import json
import os
import struct

import bpf
import world as w
from halves import Half, Table
from packets import ACK, SYN, TCP, Packet, address, translate

WAN_MAC, GATEWAY_MAC = "02:00:00:00:01:01", "02:00:00:00:01:fe"
LAN_MAC, TARGET_MAC = "02:00:00:00:02:01", "02:00:00:00:02:05"
PEER_MAC = "02:00:00:00:01:50"  # a target on the WAN side
NOBODYS_MAC = bytes.fromhex("0278646e6174")
MTU = 1400                      # of lan
REASONS = bpf.reasons()


@dataclasses.dataclass
class Result:
    action: int
    frame: bytes
    reason: str

    def __str__(self):
        name = {1: "DROP", 2: "PASS", 3: "TX", 4: "REDIRECT"}.get(self.action, self.action)
        return "%s %s %s" % (name, self.reason, self.frame.hex())


class Side:
    """Addresses of one family: a client, the listener, the target behind it."""

    def __init__(self, client, listener, target, one_armed):
        self.client, self.listener = client, listener
        self.target, self.one_armed = target, one_armed


V4 = Side("198.51.100.7", "203.0.113.1", "10.0.0.5", "203.0.113.50")
V6 = Side("2001:db8:7::7", "2001:db8::1", "fd00::5", "2001:db8::50")
PORT, TARGET_PORT = 8080, 80


class Router:
    def __init__(self, suffix="", flows=4096):
        self.ports = itertools.count(20000)
        self.descriptors, self.tables = {}, {}
        self.far = w.Namespace("far" + suffix)
        self.near = w.Namespace("near" + suffix)
        self.xdnat = w.Xdnat(self.near, suffix)
        self._build()
        self.xdnat("load", "wan", "lan", "--mode", "native", "--flows", str(flows),
                   "--no-daemon")
        for proto in "tcp", "udp":
            for side, form in (V4, "%s:%d:%s:%d/%s"), (V6, "[%s]:%d:[%s]:%d/%s"):
                self.xdnat("rule", "add", form % (side.listener, PORT, side.target,
                                                  TARGET_PORT, proto))
        self.ifindex = {name: self.near.ifindex(name) for name in ("wan", "lan")}

    def _build(self):
        far, near = self.far, self.near
        # Silence: what the kernel says of itself would be counted.
        far.sysctl("ipv6.conf.all.disable_ipv6=1", "ipv6.conf.default.disable_ipv6=1")
        near.sysctl("ipv6.conf.default.accept_dad=0", "ipv6.conf.default.accept_ra=0",
                    "ipv6.conf.default.addr_gen_mode=1", "ipv4.ip_forward=1",
                    "ipv6.conf.all.forwarding=1", "ipv6.conf.default.forwarding=1")
        w.veth(near, "wan", WAN_MAC, far, "wan", "02:00:00:00:01:02")
        w.veth(near, "lan", LAN_MAC, far, "lan", "02:00:00:00:02:02")
        for end in far, near:
            end.ip("link", "set", "lan", "mtu", MTU)
        for device in "wan", "lan":
            far.run("ethtool", "-K", device, "gro", "on", check=False)
        near.ip("addr", "add", "203.0.113.1/24", "dev", "wan")
        near.ip("addr", "add", "203.0.113.2/24", "dev", "wan")
        near.ip("addr", "add", "2001:db8::1/64", "dev", "wan", "nodad")
        near.ip("addr", "add", "10.0.0.1/24", "dev", "lan")
        near.ip("addr", "add", "fd00::1/64", "dev", "lan", "nodad")
        near.ip("route", "add", "default", "via", "203.0.113.254")
        near.ip("-6", "route", "add", "default", "via", "2001:db8::fe")
        for neighbour, mac, device in (
                ("203.0.113.254", GATEWAY_MAC, "wan"), ("2001:db8::fe", GATEWAY_MAC, "wan"),
                (V4.target, TARGET_MAC, "lan"), (V6.target, TARGET_MAC, "lan"),
                (V4.one_armed, PEER_MAC, "wan"), (V6.one_armed, PEER_MAC, "wan")):
            near.ip("neigh", "replace", neighbour, "lladdr", mac, "dev", device, "nud",
                    "permanent")

    def remove(self):
        self.tables.clear()
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.xdnat.destroy()
        self.near.remove()
        self.far.remove()

    def pinned(self, name):
        if name not in self.descriptors:
            self.descriptors[name] = bpf.pinned(self.xdnat.pin(name))
        return self.descriptors[name]

    def counters(self):
        """[(packets, bytes)] by reason."""
        size = 16 * bpf.possible_cpus()
        values = bpf.lookup_all(self.pinned("xdnat_stats"), len(REASONS), size)
        return [(sum(words[::2]), sum(words[1::2]))
                for words in struct.iter_unpack("%dQ" % (size // 8), values)]

    def send(self, packet, device="wan"):
        """Runs the program on a Packet or bytes; exactly one reason must count it."""
        frame = packet if isinstance(packet, bytes) else packet.build()
        before = self.counters()
        with self.near.entered():
            action, out = bpf.test_run(self.pinned("xdnat_xdp"), frame, self.ifindex[device])
        changed = {REASONS[n]: (new[0] - old[0], new[1] - old[1])
                   for n, (old, new) in enumerate(zip(before, self.counters())) if old != new}
        assert len(changed) == 1, "not counted exactly once: %s" % changed
        (reason, counts), = changed.items()
        assert counts == (1, len(frame)), "%s counts %s of 1 packet, %d bytes" % (
            reason, counts, len(frame))
        return Result(action, out, reason)

    def burst(self, frames, device="wan"):
        """Runs the program on many frames as fast as it goes: {reason: packets}."""
        before, program = self.counters(), self.pinned("xdnat_xdp")
        with self.near.entered():
            for frame in frames:
                bpf.test_run(program, frame, self.ifindex[device])
        return {REASONS[n]: new[0] - old[0]
                for n, (old, new) in enumerate(zip(before, self.counters())) if old != new}

    def table(self, is_v6):
        """The family's flow table; mapped once, as that takes milliseconds."""
        if is_v6 not in self.tables:
            self.tables[is_v6] = Table(self.pinned, is_v6)
        return self.tables[is_v6]

    def half(self, packet):
        """The half of the packet's tuple, whether it is in the table or not."""
        return Half(self.pinned, packet, self.table(packet.is_v6))

    def has_flow(self, packet):
        """True if the half of the packet's tuple is in the table."""
        return self.half(packet).exists()

    def config(self):
        """(jiffies in a tick, [lifetimes in jiffies])."""
        value = bpf.value(self.pinned("xdnat_config"), bytes(4))
        return struct.unpack_from("I", value, 12)[0], list(struct.unpack_from("5I", value, 28))

    def age(self, ticks, *tuples):
        """The last packets of these halves came so many ticks earlier."""
        for packet in tuples:
            self.half(packet).age(ticks)

    def flows(self, packet):
        """What `flow list` says of the flows of that client's port."""
        listed = map(json.loads, self.xdnat("--json", "flow", "list").stdout.splitlines())
        return [flow for flow in listed if flow["client_port"] == packet.sport and
                address(flow["client"]) == address(packet.src)]

    # What clients and targets send. A fresh client port each, so that rows do
    # not meet each other's flows.
    def original(self, side=V4, proto=TCP, **fields):
        if "sport" not in fields:
            fields["sport"] = next(self.ports)
        fields.setdefault("dport", PORT)
        fields.setdefault("payload", b"" if proto == TCP else b"how are you")
        return Packet(src=fields.pop("src", side.client), dst=fields.pop("dst", side.listener),
                      proto=proto, dmac=fields.pop("dmac", WAN_MAC),
                      smac=fields.pop("smac", GATEWAY_MAC), **fields)

    def reply(self, original, side=V4, **fields):
        fields.setdefault("payload", b"")
        return Packet(src=fields.pop("src", side.target), dst=original.src,
                      sport=fields.pop("sport", TARGET_PORT), dport=original.sport,
                      proto=original.proto, dmac=fields.pop("dmac", LAN_MAC),
                      smac=fields.pop("smac", TARGET_MAC), **fields)

    def forwarded(self, packet, side=None):
        """What a client's packet must become towards the target."""
        side = side or (V6 if packet.is_v6 else V4)
        return translate(packet, dmac=TARGET_MAC, smac=LAN_MAC, dst=side.target,
                         dport=TARGET_PORT)

    def returned(self, packet, side=None):
        """What a target's packet must become towards the client."""
        side = side or (V6 if packet.is_v6 else V4)
        return translate(packet, dmac=GATEWAY_MAC, smac=WAN_MAC, src=side.listener, sport=PORT)

    def establish(self, side=V4, proto=TCP, **fields):
        """A settled flow; returns its original packet, to be varied."""
        first = self.original(side, proto, **fields)
        expect(self.send(first), self.forwarded(first))
        if proto == TCP:
            answer = self.reply(first, side, flags=SYN | ACK, seq=77, ack=first.seq + 1)
            expect(self.send(answer, "lan"), self.returned(answer))
            first = first.with_(flags=ACK, seq=first.seq + 1, ack=78)
        else:
            answer = self.reply(first, side, payload=b"fine")
            expect(self.send(answer, "lan"), self.returned(answer))
        expect(self.send(first), self.forwarded(first))
        return first


def sport_of(result, packet):
    """The source port of what left, without VLAN tags and options."""
    return int.from_bytes(result.frame[54 if packet.is_v6 else 34:][:2], "big")


def difference(got, want):
    if len(got) != len(want):
        return "%d bytes instead of %d\n got %s\nwant %s" % (len(got), len(want), got.hex(),
                                                            want.hex())
    return "byte %s\n got %s\nwant %s" % (
        ", ".join("%d: %02x for %02x" % (n, a, b)
                  for n, (a, b) in enumerate(zip(got, want)) if a != b), got.hex(), want.hex())


def expect(result, want, action=bpf.REDIRECT):
    """It left, and as it should."""
    want = want.build()
    assert (result.action, result.reason) == (action, "FORWARDED"), result
    assert result.frame == want, difference(result.frame, want)


def expect_same(result, packet, action, reasons):
    """Not forwarded, for one of the reasons, and not a byte changed."""
    frame = packet if isinstance(packet, bytes) else packet.build()
    reasons = [reasons] if isinstance(reasons, str) else reasons
    assert result.action == action, result
    assert result.reason in reasons, "%s, not %s" % (result, reasons)
    assert result.frame == frame, difference(result.frame, frame)


def expect_pass(result, packet, *reasons):
    expect_same(result, packet, bpf.PASS, ["PASS_" + reason for reason in reasons])


def expect_drop(result, packet, *reasons):
    expect_same(result, packet, bpf.DROP, ["DROP_" + reason for reason in reasons])


def expect_handed_on(result, packet, reason):
    """For tc: passed untouched, but to a MAC address that is nobody's."""
    expect_same(result, NOBODYS_MAC + packet.build()[6:], bpf.PASS, "HAND_ON_" + reason)


def expect_unforwarded(result, packet):
    frame = packet if isinstance(packet, bytes) else packet.build()
    if result.reason.startswith("HAND_ON_"):
        frame = NOBODYS_MAC + frame[6:]
        result.reason = "PASS_" + result.reason
    assert result.action in (bpf.PASS, bpf.DROP), result
    assert result.reason.startswith("PASS_" if result.action == bpf.PASS else "DROP_"), result
    assert result.frame == frame, difference(result.frame, frame)
