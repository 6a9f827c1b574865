# SPDX-License-Identifier: GPL-2.0-only
"""What is forwarded, byte by byte: first packets, answers, what follows."""
import json

import bpf
import packets as p
import pytest
from packets import ACK, FIN, PSH, RST, SYN, TCP, UDP
from router import GATEWAY_MAC, MTU, PEER_MAC, V4, V6, WAN_MAC, expect, expect_drop

SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
PROTOS = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
TIMESTAMPS = bytes.fromhex("0204 05b4 0402 080a 00112233 00000000 01 030307".replace(" ", ""))


@SIDES
@PROTOS
def test_flow_from_its_first_packet(router, side, proto):
    settled = router.establish(side, proto)
    for n in range(3):
        onward = settled.with_(payload=b"request %d" % n, flags=PSH | ACK, ident=n)
        expect(router.send(onward), router.forwarded(onward))
        back = router.reply(onward, side, payload=b"answer %d" % n, flags=PSH | ACK, ident=9 * n)
        expect(router.send(back, "lan"), router.returned(back))
    assert router.has_flow(settled)


VARIANTS = {
    "dscp and ecn": dict(tos=0xb9),
    "every tos bit": dict(tos=0xff),
    "ip id 0": dict(ident=0),
    "ip id ffff": dict(ident=0xffff),
    "may fragment": dict(fragment=0),
    "reserved ip flag": dict(fragment=0x8000),
    "reserved flag and df": dict(fragment=0xc000),
    "ttl 2": dict(ttl=2),
    "ttl 3": dict(ttl=3),
    "ttl 255": dict(ttl=255),
    "flow label": dict(flow_label=0xfffff),
    "one byte": dict(payload=b"x"),
    "three bytes": dict(payload=b"xyz"),
    "odd, high bytes": dict(payload=b"\xff" * 7),
    "zeros": dict(payload=bytes(64)),
    "ones": dict(payload=b"\xff" * 64),
    "long": dict(payload=bytes(range(256)) * 5),
    "ethernet padding": dict(trailer=bytes(6)),
    "trailer that is not zero": dict(trailer=b"\xde\xad\xbe\xef\x01"),
    "corrupt transport checksum": dict(l4_corrupt=0x0101),
    "corrupt by one": dict(l4_corrupt=1),
    "other sender mac": dict(smac="02:aa:bb:cc:dd:ee"),
}
TCP_VARIANTS = {
    "tcp options": dict(tcp_options=TIMESTAMPS[:20]),
    "40 bytes of tcp options": dict(tcp_options=b"\x01" * 40),
    "urgent": dict(flags=ACK | p.URG, urgent=7, payload=b"now, please"),
    "ecn-capable": dict(flags=ACK | p.ECE | p.CWR),
    "reserved tcp bits": dict(tcp_reserved=0xf),
    "sequence at the wrap": dict(seq=0xffffffff, ack=0xfffffffe),
    "window 0": dict(window=0),
}
UDP_VARIANTS = {
    "no datagram": dict(payload=b""),
    "length below the ip payload": dict(payload=b"abcdefgh", udp_length_lie=12),
}


VARIED = [(proto, fields, "%s-%s" % ("udp" if proto == UDP else "tcp", name.replace(" ", "-")))
          for proto, own in ((TCP, TCP_VARIANTS), (UDP, UDP_VARIANTS))
          for name, fields in {**VARIANTS, **own}.items()]


@pytest.mark.parametrize("proto, fields", [one[:2] for one in VARIED],
                         ids=[one[2] for one in VARIED])
@SIDES
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "settled"])
def test_nothing_else_changes(router, side, proto, fields, is_first):
    if is_first:
        onward = router.original(side, proto, **{**fields, "flags": SYN})
        expect(router.send(onward), router.forwarded(onward))
        return
    onward = router.establish(side, proto).with_(**fields)
    expect(router.send(onward), router.forwarded(onward))
    fields = {key: value for key, value in fields.items() if key != "smac"}
    back = router.reply(onward, side, **{"flags": ACK, **fields})
    expect(router.send(back, "lan"), router.returned(back))


def test_udp_checksum_zero_stays_zero(router):
    onward = router.original(V4, UDP, l4_check_lie=0)
    for _ in range(3):
        expect(router.send(onward), router.forwarded(onward))
    back = router.reply(onward, V4, l4_check_lie=0, payload=b"none here either")
    expect(router.send(back, "lan"), router.returned(back))


def test_udp_checksum_zero_over_ipv6_is_dropped(router):
    first = router.original(V6, UDP, l4_check_lie=0)
    expect_drop(router.send(first), first, "UDP6_CHECKSUM")
    assert not router.has_flow(first)
    settled = router.establish(V6, UDP).with_(l4_check_lie=0)
    expect_drop(router.send(settled), settled, "UDP6_CHECKSUM")


def checksum_of(frame, side):
    offset = 14 + (40 if side is V6 else 20) + 6
    return frame[offset:offset + 2]


@SIDES
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "settled"])
def test_udp_checksum_computed_to_zero_is_sent_as_ones(router, side, is_first):
    onward = (router.original(side, UDP, payload=bytes(2)) if is_first
              else router.establish(side, UDP).with_(payload=bytes(2)))
    want = checksum_of(router.forwarded(onward, side).build(), side)
    onward = onward.with_(payload=want)
    assert checksum_of(router.forwarded(onward, side).build(), side) == b"\xff\xff"
    expect(router.send(onward), router.forwarded(onward))
    back = router.reply(onward, side, payload=bytes(2))
    back = back.with_(payload=checksum_of(router.returned(back, side).build(), side))
    assert checksum_of(router.returned(back, side).build(), side) == b"\xff\xff"
    expect(router.send(back, "lan"), router.returned(back))


def test_every_tcp_checksum_is_right(router):
    """The payload word runs, so the checksum runs through all its values."""
    settled = router.establish(V4, TCP)
    for word in range(0, 0x10000, 211):
        onward = settled.with_(payload=word.to_bytes(2, "big"), ident=word)
        expect(router.send(onward), router.forwarded(onward))


@pytest.mark.parametrize("edge", [0xffff, 0x0000, 0x0001, 0xfffe, 0x0100, 0xfeff])
@SIDES
def test_tcp_checksum_at_the_edges(router, side, edge):
    """Before translation, and after it, the checksum is at an end of its range: in
    one of the two directions the sum then needs its second fold."""
    offset = 14 + (40 if side is V6 else 20) + 16
    settled = router.establish(side, TCP)
    back = router.reply(settled, side, flags=ACK)
    for packet, device, oracle in ((settled, "wan", router.forwarded),
                                   (back, "lan", router.returned)):
        for shape in (lambda packet: packet, oracle):
            frame = shape(packet.with_(payload=bytes(2))).build()
            have = int.from_bytes(frame[offset:offset + 2], "big")
            word = (have - edge) % 0xffff
            edged = packet.with_(payload=word.to_bytes(2, "big"))
            expect(router.send(edged, device), oracle(edged))


def test_ip_checksum_at_the_edges(router):
    settled = router.establish(V4, UDP)
    for shape in (lambda packet: packet, router.forwarded):
        have = int.from_bytes(shape(settled.with_(ident=0)).build()[24:26], "big")
        for edge in 0, 1, 0x0100, 0xfeff, 0xfffe, 0xffff:
            onward = settled.with_(ident=(have - edge) % 0xffff)
            expect(router.send(onward), router.forwarded(onward))


def test_corrupt_header_checksum(router):
    """Verified on a miss; on a hit only updated, so that it stays as wrong."""
    first = router.original(V4, TCP, ip_corrupt=0x0100)
    expect_drop(router.send(first), first, "HEADER_CHECKSUM")
    assert not router.has_flow(first)
    for corruption in 1, 0x0100, 0x8000, 0xfffe:
        settled = router.establish(V4, TCP).with_(ip_corrupt=corruption)
        expect(router.send(settled), router.forwarded(settled))


@SIDES
@PROTOS
def test_one_armed(router, side, proto):
    """The way to the target is the interface it came in by."""
    form = "[%s]:9000:[%s]:90%s" if side is V6 else "%s:9000:%s:90%s"
    rule = form % (side.listener, side.one_armed, "/udp" if proto == UDP else "")
    router.xdnat("rule", "add", rule)
    onward = router.original(side, proto, dport=9000)
    want = p.translate(onward, dmac=PEER_MAC, smac=WAN_MAC, dst=side.one_armed, dport=90)
    expect(router.send(onward), want, bpf.TX)
    back = router.reply(onward, side, src=side.one_armed, sport=90, dmac=WAN_MAC, smac=PEER_MAC,
                        flags=SYN | ACK)
    want = p.translate(back, dmac=GATEWAY_MAC, smac=WAN_MAC, src=side.listener, sport=9000)
    expect(router.send(back), want, bpf.TX)
    # The target as its own client: nothing but its address can tell.
    spoofed = router.original(side, proto, dport=9000, src=side.one_armed)
    expect_drop(router.send(spoofed), spoofed, "BAD_SOURCE")
    router.xdnat("rule", "del", rule)


@SIDES
@pytest.mark.parametrize("flags", [FIN | ACK, RST, RST | ACK], ids=["fin", "rst", "rst-ack"])
@pytest.mark.parametrize("who", ["client", "target"])
def test_closing_keeps_the_flow(router, side, flags, who):
    settled = router.establish(side)
    if who == "client":
        end = settled.with_(flags=flags)
        expect(router.send(end), router.forwarded(end))
    else:
        end = router.reply(settled, side, flags=flags)
        expect(router.send(end, "lan"), router.returned(end))
    onward = settled.with_(flags=PSH | ACK, payload=b"still here")
    expect(router.send(onward), router.forwarded(onward))
    back = router.reply(settled, side, flags=PSH | ACK, payload=b"me too")
    expect(router.send(back, "lan"), router.returned(back))


@SIDES
def test_data_revives_a_closing_flow(router, side):
    """As the tools tell it, who go by what the lifetime goes by."""
    settled = router.establish(side)

    def state():
        flow, = [flow for flow in map(json.loads, router.xdnat(
                    "--json", "flow", "list").stdout.splitlines())
                 if flow["client_port"] == settled.sport]
        return flow["state"]

    before = state()
    reset = settled.with_(flags=RST)
    expect(router.send(reset), router.forwarded(reset))
    assert state() == "closing" != before
    onward = settled.with_(flags=PSH | ACK, payload=b"not at all")
    expect(router.send(onward), router.forwarded(onward))
    assert state() == before


@SIDES
def test_hundred_forged_resets(router, side):
    settled = router.establish(side)
    for n in range(100):
        reset = settled.with_(flags=RST, seq=n << 24, ack=0)
        expect(router.send(reset), router.forwarded(reset))
    onward = settled.with_(payload=b"unimpressed")
    expect(router.send(onward), router.forwarded(onward))


@SIDES
@PROTOS
def test_too_big_for_the_way_out(router, side, proto):
    headers = (40 if side is V6 else 20) + (20 if proto == TCP else 8)
    settled = router.establish(side, proto)
    fits = settled.with_(payload=bytes(MTU - headers))
    expect(router.send(fits), router.forwarded(fits))
    large = settled.with_(payload=bytes(MTU - headers + 1))
    expect_drop(router.send(large), large, "TOO_BIG")
    # Its answer leaves by the other interface, which takes it.
    back = router.reply(settled, side, payload=bytes(MTU - headers + 1), flags=ACK)
    expect(router.send(back, "lan"), router.returned(back))


@SIDES
@PROTOS
def test_retransmitted_first_packet(router, side, proto):
    first = router.original(side, proto)
    for n in range(4):
        again = first.with_(ident=n)
        expect(router.send(again), router.forwarded(again))


@SIDES
def test_new_syn_on_a_settled_tuple(router, side):
    settled = router.establish(side)
    again = settled.with_(flags=SYN, seq=0xdeadbeef, ack=0)
    expect(router.send(again), router.forwarded(again))
    back = router.reply(again, side, flags=ACK, seq=78, ack=settled.seq)
    expect(router.send(back, "lan"), router.returned(back))


@SIDES
@PROTOS
def test_many_clients_with_one_port(router, side, proto):
    for n in range(1, 20):
        client = "2001:db8:9::%x" % n if side is V6 else "192.0.2.%d" % n
        onward = router.original(side, proto, src=client, sport=5555)
        expect(router.send(onward), router.forwarded(onward))
        back = router.reply(onward, side, flags=SYN | ACK)
        expect(router.send(back, "lan"), router.returned(back))


def test_ports_at_the_ends_of_the_range(router):
    for listener, target in (1, 65535), (65535, 1):
        rule = "203.0.113.1:%d:10.0.0.5:%d" % (listener, target)
        router.xdnat("rule", "add", rule)
        for sport in 1, 65535:
            onward = router.original(V4, dport=listener, sport=sport)
            want = router.forwarded(onward).with_(dport=target)
            expect(router.send(onward), want)
        router.xdnat("rule", "del", rule)


def test_oracle_is_not_vacuous():
    """The builder's checksums, against figures worked out elsewhere."""
    header = bytes.fromhex("45000073000040004011 0000 c0a80001c0a800c7".replace(" ", ""))
    assert p.checksum(header) == 0xb861
    packet = p.Packet("10.0.0.1", "10.0.0.2", 1, 2, proto=UDP, payload=b"a")
    frame = packet.build()
    assert p.ones_sum(packet.pseudo(9) + frame[34:]) == 0xffff
    assert p.ones_sum(frame[14:34]) == 0xffff
