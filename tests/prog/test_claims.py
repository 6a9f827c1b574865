# SPDX-License-Identifier: GPL-2.0-only
"""Source ports claimed by two processors at the same time (T079): no tuple is given out
twice, no flow is left with one half. Judged by walking the table."""
import itertools
import os
from collections import Counter

import bpf
import pytest
import world as w
from halves import DIRECTION_AT
from packets import SYN, TCP, UDP, address
from router import V4, V6, Router

TARGETS = 4                     # their ports, 81 and on: a range each
MASQUERADED, PRESERVED = 9100, 9200
FLOWS = 100000 if w.LONG else 4000
SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
# What runs: in native and generic mode, in tc and auto.
HOOKS = pytest.mark.parametrize("hook", ["xdp", "ingress"])


@pytest.fixture(scope="module")
def router():
    made = Router.__new__(Router)
    try:
        made.__init__("k", flows=1048576 if w.LONG else 262144)
        for side, form in (V4, "%s:%d:%s:%d"), (V6, "[%s]:%d:[%s]:%d"):
            for n in range(TARGETS):
                rule = form % (side.listener, MASQUERADED + n, side.target, 81 + n)
                made.xdnat("rule", "add", rule + "/tcp+udp", "mode=masquerade")
            for n in range(2):
                rule = form % (side.listener, PRESERVED + n, side.target, 80)
                made.xdnat("rule", "add", rule + "/tcp+udp")
        yield made
    finally:
        if hasattr(made, "xdnat"):
            made.remove()


def sources(side):
    """Clients' addresses, without end."""
    for n in itertools.count():
        if side is V6:
            yield "2001:db8:7::%x:%x" % (n >> 16, n & 0xffff)
        elif 0 < n & 255 < 255:
            yield "198.%d.%d.%d" % (18 + (n >> 16), n >> 8 & 255, n & 255)


def masqueraded(router, side):
    """First packets of many clients with few source ports."""
    for n, src in enumerate(itertools.islice(sources(side), FLOWS)):
        yield router.original(side, TCP if n % 3 else UDP, src=src, sport=2000 + n % 7,
                              dport=MASQUERADED + n % TARGETS, flags=SYN).build()


def colliding(router, side):
    """Two of each client with one port, by two listeners to one target."""
    for n, src in enumerate(itertools.islice(sources(side), FLOWS // 2)):
        first = router.original(side, TCP if n % 3 else UDP, src=src, sport=2000 + n % 7,
                                dport=PRESERVED, flags=SYN)
        yield first.build()
        yield first.with_(dport=PRESERVED + 1).build()


def pinned_sender(router, hook, processor, sent, gate):
    """A child that sends them all from one processor once the gate is open, a pair of a
    pipe's ends, of which nobody has the writing one any more; returns its pid."""
    program = router.pinned("xdnat_" + hook)
    send = bpf.test_run if hook == "xdp" else bpf.test_run_skb
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.sched_setaffinity(0, {processor})
        os.close(gate[1])
        os.read(gate[0], 1)
        for frame in sent:
            send(program, frame, router.ifindex["wan"])
        status = 0
    finally:
        os._exit(status)


def halves(router, side):
    """{(addresses, ports, protocol): the same as it leaves} of every half."""
    table = router.table(side is V6)
    key_size = table.key_bytes
    addr, found = (32, {}) if side is V6 else (8, {})
    for slot in table.slots():
        key, half = slot[:key_size], slot[key_size:key_size + 72]
        ports = half[24:28]
        leaving = slot[key_size + 72:key_size + 72 + addr] + ports + key[addr + 4:addr + 8]
        assert key[:addr + 8] not in found, "a tuple is there twice"
        found[key[:addr + 8]] = leaving, half[DIRECTION_AT]
    return found


def reversed_tuple(data, addr):
    half = addr // 2
    return data[half:addr] + data[:half] + data[addr + 2:addr + 4] + data[addr:addr + 2] + \
        data[addr + 4:]


def without_claim(table, side):
    """Originals whose reply tuple nobody has, and those whose another flow has."""
    addr = 32 if side is V6 else 8
    nobody, others = set(), set()
    for key, (leaving, direction) in table.items():
        reply = reversed_tuple(leaving, addr)
        if direction:
            continue
        if reply not in table:
            nobody.add(key)
        elif reversed_tuple(table[reply][0], addr) != key:
            others.add(key)
    return nobody, others


def expect_whole(table, side, count):
    """So many flows of two halves, each the other's, but for a few halves: nobody
    answered, and of five embryos that meet in a bucket one has to go. Then its tuple may
    be given to another flow: a half without its claim is left."""
    few = count // 500
    originals = sum(direction == 0 for _, direction in table.values())
    assert count - few <= originals <= count
    assert 2 * count - few <= len(table) <= 2 * count
    nobody, others = without_claim(table, side)
    assert len(nobody) + len(others) <= few, "flows without their reply half"
    owners = Counter(leaving for leaving, direction in table.values() if direction)
    assert max(owners.values()) == 1, "a flow has two tuples"
    assert any(address(side.target) in leaving for leaving, _ in table.values())


def key_of(frame, side):
    """The key of the half whose packet this is."""
    proto, addrs, ports = (20, 22, 54) if side is V6 else (23, 26, 34)
    return frame[addrs:ports + 4] + frame[proto:proto + 1] + bytes(3)


def expect_healed(router, hook, side, sent):
    """Whose tuple was given to another flow gets one of its own with its next packet."""
    send = bpf.test_run if hook == "xdp" else bpf.test_run_skb
    _, others = without_claim(halves(router, side), side)
    with router.near.entered():
        for frame in sent:
            if key_of(frame, side) in others:
                send(router.pinned("xdnat_" + hook), frame, router.ifindex["wan"])
    _, left = without_claim(halves(router, side), side)
    assert not others & left, "flows under others' tuples"


@pytest.mark.parametrize("kind", [masqueraded, colliding])
@SIDES
@HOOKS
def test_two_processors_claim(router, hook, side, kind):
    """T079: both send the same third of the flows at the same time, then each another
    third; also flows that collide (T074)."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        pytest.skip("one processor: no two can claim at the same time")
    sent = list(kind(router, side))
    third = len(sent) // 3
    same, one, other = sent[:third], sent[third:2 * third], sent[2 * third:]
    gate = os.pipe()
    with router.near.entered():
        senders = [pinned_sender(router, hook, processors[0], same + one, gate),
                   pinned_sender(router, hook, processors[-1], same + other, gate)]
    for end in reversed(gate):
        os.close(end)
    assert [os.waitpid(pid, 0)[1] for pid in senders] == [0, 0]
    try:
        expect_whole(halves(router, side), side, len(sent))
        expect_healed(router, hook, side, sent)
    finally:
        router.xdnat("flow", "flush", "--yes", timeout=300)
