# SPDX-License-Identifier: GPL-2.0-only
"""T071: which rule has a port, and which port it goes to; packet by packet."""
import contextlib

import bpf
import pytest
import world as w
from packets import ACK, SYN, TCP, UDP, translate
from router import GATEWAY_MAC, LAN_MAC, TARGET_MAC, V4, V6, WAN_MAC, expect, expect_pass

SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
FREE = "203.0.113.2"  # an address of the router's without rules of its own
OTHER = "10.0.0.6"    # a second target, at the first one's MAC address


@pytest.fixture
def rules(router):
    """Adds rules, whose flows and themselves are gone afterwards."""
    router.near.ip("neigh", "replace", OTHER, "lladdr", TARGET_MAC, "dev", "lan", "nud",
                   "permanent")
    made = []

    def add(*words):
        made.append(router.xdnat.json("rule", "add", *words)["rule"]["name"])
        return made[-1]

    yield add
    for name in made:
        with contextlib.suppress(AssertionError):
            router.xdnat("rule", "del", name, "--flows", "kill")


def bracketed(address):
    return "[%s]" % address if ":" in address else address


def goes(router, port, to, target=None, side=V4, proto=TCP, dst=None, src=None):
    """A first packet to the port comes out at the target's port, and the answer to it
    comes back from where the client sent to."""
    first = router.original(side, proto, dport=port, dst=dst or side.listener,
                            src=src or side.client,
                            **({"flags": SYN} if proto == TCP else {}))
    target = target or side.target
    expect(router.send(first), translate(first, dmac=TARGET_MAC, smac=LAN_MAC, dst=target,
                                         dport=to))
    back = router.reply(first, side, src=target, sport=to,
                        **({"flags": SYN | ACK} if proto == TCP else {}))
    expect(router.send(back, "lan"), translate(back, dmac=GATEWAY_MAC, smac=WAN_MAC,
                                               src=first.dst, sport=port))


def passes(router, port, side=V4, proto=TCP, dst=None, src=None):
    first = router.original(side, proto, dport=port, dst=dst or side.listener,
                            src=src or side.client)
    expect_pass(router.send(first), first, "NO_RULE")


@SIDES
@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_range_to_range(router, rules, side, proto):
    rules("%s:30000-30099:%s:40000-40099/%s" % (bracketed(side.listener), bracketed(side.target),
                                                "tcp" if proto == TCP else "udp"))
    for n in range(100):
        goes(router, 30000 + n, 40000 + n, side=side, proto=proto)
    for port in 29999, 30100, 40000, 1, 65535:
        passes(router, port, side, proto)
    passes(router, 30050, side, UDP if proto == TCP else TCP)
    passes(router, 30050, V6 if side is V4 else V4, proto)


@SIDES
def test_ports_wrap_nowhere(router, rules, side):
    """The first and the last port, and a range that goes to lower ports."""
    here, there = bracketed(side.listener), bracketed(side.target)
    rules("%s:65436-65535:%s:1-100" % (here, there))
    rules("%s:1-100:%s:65436-65535/udp" % (here, there))
    for port, to in (65436, 1), (65535, 100), (65500, 65):
        goes(router, port, to, side=side)
        goes(router, to, port, side=side, proto=UDP)
    passes(router, 65435, side)
    passes(router, 101, side, UDP)


def test_range_to_one_port(router, rules):
    rules("%s:5000-5010:%s:53/tcp+udp" % (FREE, V4.target))
    for proto in TCP, UDP:
        for port in 5000, 5007, 5010:
            goes(router, port, 53, proto=proto, dst=FREE)
        for port in 4999, 5011:
            passes(router, port, proto=proto, dst=FREE)


@pytest.mark.parametrize("lengths", [1, 2, 3, 4, 7, 8, 1000])
def test_every_boundary(router, rules, lengths):
    """Ranges that begin and end off and on multiples of powers of two."""
    for first in 1, 2, 7, 8, 4095, 4096, 65536 - lengths:
        last = first + lengths - 1
        name = rules("%s:%d-%d:%s" % (FREE, first, last, V4.target))
        for port in {first, (first + last) // 2, last}:
            goes(router, port, port, dst=FREE)
        for port in {first - 1, last + 1} & set(range(1, 65536)):
            passes(router, port, dst=FREE)
        router.xdnat("rule", "del", name, "--flows", "kill")


def test_any_port(router, rules):
    rules("%s:*:%s/tcp+udp" % (FREE, V4.target), "except=22,8000-8010")
    for proto in TCP, UDP:
        for port in 1, 21, 23, 7999, 8011, 32767, 61000, 65535:
            goes(router, port, port, proto=proto, dst=FREE)
        for port in 22, 8000, 8005, 8010, 32768, 45000, 60999:
            passes(router, port, proto=proto, dst=FREE)
        passes(router, 8079, proto=proto)  # another address


def test_no_rule_has_port_0(router, rules):
    """T070."""
    rules("%s:*:%s/tcp+udp" % (FREE, V4.target))
    for proto in TCP, UDP:
        passes(router, 0, proto=proto, dst=FREE)


def test_bound_then_single_then_range_then_any(router, rules):
    """Section 4's precedence, and what is excepted falls to the next."""
    rules("*:%s" % V4.target)
    goes(router, 6000, 6000, dst=FREE)
    rules("5000-7000:%s:1" % V4.target)
    goes(router, 6000, 1, dst=FREE)
    rules("6000:%s:2" % V4.target)
    goes(router, 6000, 2, dst=FREE)
    goes(router, 6001, 1, dst=FREE)
    bound = rules("%s:*:%s:3" % (FREE, OTHER), "except=6001,6002")
    goes(router, 6000, 3, OTHER, dst=FREE)
    goes(router, 7000, 3, OTHER, dst=FREE)
    goes(router, 6001, 1, dst=FREE)
    goes(router, 6000, 2)  # at the other address all is as before
    rules("%s:5990-6010:%s:4" % (FREE, OTHER))
    goes(router, 6000, 4, OTHER, dst=FREE)
    rules("%s:6000:%s:5" % (FREE, OTHER))
    goes(router, 6000, 5, OTHER, dst=FREE)
    router.xdnat("rule", "disable", bound)
    goes(router, 7000, 1, dst=FREE)
    goes(router, 6000, 5, OTHER, dst=FREE)


@SIDES
@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_source_that_a_rule_refuses_falls_to_the_next(router, rules, side, proto):
    """Section 4: as if the rule were not there, down through all of the precedence and at
    last to the host; a rule that is disabled is not there either."""
    here, there = bracketed(side.listener), bracketed(side.target)
    sources = [("2001:db8:9::%d" if side is V6 else "192.0.2.%d") % (n + 1) for n in range(7)]
    forms = ["%s:6000" % here, "%s:5990-6010" % here, "%s:*" % here, "6000", "5990-6010", "*"]
    names = []
    for n in reversed(range(6)):  # the order of adding says nothing
        names[:0] = [rules("%s:%s:%d/%s" % (forms[n], there, n + 1,
                                            "udp" if proto == UDP else "tcp"),
                           "deny=" + ",".join(sources[n + 1:]))]

    def lead(to, port=6000):
        for source, target_port in zip(sources, to):
            if target_port:
                goes(router, port, target_port, side=side, proto=proto, src=source)
            else:
                passes(router, port, side, proto, src=source)

    lead([1, 2, 3, 4, 5, 6, None])
    lead([2, 2, 3, 5, 5, 6, None], 6001)
    lead([3, 3, 3, 6, 6, 6, None], 7000)
    router.xdnat("flow", "flush", "--yes")
    router.xdnat("rule", "disable", names[1])
    lead([1, 3, 3, 4, 5, 6, None])
    router.xdnat("flow", "flush", "--yes")
    router.xdnat("rule", "enable", names[1])
    for name in names[2:5]:
        router.xdnat("rule", "del", name)
    lead([1, 2, 6, 6, 6, 6, None])


def test_source_that_a_rule_refuses_is_not_led_past_one_that_takes_it(router, rules):
    """Behind a rule for everybody nobody else is asked; what a rule excepts is the next
    one's there, too."""
    rules("%s:6000:%s:1" % (FREE, V4.target), "allow=192.0.2.1")
    rules("%s:5990-6010:%s:2" % (FREE, V4.target), "except=6001")
    rules("6000-6001:%s:3" % V4.target, "allow=192.0.2.1")
    rules("*:%s:4" % V4.target, "except=6002", "deny=192.0.2.3")
    for source, port, to in (("192.0.2.1", 6000, 1), ("192.0.2.2", 6000, 2),
                             ("192.0.2.1", 6001, 3), ("192.0.2.2", 6001, 4)):
        goes(router, port, to, dst=FREE, src=source)
    passes(router, 6001, dst=FREE, src="192.0.2.3")


def test_flows_outlive_their_range(router, rules):
    name = rules("%s:5000-5010:%s:6000-6010" % (FREE, V4.target))
    first = router.original(dport=5005, dst=FREE, flags=SYN)
    moved = translate(first, dmac=TARGET_MAC, smac=LAN_MAC, dst=V4.target, dport=6005)
    expect(router.send(first), moved)
    router.xdnat("rule", "del", name)
    expect(router.send(first), moved)
    passes(router, 5005, dst=FREE)


def ranges_asked(router):
    """Whether the datapath asks the trie: the active set's bit."""
    config = bpf.value(router.pinned("xdnat_config"), bytes(4))
    active, has = (int.from_bytes(config[at:at + 4], "little") for at in (4, 48))
    return bool(has >> active & 1)


def test_without_ranges_nobody_asks_for_them(router, rules):
    assert not ranges_asked(router)
    name = rules("%s:5000-5010:%s" % (FREE, V4.target))
    assert ranges_asked(router)
    router.xdnat("rule", "disable", name)
    assert not ranges_asked(router)
    router.xdnat("rule", "enable", name)
    assert ranges_asked(router)
    router.xdnat("rule", "del", name)
    assert not ranges_asked(router)
    assert not bpf.keys(router.pinned("xdnat_ranges"), 28)


def guarded(router):
    """{(address, first port, bits, protocol)} of xdnat_target_ports."""
    return {(key[8:24][12:] if key[8:20] == bytes(10) + b"\xff\xff" else key[8:24],
             int.from_bytes(key[24:26], "big"), int.from_bytes(key[:4], "little") - 160, key[4])
            for key in bpf.keys(router.pinned("xdnat_target_ports"), 28)}


def test_leak_guard_knows_the_targets_of_rules_in_force(router, rules):
    """T168: private targets' ports are there while a rule sends to them."""
    before = guarded(router)
    other = bytes([10, 0, 0, 6])
    assert (bytes([10, 0, 0, 5]), 80, 16, TCP) in before
    name = rules("%s:5000-5003:%s:8000-8003/tcp+udp" % (FREE, OTHER))
    mine = {(other, 8000, 14, TCP), (other, 8000, 14, UDP)}
    assert guarded(router) - before == mine
    second = rules("%s:6000:%s:8000" % (FREE, OTHER))
    rules("%s:6001:203.0.113.50:8000" % FREE)  # a global address
    assert guarded(router) - before == mine | {(other, 8000, 16, TCP)}
    router.xdnat("rule", "disable", name)
    assert guarded(router) - before == {(other, 8000, 16, TCP)}
    router.xdnat("rule", "del", second)
    assert guarded(router) == before


def test_conflicts_name_the_other_rule(router, rules):
    one = rules("%s:5000-5010:%s" % (FREE, V4.target), "name=phones")
    refused = router.xdnat.refused
    for text in ("5010-5020:%s" % OTHER, "5004:%s" % OTHER, "5000-5010:%s:1/tcp+udp" % OTHER):
        words = "rule", "add", "%s:%s" % (FREE, text)
        if "5004:" in text:  # one port goes before a range
            rules(words[2])
            continue
        assert one in refused(5, *words), text
    rules("%s:5010-5020:%s/udp" % (FREE, OTHER))
    rules("%s:5010-5020:%s" % (FREE, OTHER), "except=5010")
    message = refused(5, "rule", "add", "%s:5004:%s/tcp+udp" % (FREE, OTHER))
    assert "%s:5004/tcp" % FREE in message
    assert router.xdnat.json("rule", "add", "%s:5000-5010:%s" % (FREE, V4.target),
                             "name=phones")["change"] == "unchanged"
