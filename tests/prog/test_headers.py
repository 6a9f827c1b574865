# SPDX-License-Identifier: GPL-2.0-only
"""Headers that lie, that are cut, or that are not ours: a table of rows. Nothing
here may be forwarded; what is passed or dropped leaves without a changed byte."""
import struct

import packets as p
import pytest
from packets import ACK, PSH, RST, SYN, TCP, UDP
from router import (V4, V6, expect, expect_drop, expect_handed_on, expect_pass,
                    expect_unforwarded)

TCP4, UDP4, TCP6, UDP6 = (V4, TCP), (V4, UDP), (V6, TCP), (V6, UDP)
ALL = (TCP4, UDP4, TCP6, UDP6)
FOUR, SIX = (TCP4, UDP4), (TCP6, UDP6)
NOP4 = b"\x01\x01\x01\x00"
FRAGMENT, DEST, HOP, ROUTING = p.FRAGMENT, p.DEST_OPTS, p.HOP_BY_HOP, p.ROUTING
SIXTY_FOUR = b"q" * 64

# name: (which packets, fields, what becomes of it)
ROWS = {
    # RFC 791: version, header length, total length
    **{"version %d" % n: (FOUR, dict(version_lie=n), "pass MALFORMED")
       for n in (0, 5, 6, 15)},
    **{"version %d with 86dd" % n: (SIX, dict(version_lie=n), "pass MALFORMED")
       for n in (0, 4, 5, 15)},
    "IPv4 with 86dd": (FOUR, dict(ether_type=0x86dd), "pass MALFORMED"),
    "IPv6 with 0800": (SIX, dict(ether_type=0x0800), "pass MALFORMED"),
    **{"ihl %d" % n: (FOUR, dict(ihl_lie=n, payload=SIXTY_FOUR), "pass MALFORMED")
       for n in range(5)},
    "ihl 15, beyond the packet": (FOUR, dict(ihl_lie=15, payload=b""), "pass MALFORMED"),
    **{"total length %d" % n: (FOUR, dict(total_lie=n, payload=SIXTY_FOUR), "pass MALFORMED")
       for n in (0, 1, 19, 20, 21, 22, 23)},
    **{"total length %d, ports and no more" % n:
       (FOUR, dict(total_lie=n, payload=SIXTY_FOUR), "drop MALFORMED") for n in (24, 25, 27)},
    **{"tcp total length %d" % n: ((TCP4,), dict(total_lie=n, payload=SIXTY_FOUR),
                                   "drop MALFORMED") for n in (28, 36, 39)},
    **{"total length %+d" % n: (FOUR, dict(total_lie=("+", n)), "pass MALFORMED")
       for n in (1, 2, 3, 4, 8, 1000)},
    "total length ffff": (FOUR, dict(total_lie=0xffff), "pass MALFORMED"),
    # IPv4 options
    "nop options": (FOUR, dict(options=NOP4), "drop IP_OPTIONS"),
    "router alert": (FOUR, dict(options=b"\x94\x04\0\0"), "drop IP_OPTIONS"),
    "record route": (FOUR, dict(options=b"\x07\x07\x04" + bytes(5)), "drop IP_OPTIONS"),
    "loose source route": (FOUR, dict(options=b"\x83\x07\x04\x0a\0\0\x05\0"), "drop IP_OPTIONS"),
    "option of length 0": (FOUR, dict(options=b"\x44\x00\0\0"), "drop IP_OPTIONS"),
    "40 bytes of options": (FOUR, dict(options=NOP4 * 10), "drop IP_OPTIONS"),
    "options, another port": (FOUR, dict(options=NOP4, dport=99), "pass NO_RULE"),
    # Payload length of IPv6
    "payload length 0": (SIX, dict(total_lie=0), "pass MALFORMED"),
    **{"payload length %d" % n: (SIX, dict(total_lie=n, payload=SIXTY_FOUR), "pass MALFORMED")
       for n in (1, 3)},
    **{"payload length %d, ports and no more" % n:
       (SIX, dict(total_lie=n, payload=SIXTY_FOUR), "drop MALFORMED") for n in (4, 7)},
    **{"tcp payload length %d" % n: ((TCP6,), dict(total_lie=n, payload=SIXTY_FOUR),
                                     "drop MALFORMED") for n in (8, 19)},
    **{"payload length %+d" % n: (SIX, dict(total_lie=("+", n)), "pass MALFORMED")
       for n in (1, 2, 3, 8, 1000)},
    "payload length ffff": (SIX, dict(total_lie=0xffff), "pass MALFORMED"),
    # Transport headers
    **{"data offset %d" % n: ((TCP4, TCP6), dict(doff_lie=n), "drop MALFORMED")
       for n in range(5)},
    "data offset 15, beyond the packet": ((TCP4, TCP6), dict(doff_lie=15), "drop MALFORMED"),
    "data offset 6, no room": ((TCP4, TCP6), dict(doff_lie=6), "drop MALFORMED"),
    "data offset into the trailer": ((TCP4, TCP6), dict(doff_lie=6, trailer=bytes(60)),
                                     "drop MALFORMED"),
    **{"udp length %d" % n: ((UDP4, UDP6), dict(udp_length_lie=n, payload=SIXTY_FOUR),
                             "drop MALFORMED") for n in (0, 1, 7, 73, 80, 0xffff)},
    "udp length into the trailer": ((UDP4, UDP6), dict(udp_length_lie=20, payload=b"",
                                                       trailer=bytes(40)), "drop MALFORMED"),
    # TTL
    "ttl 1": (ALL, dict(ttl=1), "drop TTL"),
    "ttl 0": (ALL, dict(ttl=0), "drop TTL"),
    "ttl 1, another port": (ALL, dict(ttl=1, dport=99), "pass NO_RULE"),
    # Extension headers
    "hop by hop": (SIX, dict(extensions=((HOP, p.pad_options()),)), "drop EXT_HEADERS"),
    "destination options": (SIX, dict(extensions=((DEST, p.pad_options()),)),
                            "drop EXT_HEADERS"),
    "long destination options": (SIX, dict(extensions=((DEST, p.pad_options(4)),)),
                                 "drop EXT_HEADERS"),
    "three extension headers": (SIX, dict(extensions=((HOP, p.pad_options()),
                                                      (DEST, p.pad_options()),
                                                      (ROUTING, p.routing_header(2)))),
                                "drop EXT_HEADERS"),
    "routing header 0": (SIX, dict(extensions=((ROUTING, p.routing_header(0)),)),
                         "drop EXT_HEADERS"),
    "hop by hop, another port": (SIX, dict(extensions=((HOP, p.pad_options()),), dport=99),
                                 "pass NO_RULE"),
    "fifty destination options": (SIX, dict(extensions=((DEST, p.pad_options()),) * 50),
                                  "no"),
    "eight destination options": (SIX, dict(extensions=((DEST, p.pad_options()),) * 8),
                                  "no"),
    "extension beyond the packet": (SIX, dict(extensions=((DEST, b"\xff" + bytes(6)),)), "no"),
    "jumbogram": (SIX, dict(extensions=((HOP, b"\0\xc2\x04\0\1\0\0"),), total_lie=0), "no"),
    "no next header": (SIX, dict(extensions=((59, b"\0" * 7),)), "pass PROTOCOL"),
    "ESP": (SIX, dict(extensions=((50, b"\0" * 7),)), "pass PROTOCOL"),
    "AH": (SIX, dict(extensions=((51, b"\4" + b"\0" * 22),)), "pass PROTOCOL"),
    # Fragments
    "first fragment": (FOUR, dict(fragment=p.MF, payload=SIXTY_FOUR), "drop FRAGMENT"),
    "first fragment with DF": (FOUR, dict(fragment=p.MF | p.DF, payload=SIXTY_FOUR),
                               "drop FRAGMENT"),
    "first fragment, another port": (FOUR, dict(fragment=p.MF, dport=99), "pass NO_RULE"),
    "later fragment": (FOUR, dict(fragment=p.MF | 8), "pass FRAGMENT"),
    "last fragment": (FOUR, dict(fragment=1), "pass FRAGMENT"),
    "fragment at the end": (FOUR, dict(fragment=0x1fff), "pass FRAGMENT"),
    "first IPv6 fragment": (SIX, dict(extensions=((FRAGMENT, p.fragment_header(0, 1)),),
                                      payload=SIXTY_FOUR), "drop FRAGMENT"),
    "atomic IPv6 fragment": (SIX, dict(extensions=((FRAGMENT, p.fragment_header(0, 0)),)),
                             "drop FRAGMENT"),
    "later IPv6 fragment": (SIX, dict(extensions=((FRAGMENT, p.fragment_header(8, 1)),)),
                            "pass FRAGMENT"),
    "last IPv6 fragment": (SIX, dict(extensions=((FRAGMENT, p.fragment_header(8, 0)),)),
                           "pass FRAGMENT"),
    "two fragment headers": (SIX, dict(extensions=((FRAGMENT, p.fragment_header(0, 1)),
                                                   (FRAGMENT, p.fragment_header(0, 1)))), "no"),
    # Link layer
    "vlan 5": (ALL, dict(vlans=((0x8100, 5),)), "pass VLAN"),
    "vlan 4095": (ALL, dict(vlans=((0x8100, 0xffff),)), "pass VLAN"),
    "vlan 0, priority 3": (ALL, dict(vlans=((0x8100, 0x6000),)), "hand PRIORITY_TAG"),
    "802.1ad vlan 0": (ALL, dict(vlans=((0x88a8, 0),)), "hand PRIORITY_TAG"),
    "vlan 0 before vlan 5": (ALL, dict(vlans=((0x8100, 0), (0x8100, 5))), "pass VLAN"),
    "QinQ": (ALL, dict(vlans=((0x88a8, 5), (0x8100, 6))), "pass VLAN"),
    "802.1ad alone": (ALL, dict(vlans=((0x88a8, 5),)), "pass VLAN"),
    "two 8100": (ALL, dict(vlans=((0x8100, 5), (0x8100, 6))), "pass VLAN"),
    "two priority tags": (ALL, dict(vlans=((0x8100, 0), (0x8100, 0))), "hand PRIORITY_TAG"),
    "mixed priority tags": (ALL, dict(vlans=((0x88a8, 0), (0x8100, 0))), "hand PRIORITY_TAG"),
    "three tags": (ALL, dict(vlans=((0x88a8, 5), (0x8100, 6), (0x8100, 7))), "pass VLAN"),
    "broadcast MAC": (ALL, dict(dmac="ff:ff:ff:ff:ff:ff"), "pass OTHER_MAC"),
    "multicast MAC": (ALL, dict(dmac="01:00:5e:00:00:01"), "pass OTHER_MAC"),
    "a stranger's MAC": (ALL, dict(dmac="02:00:00:00:01:03"), "pass OTHER_MAC"),
    "the other interface's MAC": (ALL, dict(dmac="02:00:00:00:02:01"), "pass OTHER_MAC"),
    "MAC 0": (ALL, dict(dmac="00:00:00:00:00:00"), "pass OTHER_MAC"),
}
CASES = [pytest.param(side, proto, fields, fate, id="%s-%s%d" % (
            name.replace(" ", "-"), "tcp" if proto == TCP else "udp", 4 if side is V4 else 6))
         for name, (kinds, fields, fate) in ROWS.items() for side, proto in kinds]


def judge(router, packet, fate):
    result = router.send(packet)
    if fate == "no":
        expect_unforwarded(result, packet)
    elif fate.startswith("pass "):
        expect_pass(result, packet, fate[5:])
    elif fate.startswith("hand "):
        expect_handed_on(result, packet, fate[5:])
    else:
        expect_drop(result, packet, fate[5:])


def with_lies(packet, fields):
    total = fields.get("total_lie")
    if isinstance(total, tuple):
        frame = packet.with_(**{**fields, "total_lie": None}).build()
        fields = {**fields, "total_lie": len(frame) - 14 - 40 * packet.is_v6 + total[1]}
    return packet.with_(**fields)


@pytest.mark.parametrize("side, proto, fields, fate", CASES)
def test_first_packet(router, side, proto, fields, fate):
    packet = with_lies(router.original(side, proto), fields)
    judge(router, packet, fate)
    assert not router.has_flow(packet), "it made a flow"


@pytest.mark.parametrize("side, proto, fields, fate", CASES)
def test_on_a_settled_flow(router, side, proto, fields, fate):
    settled = router.establish(side, proto)
    judge(router, with_lies(settled, fields), fate)
    # And the flow is none the worse for it.
    expect(router.send(settled), router.forwarded(settled))


@pytest.mark.parametrize("side, proto", ALL, ids=["tcp4", "udp4", "tcp6", "udp6"])
@pytest.mark.parametrize("less", range(1, 9))
def test_total_length_a_little_less(router, side, proto, less):
    """The packet ends where its header says; the bytes behind are a trailer. The
    checksum is over another length now: wrong before, and as wrong after."""
    settled = router.establish(side, proto).with_(payload=b"z" * 16)
    full = settled.build()
    lie = len(full) - 14 - 40 * settled.is_v6 - less
    onward = settled.with_(total_lie=lie)
    if proto == UDP:
        expect_drop(router.send(onward), onward, "MALFORMED")  # UDP length > payload
    else:
        expect(router.send(onward), router.forwarded(onward))


@pytest.mark.parametrize("side, proto", ALL, ids=["tcp4", "udp4", "tcp6", "udp6"])
@pytest.mark.parametrize("state", ["first", "settled", "reply"])
def test_cut_at_every_byte(router, side, proto, state):
    packet = router.original(side, proto, payload=b"truncate me")
    device = "wan"
    if state == "settled":
        packet = router.establish(side, proto).with_(payload=b"truncate me")
    elif state == "reply":
        packet = router.reply(router.establish(side, proto), side, flags=PSH | ACK,
                              payload=b"truncate me")
        device = "lan"
    frame = packet.build()
    for size in range(14, len(frame)):
        expect_unforwarded(router.send(frame[:size], device), frame[:size])
    if state == "first":
        assert not router.has_flow(packet)


@pytest.mark.parametrize("side, proto", ALL, ids=["tcp4", "udp4", "tcp6", "udp6"])
def test_cut_at_every_byte_with_a_length_that_fits(router, side, proto):
    """Every header says what is there: cut segments, not cut frames."""
    settled = router.establish(side, proto)
    segment = settled.transport()
    for size in range(len(segment)):
        packet = settled.with_(l4=segment[:size])
        expect_unforwarded(router.send(packet), packet)


@pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
def test_every_other_protocol_passes(router, side):
    base = router.original(side)
    for proto in set(range(256)) - {TCP, UDP}:
        packet = base.with_(proto=proto, payload=SIXTY_FOUR)
        result = router.send(packet)
        # In IPv6 some numbers are extension headers: then what follows is junk.
        extensions = {0, 43, 44, 60} if side is V6 else set()
        if proto in extensions:
            expect_unforwarded(result, packet)
        else:
            expect_pass(result, packet, "PROTOCOL")


ICMP_ERRORS = {
    "echo": lambda r, s: r.original(s, p.ICMP6 if s is V6 else p.ICMP, payload=b"ping"),
    "echo reply that names a target": lambda r, s: r.original(
        s, l4=b"\0\0\0\0\1\2\3\4" + p.address(V4.target), proto=p.ICMP6 if s is V6 else p.ICMP),
    "unreachable about a flow": lambda r, s: r.original(
        s, proto=p.ICMP6 if s is V6 else p.ICMP,
        l4=b"\3\1\0\0\0\0\0\0" + router_quote(r, s)),
}


def router_quote(router, side):
    settled = router.establish(side)
    return router.returned(router.reply(settled, side)).build()[14:]


@pytest.mark.parametrize("kind", ICMP_ERRORS)
@pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
def test_icmp_passes(router, side, kind):
    packet = ICMP_ERRORS[kind](router, side)
    expect_pass(router.send(packet), packet, "PROTOCOL")


FOREIGN = {
    "arp": (0x0806, bytes.fromhex("0001080006040001020000000102cb0071fe000000000000cb007101")),
    "lldp": (0x88cc, b"\x02\x07\x04" + bytes(40)),
    "802.3": (38, b"\x42\x42\x03" + bytes(35)),
    "pppoe session": (0x8864, b"\x11\0\0\1\0\x10\0\x21" + bytes(40)),
    "mpls": (0x8847, b"\0\1\1\x40" + bytes(40)),
    "loopback": (0x9000, bytes(46)),
    "runt": (0x0800, b""),
    "ipv6 runt": (0x86dd, b""),
    "vlan runt": (0x8100, b""),
    "ethertype 0": (0, bytes(46)),
    "ethertype ffff": (0xffff, bytes(46)),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("dmac", ["02:00:00:00:01:01", "ff:ff:ff:ff:ff:ff"])
def test_foreign_frames_pass(router, kind, dmac):
    ether_type, body = FOREIGN[kind]
    frame = p.mac(dmac) + p.mac("02:00:00:00:01:fe") + struct.pack("!H", ether_type) + body
    result = router.send(frame)
    assert result.reason.startswith("PASS_"), result
    expect_pass(result, frame, result.reason[5:])


UNTOUCHED = {
    "another port": dict(dport=8081),
    "port 0": dict(dport=0),
    "the target's port": dict(dport=80),
    "another address of ours": dict(dst="203.0.113.2"),
    "a stranger's address": dict(dst="203.0.113.99"),
    "the target itself": dict(dst="10.0.0.5", dport=80),
    "broadcast": dict(dst="255.255.255.255"),
    "multicast": dict(dst="224.0.0.1"),
    "loopback": dict(dst="127.0.0.1"),
}


@pytest.mark.parametrize("kind", UNTOUCHED)
@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
@pytest.mark.parametrize("flags", [SYN, ACK, RST, 0], ids=["syn", "ack", "rst", "null"])
def test_no_rule(router, kind, proto, flags):
    packet = router.original(V4, proto, flags=flags, **UNTOUCHED[kind])
    expect_pass(router.send(packet), packet, "NO_RULE")
    bad_header = packet.with_(ip_corrupt=0x0400)
    expect_pass(router.send(bad_header), bad_header, "NO_RULE")


@pytest.mark.parametrize("dst", ["2001:db8::2", "fd00::5", "ff02::1", "::1", "fe80::1"])
@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_no_rule_v6(router, dst, proto):
    packet = router.original(V6, proto, dst=dst)
    expect_pass(router.send(packet), packet, "NO_RULE")
