# SPDX-License-Identifier: GPL-2.0-only
"""Who takes the fast path: whoever does not, works in the scratch memory. Flows that found
no room in their home bucket take it, too."""
import struct

import pytest

import bpf
from halves import SLOTS
from packets import ACK, FIN, TCP, UDP
from router import V4, V6, expect

SCRATCH_BYTES = 1024
CASES = pytest.mark.parametrize("side, proto", [(V4, TCP), (V4, UDP), (V6, TCP), (V6, UDP)],
                                ids=["v4-tcp", "v4-udp", "v6-tcp", "v6-udp"])


def takes_fast_path(router, packet, device, want):
    """True if it does; it leaves as it should either way. The first packet of a tick does not:
    another one goes before it."""
    expect(router.send(packet, device), want)
    scratch, blank = router.pinned("xdnat_scratch"), bytes(SCRATCH_BYTES * bpf.possible_cpus())
    bpf.update(scratch, bytes(4), blank)
    expect(router.send(packet, device), want)
    return bpf.lookup(scratch, bytes(4), len(blank)) == blank


def both_ways(router, original, side):
    """(packet, the device it comes in by, what it leaves as) of either direction."""
    reply = router.reply(original, side, flags=ACK, payload=b"fine")
    return ((original.with_(payload=b"how are you"), "wan",
             router.forwarded(original.with_(payload=b"how are you"), side)),
            (reply, "lan", router.returned(reply, side)))


def move_beyond(router, packet, entry):
    """Moves a half from its home to a slot beyond, as if it had found no room there."""
    table, half = router.table(packet.is_v6), router.half(packet)
    homes, = struct.unpack_from("I", bpf.value(router.pinned("xdnat_config"), bytes(4)), 64)
    place = homes * SLOTS + entry
    at, to = table.find(half.key), place * table.slot_bytes
    table.memory[to:to + table.slot_bytes] = table.memory[at:at + table.slot_bytes]
    bpf.update(table.overflow, half.key, struct.pack("I", place))
    table.buckets[table.tag_at(to)] = table.buckets[table.tag_at(at)]
    table.memory[at:at + table.slot_bytes] = bytes(table.slot_bytes)
    table.buckets[table.tag_at(at)] = 0
    table.buckets[at // (SLOTS * table.slot_bytes) * 16 + 4] += 1


@CASES
def test_established(router, side, proto):
    for packet, device, want in both_ways(router, router.establish(side, proto), side):
        assert takes_fast_path(router, packet, device, want)


@pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
def test_what_begins_or_ends_something_does_not(router, side):
    last = router.establish(side, TCP).with_(flags=FIN | ACK)
    assert not takes_fast_path(router, last, "wan", router.forwarded(last, side))


@CASES
def test_beyond_its_home(router, side, proto):
    original = router.establish(side, proto)
    for entry, (packet, device, want) in enumerate(both_ways(router, original, side)):
        move_beyond(router, packet, entry)
        before = router.half(packet)["packets"]
        assert takes_fast_path(router, packet, device, want)
        assert router.half(packet)["packets"] == before + 2
    router.xdnat("flow", "flush", "--yes")
    assert not router.has_flow(original)
