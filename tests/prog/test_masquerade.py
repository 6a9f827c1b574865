# SPDX-License-Identifier: GPL-2.0-only
"""Source ports: whose a port is, which one a new flow is given, when there is none;
masquerade rules, hairpin, and preserve flows that would collide. Time passes by
Router.age(), as in test_state.py."""
import dataclasses
import os

import bpf
import pytest
import world as w
from packets import ACK, SYN, TCP, UDP, translate
from router import (GATEWAY_MAC, LAN_MAC, PEER_MAC, TARGET_MAC, V4, V6, WAN_MAC, Router, expect,
                    expect_drop, sport_of)

SIDES = pytest.mark.parametrize("side", [V4, V6], ids=["v4", "v6"])
PROTOS = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
FIRST, LAST = 20000, 20007      # what the router may give out
PORTS = range(FIRST, LAST + 1)
LISTENER, HAIRPIN, RELAY, OTHER = 9001, 9002, 9003, 8090
TARGET_PORT = 80
REST_TICKS = 120
RESTING = 0x10


@dataclasses.dataclass
class Masquerade:
    """What masquerade rules of a family make of packets."""
    side: object
    ours: str                   # the router's address towards the target
    lan_client: str

    def forwarded(self, packet, port, ours=None):
        return translate(packet, dmac=TARGET_MAC, smac=LAN_MAC, src=ours or self.ours,
                         sport=port, dst=self.side.target, dport=TARGET_PORT)

    def answer(self, router, packet, port, **fields):
        """What the target sends back, and what it must become."""
        dport = packet.dport
        back = router.reply(packet, self.side, **fields).with_(dst=self.ours, dport=port)
        return back, translate(back, dmac=GATEWAY_MAC, smac=WAN_MAC, src=packet.dst,
                               sport=dport, dst=packet.src, dport=packet.sport)


M4, M6 = Masquerade(V4, "10.0.0.1", "10.0.0.77"), Masquerade(V6, "fd00::1", "fd00::77")
FAMILIES = pytest.mark.parametrize("family", [M4, M6], ids=["v4", "v6"])


def words(side, proto):
    return "[%s]" if side is V6 else "%s", "udp" if proto == UDP else "tcp"


def add_rule(router, side, proto, port, target, *keys):
    form, name = words(side, proto)
    router.xdnat("rule", "add", "%s:%d:%s:%d/%s" % (
        form % side.listener, port, form % target, TARGET_PORT, name), *keys)


@pytest.fixture(scope="module")
def router():
    made = Router.__new__(Router)
    try:
        made.__init__("m", flows=4096)
        made.near.sysctl("ipv4.ip_local_port_range=40000 60999")
        made.xdnat("load", "--snat-ports", "%d-%d" % (FIRST, LAST), "--no-daemon")
        for side in V4, V6:
            for proto in TCP, UDP:
                add_rule(made, side, proto, LISTENER, side.target, "mode=masquerade")
                add_rule(made, side, proto, HAIRPIN, side.target, "hairpin=on")
                add_rule(made, side, proto, RELAY, side.one_armed, "mode=masquerade")
                add_rule(made, side, proto, OTHER, side.target)
        yield made
    finally:
        if hasattr(made, "xdnat"):
            made.remove()


@pytest.fixture(autouse=True)
def no_flows(router):
    """Every test finds all ports free."""
    yield
    router.xdnat("flow", "flush", "--yes")


def client(router, family, proto, number, sport=5000, **fields):
    """A client of its own, with the port that all of them have."""
    src = "2001:db8:7::%x" % (0x100 + number) if family is M6 else "198.51.100.%d" % (number + 10)
    return router.original(family.side, proto, src=src, sport=sport,
                           dport=fields.pop("dport", LISTENER), **fields)


def made(router, family, packet):
    """The port under which the packet's new flow has left; all else is checked."""
    result = router.send(packet)
    port = sport_of(result, packet)
    expect(result, family.forwarded(packet, port))
    return port


def settle(router, family, packet, port):
    """Answered, and the client went on."""
    back, want = family.answer(router, packet, port, flags=SYN | ACK, payload=b"")
    expect(router.send(back, "lan"), want)
    onward = packet.with_(flags=ACK)
    expect(router.send(onward), family.forwarded(onward, port))


def fill(router, family, proto):
    """As many flows as there are ports: [(packet, port)]."""
    flows = []
    for number in range(len(PORTS)):
        packet = client(router, family, proto, number)
        flows.append((packet, made(router, family, packet)))
    return flows


@FAMILIES
@PROTOS
def test_port_is_kept_if_it_may_be_given_out(router, family, proto):
    """T073."""
    first = client(router, family, proto, 0, sport=FIRST + 3)
    assert made(router, family, first) == FIRST + 3
    settle(router, family, first, FIRST + 3)


@FAMILIES
@PROTOS
def test_other_ports_are_remapped_into_the_range(router, family, proto):
    """T073: outside the range, and inside it but another flow's. Answers go to the
    client that they are for."""
    flows = [(packet, made(router, family, packet)) for packet in (
        client(router, family, proto, 0), client(router, family, proto, 1),
        client(router, family, proto, 2, sport=FIRST), client(router, family, proto, 3,
                                                              sport=FIRST))]
    ports = [port for _, port in flows]
    assert len(set(ports)) == 4 and set(ports) <= set(PORTS)
    for packet, port in flows:
        settle(router, family, packet, port)
    for packet, port in reversed(flows):
        back, want = family.answer(router, packet, port, payload=b"", flags=ACK)
        expect(router.send(back, "lan"), want)


@FAMILIES
@PROTOS
def test_range_is_given_out_to_the_last_port_and_no_further(router, family, proto):
    """T077: N ports, N flows. The next is refused and counted, nobody loses a port."""
    flows = fill(router, family, proto)
    assert sorted(port for _, port in flows) == list(PORTS)
    for number in range(3):
        more = client(router, family, proto, 100 + number)
        expect_drop(router.send(more), more, "NO_PORT")
        assert not router.has_flow(more)
    for packet, port in flows:
        settle(router, family, packet, port)


@FAMILIES
def test_range_is_given_out_for_each_target(router, family):
    """T077: the claim is on address, port, target, target port and protocol."""
    assert len(fill(router, family, TCP)) == len(fill(router, family, UDP)) == len(PORTS)
    relayed = client(router, family, TCP, 0, dport=RELAY)
    assert router.send(relayed).reason == "FORWARDED"


@FAMILIES
@PROTOS
def test_reply_half_of_the_same_flow_is_adopted(router, family, proto):
    """The original half is lost: who comes back finds its own port, though all are
    taken, and whatever comes first in its order."""
    flows = fill(router, family, proto)
    for packet, port in flows:
        router.half(packet).delete()
        assert made(router, family, packet) == port
        settle(router, family, packet, port)


@FAMILIES
@PROTOS
def test_claim_of_an_ended_flow_rests(router, family, proto):
    """T078: 120 s after the end of an answered flow; what the target still sends is
    nobody's. Then the port is given out again, without a daemon too."""
    flows = fill(router, family, proto)
    packet, port = flows[0]
    settle(router, family, packet, port)
    router.xdnat("flow", "kill", "src=" + packet.src)
    assert not router.flows(packet)
    back, _ = family.answer(router, packet, port, flags=ACK)
    assert router.half(back)["state"] & RESTING
    expect_drop(router.send(back, "lan"), back, "EXPIRED")
    more = client(router, family, proto, 100)
    expect_drop(router.send(more), more, "NO_PORT")
    router.age(REST_TICKS - 2, back)
    expect_drop(router.send(more), more, "NO_PORT")
    router.age(3, back)
    assert made(router, family, more) == port
    settle(router, family, more, port)


@FAMILIES
@PROTOS
def test_claim_that_rests_is_its_own_clients(router, family, proto):
    packet = client(router, family, proto, 0)
    port = made(router, family, packet)
    settle(router, family, packet, port)
    router.xdnat("flow", "kill", "src=" + packet.src)
    assert made(router, family, packet) == port
    settle(router, family, packet, port)


@FAMILIES
@PROTOS
def test_claim_of_an_embryo_does_not_rest(router, family, proto):
    """T078: nobody answered, so nobody will still send."""
    packet, port = fill(router, family, proto)[0]
    router.xdnat("flow", "kill", "src=" + packet.src)
    assert made(router, family, client(router, family, proto, 100)) == port


@FAMILIES
def test_flush_leaves_no_claims(router, family):
    for packet, port in fill(router, family, UDP):
        settle(router, family, packet, port)
    done = router.xdnat.json("flow", "flush", "--yes")
    assert done["ended"] == len(PORTS)
    for packet, port in fill(router, family, UDP):
        settle(router, family, packet, port)
    router.xdnat("flow", "kill", "proto=udp")
    assert router.xdnat.json("flow", "flush", "--yes")["ended"] == 0
    assert len(fill(router, family, UDP)) == len(PORTS)


def test_claims_that_have_rested_are_swept(router):
    """T078, by the daemon."""
    packet = client(router, M4, UDP, 0)
    port = made(router, M4, packet)
    settle(router, M4, packet, port)
    back, _ = M4.answer(router, packet, port)
    router.xdnat("flow", "kill", "src=" + packet.src)
    assert router.has_flow(back)
    router.xdnat("load", "wan", "lan")
    try:
        assert router.xdnat.daemon()
        router.age(REST_TICKS + 4, back)
        w.wait(lambda: not router.has_flow(back), "it is swept", 20, 0.2)
    finally:
        os.kill(router.xdnat.daemon(), 15)
        w.wait(lambda: not router.xdnat.daemon(), "the daemon has ended")


@SIDES
@PROTOS
def test_two_preserve_flows_that_collide(router, side, proto):
    """T074: one client port, two listeners, one target. The second flow gets another
    port, the client's address stays, and each listener answers for itself."""
    settled = router.establish(side, proto)
    second = router.original(side, proto, dport=OTHER, sport=settled.sport)
    result = router.send(second)
    port = sport_of(result, second)
    assert port in PORTS
    expect(result, router.forwarded(second).with_(sport=port))
    back = router.reply(settled, side, flags=ACK)
    expect(router.send(back, "lan"), router.returned(back))
    back = router.reply(settled, side, flags=SYN | ACK).with_(dport=port)
    expect(router.send(back, "lan"),
           router.returned(back).with_(sport=OTHER, dport=settled.sport))
    onward = second.with_(flags=ACK)
    expect(router.send(onward), router.forwarded(onward).with_(sport=port))
    listed = {flow["listener_port"]: flow["source_port"] for flow in router.flows(settled)}
    assert listed == {8080: settled.sport, OTHER: port}


@FAMILIES
@PROTOS
def test_hairpin_is_for_clients_on_the_targets_side(router, family, proto):
    """Clients in the LAN get the router's address, clients outside keep theirs."""
    inside = router.original(family.side, proto, src=family.lan_client, sport=FIRST + 1,
                             dport=HAIRPIN, dmac=LAN_MAC, smac=PEER_MAC)
    neighbour = ["neigh", "replace", family.lan_client, "lladdr", PEER_MAC, "dev", "lan", "nud",
                 "permanent"]
    router.near.ip(*neighbour)
    result = router.send(inside, "lan")
    expect(result, family.forwarded(inside, FIRST + 1), bpf.TX)
    back = router.reply(inside, family.side, flags=SYN | ACK).with_(dst=family.ours)
    expect(router.send(back, "lan"),
           translate(back, dmac=PEER_MAC, smac=LAN_MAC, src=inside.dst, sport=HAIRPIN,
                     dst=inside.src), bpf.TX)
    outside = client(router, family, proto, 0, sport=FIRST + 1, dport=HAIRPIN)
    expect(router.send(outside), router.forwarded(outside))


@FAMILIES
@PROTOS
def test_target_reaches_itself_by_a_hairpin(router, family, proto):
    """RFC 4787 REQ-9."""
    first = router.original(family.side, proto, src=family.side.target, sport=FIRST,
                            dport=HAIRPIN, dmac=LAN_MAC, smac=TARGET_MAC)
    expect(router.send(first, "lan"), family.forwarded(first, FIRST), bpf.TX)
    spoofed = first.with_(dmac=WAN_MAC, smac=GATEWAY_MAC, sport=FIRST + 1)
    expect_drop(router.send(spoofed), spoofed, "BAD_SOURCE")


@FAMILIES
@PROTOS
def test_one_armed_relay(router, family, proto):
    """Client and target on one interface: XDP_TX both ways."""
    side = family.side
    ours = side.listener
    first = client(router, family, proto, 0, dport=RELAY)
    result = router.send(first)
    port = sport_of(result, first)
    assert port in PORTS
    expect(result, translate(first, dmac=PEER_MAC, smac=WAN_MAC, src=ours, sport=port,
                             dst=side.one_armed, dport=TARGET_PORT), bpf.TX)
    back = router.reply(first, side, src=side.one_armed, dmac=WAN_MAC, smac=PEER_MAC,
                        flags=SYN | ACK).with_(dst=ours, dport=port)
    expect(router.send(back), translate(back, dmac=GATEWAY_MAC, smac=WAN_MAC, src=side.listener,
                                        sport=RELAY, dst=first.src, dport=first.sport), bpf.TX)


@FAMILIES
@PROTOS
def test_masqueraded_reply_must_come_from_the_targets_interface(router, family, proto):
    packet = client(router, family, proto, 0)
    port = made(router, family, packet)
    back, want = family.answer(router, packet, port, flags=SYN | ACK)
    stray = back.with_(dmac=WAN_MAC, smac=GATEWAY_MAC)
    expect_drop(router.send(stray), stray, "WRONG_INTERFACE")
    expect(router.send(back, "lan"), want)


@FAMILIES
def test_rule_without_a_source_address(router, family):
    """Counted for what it is."""
    snat = router.pinned("xdnat_snat")
    saved = {key: bpf.lookup(snat, key, 16) for key in set(bpf.keys(snat, 4))}
    try:
        for key in saved:
            bpf.delete(snat, key)
        packet = client(router, family, UDP, 0)
        expect_drop(router.send(packet), packet, "NO_SOURCE")
    finally:
        for key, value in saved.items():
            bpf.update(snat, key, value)
    made(router, family, packet)
