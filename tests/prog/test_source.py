# SPDX-License-Identifier: GPL-2.0-only
"""Which sources a rule admits: allow= and deny=."""
import ipaddress
import os
import time

import bpf
import pytest
import world as w
from packets import ACK, SYN, TCP, UDP, address, translate
from router import GATEWAY_MAC, TARGET_PORT, V4, V6, WAN_MAC, expect, expect_pass

PREFIXES = 10000
PORT = 9000
SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
OUTSIDE = {V4: "192.0.2.200", V6: "2001:db9::200"}


class Rule:
    """One rule of this file's, which takes what a test gives it."""

    def __init__(self, router):
        self.router, self.xdnat = router, router.xdnat

    def text(self, side, proto=TCP):
        form = "[%s]:%d:[%s]:%d/%s" if side is V6 else "%s:%d:%s:%d/%s"
        return form % (side.listener, PORT, side.target, TARGET_PORT,
                       "udp" if proto == UDP else "tcp")

    def add(self, side, *keys, proto=TCP):
        self.xdnat("rule", "add", self.text(side, proto), "name=listed", *keys)

    def replace(self, side, *keys):
        return self.xdnat("rule", "replace", "listed", self.text(side), *keys)

    def first(self, side, source, proto=TCP):
        return self.router.original(side, proto, src=source, dport=PORT)

    def admits(self, side, source, proto=TCP):
        """Whether a new flow is made; else the packet is the host's, to the byte."""
        first = self.first(side, source, proto)
        result = self.router.send(first)
        if result.reason == "FORWARDED":
            expect(result, self.router.forwarded(first, side))
            return True
        expect_pass(result, first, "NO_RULE")
        assert not self.router.has_flow(first)
        return False


@pytest.fixture
def rule(router):
    made = Rule(router)
    yield made
    router.xdnat("rule", "del", "listed", check=False)
    assert not bpf.keys(router.pinned("xdnat_prefixes"), 28), "prefixes outlive their rule"


# allow, deny, {source: admitted}; a /0 is the shortest, a bare address the longest.
CASES = {
    "allow": (V4, "198.51.100.0/24", "", {"198.51.100.0": 1, "198.51.100.255": 1,
                                          "198.51.99.255": 0, "198.51.101.0": 0}),
    "deny": (V4, "", "198.51.100.0/24", {"198.51.100.0": 0, "198.51.100.255": 0,
                                         "198.51.99.255": 1, "198.51.101.0": 1}),
    "one host": (V4, "198.51.100.7", "", {"198.51.100.7": 1, "198.51.100.6": 0}),
    "31 bits": (V4, "198.51.100.6/31", "", {"198.51.100.7": 1, "198.51.100.6": 1,
                                            "198.51.100.5": 0, "198.51.100.8": 0}),
    "1 bit": (V4, "128.0.0.0/1", "", {"198.51.100.7": 1, "127.255.255.255": None,
                                      "100.1.2.3": 0}),
    "all": (V4, "0.0.0.0/0", "", {"198.51.100.7": 1, "8.8.8.8": 1}),
    "none": (V4, "", "0.0.0.0/0", {"198.51.100.7": 0, "8.8.8.8": 0}),
    "both: deny wins": (V4, "198.51.100.0/24", "198.51.100.0/25",
                        {"198.51.100.7": 0, "198.51.100.130": 1, "8.8.8.8": 0}),
    "a denied net around an allowed one": (V4, "198.51.100.7", "198.51.100.0/24",
                                           {"198.51.100.7": 0, "8.8.8.8": 0}),
    "nested": (V4, "198.51.100.0/24,198.51.0.0/16,198.51.100.7", "",
               {"198.51.100.7": 1, "198.51.7.7": 1, "198.52.0.1": 0}),
    "v6 allow": (V6, "2001:db8:7::/48", "", {"2001:db8:7::1": 1, "2001:db8:7:ffff::1": 1,
                                             "2001:db8:8::1": 0, "2001:db8:6::1": 0}),
    "v6 33 bits": (V6, "2001:db8:8000::/33", "", {"2001:db8:8000::1": 1,
                                                  "2001:db8:7fff::1": 0}),
    "v6 deny": (V6, "", "2001:db8:7::7,2001:db8:9::/48",
                {"2001:db8:7::7": 0, "2001:db8:7::8": 1, "2001:db8:9::1": 0}),
    "v6 all": (V6, "::/0", "", {"2001:db8:7::7": 1}),
    "v6 none": (V6, "", "::/0", {"2001:db8:7::7": 0}),
}


@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
@pytest.mark.parametrize("case", CASES, ids=[name.replace(" ", "-") for name in CASES])
def test_admitted(rule, case, proto):
    side, allow, deny, sources = CASES[case]
    rule.add(side, *(["allow=" + allow] if allow else []), *(["deny=" + deny] if deny else []),
             proto=proto)
    for source, admitted in sources.items():
        if admitted is not None:  # martians are dropped, whatever lists say
            assert rule.admits(side, source, proto) == bool(admitted), source


@SIDES
def test_live_flow_of_a_source_that_is_denied_later(rule, side):
    """It goes on in both directions, shows its rule, and keeps the rule's totals; a new
    one of that source is not made."""
    router, source = rule.router, side.client
    rule.add(side, "deny=" + OUTSIDE[side])
    first = rule.first(side, source)
    expect(router.send(first), router.forwarded(first))
    rule.replace(side, "deny=" + source)
    again = first.with_(flags=ACK, seq=first.seq + 1, ack=78)
    expect(router.send(again), router.forwarded(again))
    answer = router.reply(first, side, flags=SYN | ACK, seq=77, ack=first.seq + 1)
    expect(router.send(answer, "lan"), translate(
        answer, dmac=GATEWAY_MAC, smac=WAN_MAC, src=side.listener, sport=PORT))
    assert not rule.admits(side, source)
    flow, = router.flows(first)
    assert flow["rule"] == "listed"
    assert router.xdnat.json("rule", "show", "listed")["flows_made"] == 1
    assert "ended 1 flow" in router.xdnat("rule", "del", "listed", "--flows", "kill").stdout


@SIDES
def test_unfit_packet_of_a_source_that_is_not_admitted(rule, side):
    """What could not be forwarded is not dropped either: it is the host's."""
    rule.add(side, "deny=" + side.client)
    first = rule.first(side, side.client).with_(ttl=1)
    expect_pass(rule.router.send(first), first, "NO_RULE")


@SIDES
def test_segment_of_a_lost_flow(rule, side):
    """Mid-stream state is not made again for who would not be admitted."""
    rule.add(side, "allow=" + OUTSIDE[side])
    first = rule.first(side, side.client).with_(flags=ACK)
    expect_pass(rule.router.send(first), first, "NO_RULE")


@SIDES
def test_other_rules_have_no_lists(rule, side):
    rule.add(side, "deny=" + ("::/0" if side is V6 else "0.0.0.0/0"))
    router = rule.router
    other = router.original(side)
    expect(router.send(other), router.forwarded(other))


def many(side, count=PREFIXES):
    """So many prefixes of all lengths, none of which holds side's client."""
    base = int.from_bytes(address("2a00::" if side is V6 else "20.0.0.0"), "big")
    bits = 128 if side is V6 else 32
    lengths = range(bits - 7, bits + 1)
    return [str(ipaddress.ip_network((base + (n << 8), lengths[n % len(lengths)])))
            for n in range(count)]


def write(path, prefixes):
    path.write_text("# made by a test\n" + "\n".join(prefixes) + "\n")
    return "@%s" % path


@SIDES
@pytest.mark.parametrize("key", ["allow", "deny"])
def test_ten_thousand_prefixes(rule, tmp_path, side, key):
    """From a file: every one counts, they are there in well under a second, and gone
    with the rule."""
    prefixes = many(side)
    value = "%s=%s" % (key, write(tmp_path / "list", prefixes))
    start = time.monotonic()
    rule.add(side, value)
    assert time.monotonic() - start < 3, "adding took that long"
    held = len(bpf.keys(rule.router.pinned("xdnat_prefixes"), 28))
    assert held == PREFIXES + 2
    for n in 0, 1, 7, PREFIXES // 2, PREFIXES - 1:
        source = str(ipaddress.ip_network(prefixes[n])[-1])
        assert rule.admits(side, source) == (key == "allow"), prefixes[n]
    assert rule.admits(side, side.client) == (key == "deny")
    start = time.monotonic()
    rule.replace(side)
    assert time.monotonic() - start < 3, "removing took that long"
    assert not bpf.keys(rule.router.pinned("xdnat_prefixes"), 28)


def test_file_changes_when_it_is_said_so(rule, tmp_path):
    """It is read when the rule is added, enabled and replaced; adding what is there
    changes nothing."""
    path = tmp_path / "list"
    value = "deny=" + write(path, ["198.51.100.7"])
    rule.add(V4, value)
    assert not rule.admits(V4, "198.51.100.7")
    write(path, ["198.51.100.8"])
    assert not rule.admits(V4, "198.51.100.7")
    assert "unchanged" in rule.xdnat("rule", "add", rule.text(V4), "name=listed", value).stdout
    assert not rule.admits(V4, "198.51.100.7")
    rule.xdnat("rule", "enable", "listed")
    assert rule.admits(V4, "198.51.100.7") and not rule.admits(V4, "198.51.100.8")
    write(path, ["198.51.100.9"])
    rule.replace(V4, value)
    assert rule.admits(V4, "198.51.100.8") and not rule.admits(V4, "198.51.100.9")
    write(path, ["198.51.100.7"])
    commands = rule.xdnat("rule", "list", "--format", "rules").stdout
    assert rule.xdnat("rule", "replace", "-", stdin=commands).stdout.startswith(
        "0 added, 1 changed, 0 deleted,")
    assert not rule.admits(V4, "198.51.100.7")


def test_file_that_cannot_be_read(rule, tmp_path):
    """Exit 6, file and line are named, and what was in force stays so; a rule is not
    lost with its file."""
    path = tmp_path / "list"
    value = "deny=" + write(path, ["198.51.100.7"])
    rule.add(V4, value)
    path.write_text("198.51.100.0/24\n198.51.100.9/24\n")
    said = rule.xdnat.refused(6, "rule", "enable", "listed")
    assert "deny=@%s: line 2: 198.51.100.9/24 has bits behind its prefix" % path in said
    os.unlink(path)
    said = rule.xdnat.refused(6, "rule", "replace", "listed", rule.text(V4), value)
    assert "deny=@%s: cannot be opened: No such file or directory" % path in said
    assert not rule.admits(V4, "198.51.100.7") and rule.admits(V4, "198.51.100.8")
    rule.xdnat("rule", "disable", "listed")
    rule.xdnat.refused(6, "rule", "enable", "listed")
    assert "listed" in rule.xdnat("rule", "list").stdout
    write(path, ["198.51.100.8"])
    rule.xdnat("rule", "enable", "listed")
    assert rule.admits(V4, "198.51.100.7") and not rule.admits(V4, "198.51.100.8")


def test_change_that_is_refused_leaves_no_prefixes(rule, tmp_path):
    value = "deny=" + write(tmp_path / "list", many(V4, 100))
    said = rule.xdnat.refused(5, "rule", "add", "%s:8080:10.0.0.9" % V4.listener, value)
    assert "already forwarded" in said


def refused_ns(rule, side):
    """Nanoseconds for a SYN that lists keep out: it makes no flow, so it can be repeated."""
    first = rule.first(side, OUTSIDE[side])
    with rule.router.near.entered():
        return bpf.test_run_ns(rule.router.pinned("xdnat_xdp"), first.build(),
                               rule.router.ifindex["wan"], 5000)


@SIDES
def test_flat_cost(rule, tmp_path, side):
    """10,000 prefixes cost a new client what one costs: the same two lookups, in a trie
    that is a few steps deeper."""
    few = "allow=%s" % side.client
    all_of_them = "allow=" + write(tmp_path / "list", many(side))
    best = {few: float("inf"), all_of_them: float("inf")}
    rule.add(side, few)

    def is_flat():
        for value in best:
            rule.replace(side, value)
            assert not rule.admits(side, OUTSIDE[side])
            best[value] = min(best[value], *(refused_ns(rule, side) for _ in range(5)))
        return best[all_of_them] <= 1.5 * best[few]

    w.wait(is_flat, "as fast with 10,000 prefixes: %s" % best, 20)
