# SPDX-License-Identifier: GPL-2.0-only
"""Two bits a port: what is foreign by its ports passes at every hook, what is a rule's or
a flow's never does."""
import contextlib
import itertools
import socket
import struct

import bpf
import port_bits
import pytest
from packets import ACK, SYN, TCP, UDP, Packet
from port_bits import Bits
from router import (LAN_MAC, PORT, REASONS, TARGET_MAC, TARGET_PORT, V4, V6, expect_pass)

SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
PROTOS = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
HOOKS = {"xdp": bpf.PASS, "ingress": 0xffffffff, "egress": 0xffffffff}  # who passes
FREE, LAN_CLIENT = "203.0.113.2", "10.0.0.77"
BASE = Bits({PORT}, {TARGET_PORT})  # of the router's own rules
SPORTS = itertools.count(50000)


def ports(first, last=None):
    return set(range(first, (last or first) + 1))


# What follows "FREE:", and which ports it needs.
FORMS = {
    "one port": ("81:10.0.0.5:8181", ports(81), ports(8181)),
    "the same port": ("82:10.0.0.5/udp", ports(82), ports(82)),
    "first and last port": ("1:10.0.0.5:65535/tcp+udp", ports(1), ports(65535)),
    "range": ("3000-3009:10.0.0.5/udp", ports(3000, 3009), ports(3000, 3009)),
    "range with an offset": ("3000-3299:10.0.0.5:255-554", ports(3000, 3299), ports(255, 554)),
    "range to lower ports": ("65435-65535:10.0.0.5:1-101/udp", ports(65435, 65535),
                             ports(1, 101)),
    "range to one port": ("3000-3009:10.0.0.5:53/tcp+udp", ports(3000, 3009), ports(53)),
    "any port": ("*:10.0.0.5/tcp+udp", ports(1, 65535), ports(1, 65535)),
    "any port to one": ("*:10.0.0.5:7/udp", ports(1, 65535), ports(7)),
    "excepted ports": ("3000-3009:10.0.0.5:4000-4009 except=3004-3005", ports(3000, 3009),
                       ports(4000, 4009)),
    "this host": ("2222:local:22/tcp+udp", ports(2222), ports(22)),
    "masquerade": ("83:10.0.0.5:8183/tcp+udp mode=masquerade", ports(83), ports(8183)),
    "hairpin": ("84:10.0.0.5:8184/udp hairpin=on", ports(84), ports(8184)),
}


@pytest.fixture
def rules(router):
    """add(rule): adds one after all bits were cleared by hand, so that those that are set
    are the present rules'; returns its name. Afterwards they are gone."""
    made = []

    def add(*words):
        port_bits.write(router.xdnat)
        made.append(router.xdnat.json("rule", "add", *words)["rule"]["name"])
        return made[-1]

    with flows_of_masquerade(router):
        yield add
        for name in made:
            with contextlib.suppress(AssertionError):
                router.xdnat("rule", "del", name, "--flows", "kill")


@contextlib.contextmanager
def flows_of_masquerade(router):
    """Who masquerades a client of the LAN sends to it, too."""
    router.near.ip("neigh", "replace", LAN_CLIENT, "lladdr", "02:00:00:00:02:77", "dev", "lan",
                   "nud", "permanent")
    yield
    router.near.ip("neigh", "del", LAN_CLIENT, "dev", "lan")


def counts(router, hook):
    """[packets] by reason."""
    values = bpf.lookup_all(router.pinned("xdnat_stats"), 3 * len(REASONS),
                            16 * bpf.possible_cpus())
    each = 2 * bpf.possible_cpus()
    words = struct.unpack("%dQ" % (len(values) // 8), values)
    first = list(HOOKS).index(hook) * len(REASONS)
    return [sum(words[n * each:(n + 1) * each:2]) for n in range(first, first + len(REASONS))]


def send(router, hook, packet, device):
    """(verdict, reason) at a hook."""
    before, program = counts(router, hook), router.pinned("xdnat_" + hook)
    run = bpf.test_run if hook == "xdp" else bpf.test_run_skb
    with router.near.entered():
        verdict = run(program, packet.build(), router.ifindex[device])
    reason, = [REASONS[n] for n, (old, new) in enumerate(zip(before, counts(router, hook)))
               if old != new]
    return verdict[0] if hook == "xdp" else verdict, reason


def answer(frame, proto):
    """What a target says to the IPv4 frame that came out."""
    _, sport, dport = 0, *struct.unpack_from("!HH", frame, 34)
    return Packet(src=socket.inet_ntoa(frame[30:34]), dst=socket.inet_ntoa(frame[26:30]),
                  sport=dport, dport=sport, proto=proto, dmac=LAN_MAC, smac=TARGET_MAC,
                  flags=SYN | ACK, payload=b"" if proto == TCP else b"fine")


def begin(router, port, proto, **fields):
    """A client's packet to FREE:port makes a flow that the target answers: both packets."""
    first = router.original(V4, proto, dst=FREE, dport=port, **fields)
    result = router.send(first)
    assert result.reason == "FORWARDED", "to port %d: %s" % (port, result)
    back = answer(result.frame, proto)
    goes_on(router, back, "lan")
    return first, back


def goes_on(router, packet, device="wan"):
    result = router.send(packet, device)
    assert result.reason == "FORWARDED", result


def edges(wanted):
    return {min(wanted), max(wanted), sorted(wanted)[len(wanted) // 3]}


@SIDES
@PROTOS
@pytest.mark.parametrize("hook", HOOKS)
def test_ports_alone_say_what_is_foreign(router, rules, hook, side, proto):
    """By the destination's bit or the source's, each its own: of the same packet."""
    first = router.original(side, proto)
    assert router.send(first).reason == "FORWARDED"
    if hook == "egress":
        packet, device = router.reply(first, side, flags=SYN | ACK, payload=b""), "wan"
        bit = {"sources": {packet.sport}}
        other = {"sources": {packet.dport}, "destinations": {packet.sport}}
    else:
        packet, device = first, "wan"
        bit = {"destinations": {packet.dport}}
        other = {"destinations": {packet.sport}, "sources": {packet.dport}}
    try:
        for bits in {}, other:
            port_bits.write(router.xdnat, **bits)
            if hook == "xdp":  # a flow that is there is found, whatever the bits
                packet = packet.with_(sport=next(SPORTS), flags=SYN)
            assert send(router, hook, packet, device) == (HOOKS[hook], "PASS_NO_RULE")
        port_bits.write(router.xdnat, **bit)
        assert send(router, hook, packet, device)[1] != "PASS_NO_RULE"
    finally:
        port_bits.write(router.xdnat, BASE.destinations, BASE.sources)


@SIDES
@PROTOS
@pytest.mark.parametrize("hook", HOOKS)
def test_foreign_packets_pass(router, hook, side, proto):
    packet = router.original(side, proto, dport=9999, sport=next(SPORTS))
    assert send(router, hook, packet, "wan") == (HOOKS[hook], "PASS_NO_RULE")
    if hook == "xdp":
        expect_pass(router.send(packet), packet, "NO_RULE")


@pytest.mark.parametrize("form", FORMS)
def test_rules_of_every_form_are_seen(router, rules, form):
    """Their ports have bits and no others; packets to them are forwarded, and so are the
    answers, also when the rule is gone and the bits of its ports with it are not."""
    words, destinations, sources = FORMS[form]
    text, *keys = words.split(" ")
    name = rules("%s:%s" % (FREE, text), *keys)
    wanted = Bits(destinations | BASE.destinations, sources | BASE.sources)
    assert port_bits.read(router.xdnat) == wanted
    proto = TCP if "udp" not in text else UDP
    if "local" in text:
        first = router.original(V4, proto, dst=FREE, dport=2222)
        assert router.send(first).reason == "HAND_ON_WAY_OUT"
        return
    flows = [begin(router, port, proto) for port in edges(destinations - ports(3004, 3005))]
    router.xdnat("rule", "del", name)
    assert port_bits.read(router.xdnat) == wanted
    for first, back in flows:
        goes_on(router, back, "lan")
        goes_on(router, first.with_(flags=ACK))


def test_hairpin_client(router, rules):
    """It comes in where the target is, and is masqueraded."""
    rules("%s:84:10.0.0.5:8184/udp" % FREE, "hairpin=on")
    first = router.original(V4, UDP, src=LAN_CLIENT, dst=FREE, dport=84, dmac=LAN_MAC)
    result = router.send(first, "lan")
    assert result.reason == "FORWARDED", result
    goes_on(router, answer(result.frame, UDP), "lan")


def test_colliding_clients(router, rules):
    """Two flows of one client's port to one target: the second has another, and its
    answers are seen by the target's port all the same."""
    rules("%s:85:10.0.0.5:8185/udp" % FREE)
    rules("%s:86:10.0.0.5:8185/udp" % FREE)
    sport = next(SPORTS)
    flows = [begin(router, port, UDP, sport=sport) for port in (85, 86)]
    assert flows[0][1].dport != flows[1][1].dport
    for first, back in flows:
        goes_on(router, back, "lan")
        goes_on(router, first)


def test_replaced_rule(router, rules):
    """Both the new one's packets and those of the old one's flows are seen."""
    name = rules("%s:87:10.0.0.5:8187/udp" % FREE, "name=moved")
    first, back = begin(router, 87, UDP)
    router.xdnat("rule", "replace", name, "%s:88:10.0.0.5:8188/udp" % FREE)
    assert port_bits.read(router.xdnat) == Bits({PORT, 87, 88}, {TARGET_PORT, 8187, 8188})
    begin(router, 88, UDP)
    goes_on(router, first)
    goes_on(router, back, "lan")


def test_disabled_rule(router, rules):
    """It needs no bits before it is enabled."""
    name = rules("%s:89:10.0.0.5:8189/udp" % FREE, "enabled=no")
    assert port_bits.read(router.xdnat) == BASE
    router.xdnat("rule", "enable", name)
    assert port_bits.read(router.xdnat) == Bits({PORT, 89}, {TARGET_PORT, 8189})
    begin(router, 89, UDP)
