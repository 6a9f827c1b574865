# SPDX-License-Identifier: GPL-2.0-only
"""Who may make a flow, and who may use one."""
import itertools
import time

import bpf
import pytest
import world as w
from halves import DIRECTION_AT, STATE_AT
from packets import ACK, FIN, PSH, RST, SYN, TCP, UDP, URG
from router import (LAN_MAC, TARGET_MAC, V4, V6, Router, expect, expect_drop, expect_handed_on,
                    expect_pass, expect_unforwarded, sport_of)

SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
PROTOS = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
ALL_FLAGS = pytest.mark.parametrize("flags", range(64))
ASSURED = 0x80


def begins(flags):
    """A SYN begins a flow, a segment of a connection whose flow was lost too."""
    if flags & SYN:
        return not flags & (ACK | RST | FIN)
    return bool(flags & ACK) and not flags & RST


@SIDES
@ALL_FLAGS
def test_flags_of_a_first_segment(router, side, flags):
    first = router.original(side, flags=flags)
    if not begins(flags):
        expect_drop(router.send(first), first, "TCP_FLAGS")
        assert not router.has_flow(first)
        return
    if flags & SYN and flags & (PSH | URG):
        # Data in a SYN is legal (RFC 7413), nonsense is not; either way nothing
        # is half done.
        result = router.send(first)
        assert router.has_flow(first) == (result.reason == "FORWARDED"), result
        return

    def is_taken():  # picking up mid-stream is rate-limited
        result = router.send(first)
        if result.reason == "DROP_PICKUP_RATE" and not flags & SYN:
            expect_drop(result, first, "PICKUP_RATE")
            assert not router.has_flow(first)
            return False
        expect(result, router.forwarded(first))
        return True

    w.wait(is_taken, "picked up", 10)
    assert router.has_flow(first)


@SIDES
@ALL_FLAGS
def test_flags_of_a_settled_flow(router, side, flags):
    settled = router.establish(side)
    onward = settled.with_(flags=flags)
    expect(router.send(onward), router.forwarded(onward))
    back = router.reply(settled, side, flags=flags)
    expect(router.send(back, "lan"), router.returned(back))
    expect(router.send(settled), router.forwarded(settled))


MARTIANS = {
    V4: ["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.9", "169.254.7.7", "224.0.0.1",
         "239.255.255.255", "240.0.0.1", "255.255.255.255", V4.listener, V4.target],
    V6: ["::", "::1", "ff02::1", "ff0e::5", "fe80::1", "febf::1", "::ffff:1.2.3.4",
         V6.listener, V6.target],
}


@pytest.mark.parametrize("side, source", [(side, source) for side in MARTIANS
                                          for source in MARTIANS[side]])
@PROTOS
def test_bad_source(router, side, source, proto):
    first = router.original(side, proto, src=source)
    expect_drop(router.send(first), first, "BAD_SOURCE")
    assert not router.has_flow(first)


@SIDES
@PROTOS
def test_land(router, side, proto):
    """From the listener to itself, the same port: RFC-less, deadly once."""
    first = router.original(side, proto, src=side.listener, sport=8080)
    expect_drop(router.send(first), first, "BAD_SOURCE")
    assert not router.has_flow(first)


@SIDES
@PROTOS
def test_source_port_0(router, side, proto):
    first = router.original(side, proto, sport=0)
    result = router.send(first)
    expect_drop(result, first, result.reason[5:])
    assert not router.has_flow(first)


@SIDES
@PROTOS
def test_reply_by_the_wrong_interface(router, side, proto):
    settled = router.establish(side, proto)
    back = router.reply(settled, side, dmac="02:00:00:00:01:01", flags=ACK)
    expect_drop(router.send(back, "wan"), back, "WRONG_INTERFACE")
    back = back.with_(dmac=LAN_MAC)
    expect(router.send(back, "lan"), router.returned(back))


@SIDES
@PROTOS
def test_reply_tuple_must_be_whole(router, side, proto):
    settled = router.establish(side, proto)
    other = "fd00::6" if side is V6 else "10.0.0.6"
    for changes in (dict(sport=81), dict(src=other), dict(sport=8080)):
        back = router.reply(settled, side, flags=ACK, **changes)
        expect_pass(router.send(back, "lan"), back, "NO_RULE")
    back = router.reply(settled.with_(sport=settled.sport ^ 0x4000), side, flags=ACK)
    expect_pass(router.send(back, "lan"), back, "NO_RULE")


@SIDES
@PROTOS
def test_reply_without_a_flow(router, side, proto):
    """The target never begins anything."""
    back = router.reply(router.original(side, proto), side, flags=SYN | ACK)
    expect_pass(router.send(back, "lan"), back, "NO_RULE")


@SIDES
def test_protocols_do_not_share_flows(router, side):
    settled = router.establish(side, TCP)
    back = router.reply(settled.with_(proto=UDP), side)
    expect_pass(router.send(back, "lan"), back, "NO_RULE")


@SIDES
@PROTOS
def test_two_listeners_one_target_one_client_port(router, side, proto):
    form = "[%s]:8090:[%s]:80/%s" if side is V6 else "%s:8090:%s:80/%s"
    rule = form % (side.listener, side.target, "tcp" if proto == TCP else "udp")
    router.xdnat("rule", "add", rule)
    settled = router.establish(side, proto)
    second = router.original(side, proto, dport=8090, sport=settled.sport)
    result = router.send(second)  # test_masquerade.py has the rest of that
    port = sport_of(result, second)
    assert port != second.sport
    expect(result, router.forwarded(second).with_(sport=port))
    third = router.original(side, proto, dport=8090)
    expect(router.send(third), router.forwarded(third))
    # The reply still belongs to the first flow, and says so.
    back = router.reply(settled, side, flags=ACK)
    expect(router.send(back, "lan"), router.returned(back))
    router.xdnat("rule", "del", rule)


@SIDES
@PROTOS
def test_listener_reached_by_the_lan(router, side, proto):
    """A client in the target's own network would be answered directly: no hairpin
    here, so nothing may be half translated."""
    local = "fd00::77" if side is V6 else "10.0.0.77"
    first = router.original(side, proto, src=local, dmac=LAN_MAC, smac=TARGET_MAC)
    result = router.send(first, "lan")
    if result.reason != "FORWARDED":
        expect_unforwarded(result, first)
        assert not router.has_flow(first)


@pytest.fixture
def small():
    made = Router.__new__(Router)
    try:
        made.__init__("x", flows=64)
        yield made
    finally:
        if hasattr(made, "xdnat"):
            made.remove()


def refused(router, side, proto):
    """The first packet of a flow for which there is no room, after as many flows as it
    takes: answered, and TCP clients went on."""
    for _ in range(2000):
        first = router.original(side, proto)
        result = router.send(first)
        if result.reason != "FORWARDED":
            expect_drop(result, first, "TABLE_FULL")
            return first
        expect(result, router.forwarded(first))
        router.send(router.reply(first, side, flags=SYN | ACK), "lan")
        router.send(first.with_(flags=ACK))
    raise AssertionError("a table of 64 flows took 2000")


def test_full_table_refuses_and_keeps(small):
    """Full of flows in use: new ones are refused and counted, the old ones go on."""
    for side in V4, V6:
        old = [small.establish(side, proto) for proto in (TCP, UDP)]
        for proto in TCP, UDP, TCP:
            assert not small.has_flow(refused(small, side, proto))
        assert len(small.table(side is V6).keys()) >= 2 * 64
        for settled in old:
            expect(small.send(settled), small.forwarded(settled))
            back = small.reply(settled, side, flags=ACK)
            expect(small.send(back, "lan"), small.returned(back))


FLOODED = 1000


def flood(router, side, is_answered):
    """SYNs from which nobody goes on; there is room for each, and for its answer."""
    for _ in range(FLOODED):
        first = router.original(side, TCP)
        assert router.burst([first.build()]) == {"FORWARDED": 1}
        if is_answered:
            answer = router.reply(first, side, flags=SYN | ACK)
            assert router.burst([answer.build()], "lan") == {"FORWARDED": 1}


FLOODS = pytest.mark.parametrize("is_answered", [False, True], ids=["unanswered", "half-open"])


@FLOODS
def test_flood_of_embryos_takes_no_room_of_flows_in_use(small, is_answered):
    """A new flow takes the place of one from which nobody went on, for ever."""
    for side in V4, V6:
        old = [small.establish(side, proto) for proto in (TCP, UDP) for _ in range(8)]
        flood(small, side, is_answered)
        table = small.table(side is V6)
        embryos = [slot for slot in table.slots() if not slot[table.key_bytes + STATE_AT] & ASSURED]
        replies = sum(slot[table.key_bytes + DIRECTION_AT] for slot in embryos)
        assert len(embryos) <= len(table.buckets) // 16 * 4, "more than half of the slots"
        assert replies > len(embryos) // 4, "of halves that go, nearly all are replies'"
        for settled in old:
            back = small.reply(settled, side, flags=ACK)
            assert small.has_flow(settled) and small.has_flow(back), "it lost its place"
            expect(small.send(settled), small.forwarded(settled))
            expect(small.send(back, "lan"), small.returned(back))


@SIDES
def test_clients_get_through_a_flood_of_half_open_flows(small, side):
    """T143: the target answers every SYN of it, so each is half-open for 240 s. Who goes
    on has a connection that the rest of the flood leaves alone."""
    talks = [small.establish(side) for _ in range(8)]
    for _ in range(4):
        flood(small, side, True)
        talks += [small.establish(side) for _ in range(8)]
    for settled in talks:
        data = settled.with_(flags=PSH | ACK, payload=b"hello")
        expect(small.send(data), small.forwarded(data))
        back = small.reply(settled, side, flags=PSH | ACK, payload=b"hello yourself")
        expect(small.send(back, "lan"), small.returned(back))
        flow, = small.flows(settled)
        assert (flow["state"], flow["packets_original"]) == ("established", 3), "begun anew"


@SIDES
def test_no_syn_costs_a_connection_its_place(small, side):
    """Whoever sends it: what was gone on with once is no embryo again."""
    talks = [small.establish(side) for _ in range(8)]
    for settled in talks:
        for flags in RST, SYN:
            again = settled.with_(flags=flags)
            expect(small.send(again), small.forwarded(again))
        assert small.flows(settled)[0]["state"] == "half-open"
    flood(small, side, True)
    for settled in talks:
        answer = small.reply(settled, side, flags=SYN | ACK)
        assert small.has_flow(settled) and small.has_flow(answer), "it lost its place"
        expect(small.send(answer, "lan"), small.returned(answer))
        expect(small.send(settled), small.forwarded(settled))
        assert small.flows(settled)[0]["state"] == "established"


@FLOODS
def test_answered_flows_find_room_after_a_flood(small, is_answered):
    """Embryos make way, also where they are less than half of a bucket."""
    for side in V4, V6:
        flood(small, side, is_answered)
        for _ in range(64):
            first = small.original(side, UDP)
            expect(small.send(first), small.forwarded(first))
            small.send(small.reply(first, side), "lan")


def test_room_again(small):
    """After a flush, the same clients come in."""
    for side in V4, V6:
        first = refused(small, side, TCP)
        small.xdnat("flow", "flush", "--yes")
        assert not small.table(side is V6).keys()
        expect(small.send(first), small.forwarded(first))


def test_what_stands_in_the_way_out(small):
    """No route, forwarding off: refused by name; no neighbour: for tc. No flow of it
    bars the way once it is repaired."""
    near = small.near
    first = small.original(V4)
    near.ip("neigh", "del", V4.target, "dev", "lan")
    expect_handed_on(small.send(first), first, "NEIGHBOUR")
    near.ip("neigh", "replace", V4.target, "lladdr", TARGET_MAC, "dev", "lan", "nud",
            "permanent")
    near.sysctl("ipv4.ip_forward=0", "ipv4.conf.wan.forwarding=0")
    expect_drop(small.send(small.original(V4, sport=first.sport)), first, "FORWARDING_OFF")
    near.sysctl("ipv4.ip_forward=1", "ipv4.conf.wan.forwarding=1")
    near.ip("route", "add", "blackhole", V4.target + "/32")
    expect_drop(small.send(first), first, "NO_ROUTE")
    near.ip("route", "del", "blackhole", V4.target + "/32")
    expect(small.send(first), small.forwarded(first))


def test_unloaded_way_out(small):
    """It is a target's side still: tc sends there, and translates the answers."""
    small.xdnat("unload", "lan")
    first = small.original(V4)
    expect_handed_on(small.send(first), first, "WAY_OUT")
    assert not small.has_flow(first)


def test_rule_removed_flow_kept(small):
    settled = small.establish(V4)
    small.xdnat("rule", "del", "%s:8080/tcp" % V4.listener)
    expect(small.send(settled), small.forwarded(settled))
    first = small.original(V4)
    expect_pass(small.send(first), first, "NO_RULE")


@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_next_hop_is_followed(small, proto):
    """A flow looks its next hop up again about every second."""
    settled = small.establish(V4, proto)
    small.near.ip("neigh", "replace", V4.target, "lladdr", "02:00:00:00:02:99", "dev", "lan",
                  "nud", "permanent")
    want = small.forwarded(settled).with_(dmac="02:00:00:00:02:99").build()
    w.wait(lambda: small.send(settled).frame == want, "the new MAC is used", 3)


@SIDES
def test_replies_outlive_the_targets_neighbour_entry(small, side):
    """That we cannot reach the target just now is no reason to drop what it sends."""
    settled = small.establish(side)
    small.near.ip("neigh", "del", side.target, "dev", "lan")
    w.wait(lambda: small.send(settled).reason == "HAND_ON_NEIGHBOUR", "the entry is missed", 5)
    back = small.reply(settled, side, flags=PSH | ACK, payload=b"I am here")
    over = time.monotonic() + 2.5  # more than two ticks: each looks again

    def is_over():
        assert small.send(settled).reason == "HAND_ON_NEIGHBOUR"
        expect(small.send(back, "lan"), small.returned(back))
        return time.monotonic() > over

    w.wait(is_over, "two ticks passed", 5)
    small.near.ip("neigh", "replace", side.target, "lladdr", TARGET_MAC, "dev", "lan", "nud",
                  "permanent")
    w.wait(lambda: small.send(settled).reason == "FORWARDED", "it is back", 5)


@SIDES
@PROTOS
def test_expired_flow(small, side, proto):
    """Idle for longer than it may: a late reply is not translated, the client's
    next packet begins anew."""
    bpf.set_lifetimes(small.pinned("xdnat_config"), 1)
    settled = small.establish(side, proto)

    back = small.reply(settled, side, flags=ACK)
    expect(small.send(back, "lan"), small.returned(back))
    w.wait(lambda: small.xdnat("flow", "list", "--json").stdout == "", "expired", 20, 0.2)
    expect_drop(small.send(back, "lan"), back, "EXPIRED")
    expect(small.send(settled), small.forwarded(settled))
    expect(small.send(back, "lan"), small.returned(back))


def test_lifetimes(router):
    """What README says, in seconds: RFC 5382 REQ-5, RFC 4787 REQ-5 (half-open,
    established, closing, UDP unanswered, UDP answered)."""
    second, lifetimes = router.config()
    assert [life / second for life in lifetimes] == [240, 7440, 240, 120, 300]
