# SPDX-License-Identifier: GPL-2.0-only
"""mss=: what a SYN may announce, to the byte, checksum included."""
import struct

import pytest
from packets import ACK, SYN, translate
from router import GATEWAY_MAC, MTU, TARGET_PORT, V4, V6, WAN_MAC, expect

PORT = 9001
SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
NOP, END = b"\1", b"\0"
SACK, SCALE = b"\4\2", b"\3\3\7"
STAMP = b"\x08\x0a" + bytes(range(8))
COOKIE = b"\x22\x0a" + bytes(range(8))  # RFC 7413
LIMIT = 1300


def mss(value):
    return struct.pack("!BBH", 2, 4, value)


def padded(options, end=NOP):
    return options + end * (-len(options) % 4)


# Options with a place for the MSS, as stacks send them and as none should.
ORDERS = {
    "alone": b"%s",
    "first": b"%s" + SACK + STAMP + NOP + SCALE,
    "last": STAMP + SACK + NOP + SCALE + b"%s",
    "odd": NOP + b"%s",
    "odd behind a scale": SCALE + b"%s",
    "odd at the end": NOP + SACK + STAMP + SCALE + b"%s" + NOP,
    "behind 36 NOPs": NOP * 36 + b"%s",
    "behind 35 NOPs, odd": NOP * 35 + b"%s",
    "behind a cookie": COOKIE + b"%s",
    "behind an unknown": b"\xfd\x05abc" + b"%s",
    "before the end": b"%s" + END,
}
# Nothing of these may change.
LEFT_ALONE = {
    "none": b"",
    "no MSS": SACK + STAMP + NOP + SCALE,
    "behind the end": padded(END + mss(9000)),
    "of 3 bytes": b"\2\3\x23" + mss(9000) + NOP,
    "of 5 bytes": b"\2\5\x23\x28\0" + NOP * 3,
    "of 0 bytes": b"\2\0\x23\x28",
    "of 1 byte": b"\2\1\x23\x28",
    "cut off": NOP * 2 + b"\2\4",
    "cut off by a byte": NOP + b"\2\4\x23",
    "kind only": NOP * 3 + b"\2",
    "behind a length of 0": b"\xfd\0" + mss(9000) + NOP * 2,
    "behind a length of 1": b"\xfd\1" + mss(9000) + NOP * 2,
    "behind a length beyond the options": b"\xfd\x28" + mss(9000) + NOP * 2,
    "within another option": b"\xfd\x08" + mss(9000) + NOP * 2,
}


@pytest.fixture(scope="module", params=[LIMIT, "auto"])
def limited(request, router):
    """Rules for both families with a limit; its value."""
    for side in V4, V6:
        form = "[%s]:%d:[%s]:%d" if side is V6 else "%s:%d:%s:%d"
        router.xdnat("rule", "add", form % (side.listener, PORT, side.target, TARGET_PORT),
                     "mss=%s" % request.param, "name=mss%d" % (6 if side is V6 else 4))
    yield request.param
    for name in "mss4", "mss6":
        router.xdnat("rule", "del", name)


def limit(limited, side):
    """auto: lan has the smaller MTU, whichever way the SYN goes."""
    return limited if limited != "auto" else MTU - (60 if side is V6 else 40)


def syn(router, side, options, **fields):
    return router.original(side, dport=PORT, tcp_options=options, **fields)


def returned(packet, side):
    return translate(packet, dmac=GATEWAY_MAC, smac=WAN_MAC, src=side.listener, sport=PORT)


@SIDES
@pytest.mark.parametrize("order", ORDERS, ids=[name.replace(" ", "-") for name in ORDERS])
def test_made_smaller(router, limited, side, order):
    """In a SYN, its retransmission and the SYN-ACK; the checksum is valid if it was."""
    most = limit(limited, side)
    big, small = (padded(ORDERS[order] % mss(value)) for value in (8960, most))
    first = syn(router, side, big)
    for packet in first, first, first.with_(l4_corrupt=0x0101):
        expect(router.send(packet), router.forwarded(packet.with_(tcp_options=small)))
    answer = router.reply(first, side, flags=SYN | ACK, seq=77, ack=first.seq + 1,
                          tcp_options=big)
    for packet in answer, answer, answer.with_(l4_corrupt=0x1234):
        expect(router.send(packet, "lan"), returned(packet.with_(tcp_options=small), side))


@SIDES
def test_never_raised(router, limited, side):
    """Equal and smaller ones stay; one more than the limit does not."""
    most = limit(limited, side)
    for announced in 0, 1, 536, most - 1, most, most + 1, 0xffff:
        for lead in b"", NOP:
            first = syn(router, side, padded(lead + mss(announced)))
            want = padded(lead + mss(min(announced, most)))
            expect(router.send(first), router.forwarded(first.with_(tcp_options=want)))


@SIDES
@pytest.mark.parametrize("case", LEFT_ALONE, ids=[name.replace(" ", "-") for name in LEFT_ALONE])
def test_left_alone(router, limited, side, case):
    """No MSS is added, and options that contradict themselves are not touched."""
    first = syn(router, side, LEFT_ALONE[case])
    expect(router.send(first), router.forwarded(first))


@SIDES
def test_only_in_a_syn(router, limited, side):
    """Later segments have options of their own, at no place an MSS."""
    first = syn(router, side, mss(536))
    expect(router.send(first), router.forwarded(first))
    answer = router.reply(first, side, flags=SYN | ACK, seq=77, ack=first.seq + 1)
    expect(router.send(answer, "lan"), returned(answer, side))
    for _ in range(2):
        onward = first.with_(flags=ACK, seq=first.seq + 1, ack=78, tcp_options=mss(9000))
        expect(router.send(onward), router.forwarded(onward))


@SIDES
def test_payload_that_looks_like_an_option(router, limited, side):
    first = syn(router, side, NOP * 4, payload=mss(9000))
    expect(router.send(first), router.forwarded(first))


@SIDES
def test_other_rules_do_not_touch_it(router, limited, side):
    first = router.original(side, tcp_options=mss(9000))
    expect(router.send(first), router.forwarded(first))
