# SPDX-License-Identifier: GPL-2.0-only
"""Source ports claimed by two processors at the same time (T079): no tuple is given out
twice, no flow is left with one half. Judged by walking the table."""
import os

import bpf
import pytest
import world as w
from packets import SYN, TCP, UDP, address
from router import V4, V6, Router

TARGETS = 4                     # their ports, 81 and on: a range each
FLOWS = 100000 if w.LONG else 10000
SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])


@pytest.fixture(scope="module")
def router():
    made = Router.__new__(Router)
    try:
        made.__init__("k", flows=131072)
        for side, form in (V4, "%s:%d:%s:%d"), (V6, "[%s]:%d:[%s]:%d"):
            for n in range(TARGETS):
                rule = form % (side.listener, 9100 + n, side.target, 81 + n)
                for proto in "/tcp", "/udp":
                    made.xdnat("rule", "add", rule + proto, "mode=masquerade")
        yield made
    finally:
        if hasattr(made, "xdnat"):
            made.remove()


def frames(router, side, count):
    """First packets of count flows: few source ports, many clients."""
    for n in range(count):
        src = "2001:db8:7::%x:%x" % (n >> 16, n & 0xffff) if side is V6 else (
            "198.%d.%d.%d" % (18 + (n >> 16), n >> 8 & 255, n & 255))
        if src.endswith(".0") or src.endswith(".255"):
            continue
        yield router.original(side, TCP if n % 3 else UDP, src=src, sport=2000 + n % 7,
                              dport=9100 + n % TARGETS, flags=SYN).build()


def pinned_sender(router, processor, sent):
    """A child that sends them all from one processor; returns its pid."""
    program, ifindex = router.pinned("xdnat_xdp"), router.ifindex["wan"]
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.sched_setaffinity(0, {processor})
        for frame in sent:
            bpf.test_run(program, frame, ifindex)
        status = 0
    finally:
        os._exit(status)


def halves(router, side):
    """{(addresses, ports, protocol): the same as it leaves} of every half."""
    table = router.pinned("xdnat_flows6" if side is V6 else "xdnat_flows4")
    key_size, value_size = bpf.map_info(table, "key_size", "value_size")
    addr, found = (32, {}) if side is V6 else (8, {})
    for key in set(bpf.keys(table, key_size)):
        value = bpf.lookup(table, key, value_size)
        half = value[key_size:key_size + 72]
        ports = half[28:32]
        leaving = value[key_size + 72:key_size + 72 + addr] + ports + key[addr + 4:addr + 8]
        found[key[:addr + 8]] = leaving, half[38]
    return found


def reversed_tuple(data, addr):
    half = addr // 2
    return data[half:addr] + data[:half] + data[addr + 2:addr + 4] + data[addr:addr + 2] + \
        data[addr + 4:]


@SIDES
def test_two_processors_claim(router, side):
    """Each sends half of the flows alone and the same ones as the other besides."""
    sent = list(frames(router, side, FLOWS))
    third = len(sent) // 3
    processors = sorted(os.sched_getaffinity(0))
    with router.near.entered():
        senders = [pinned_sender(router, processors[0], sent[:2 * third]),
                   pinned_sender(router, processors[-1], sent[third:])]
    assert [os.waitpid(pid, 0)[1] for pid in senders] == [0, 0]
    table = halves(router, side)
    addr = 32 if side is V6 else 8
    originals = {key for key, (_, direction) in table.items() if direction == 0}
    assert len(originals) == len(sent) and len(table) == 2 * len(sent)
    ports = set()
    for key in originals:
        reply = reversed_tuple(table[key][0], addr)
        assert reply in table, "a flow without its reply half"
        assert reversed_tuple(table[reply][0], addr) == key, "two flows of one tuple"
        ports.add(reply)
    assert len(ports) == len(originals)
    assert address(side.target) in next(iter(ports))
    router.xdnat("flow", "flush", "--yes", timeout=300)
