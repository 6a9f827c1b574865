# SPDX-License-Identifier: GPL-2.0-only
"""Source ports between real stacks, in every mode: many clients with one port, flows
that collide, both sides first, a range that runs out; hairpin. What a port is chosen by,
packet by packet: tests/prog/test_masquerade.py."""
import contextlib
import itertools
import json
import os
import socket
import threading

import bpf
import in_mode
import pytest
import world as w
from halves import Half
from network import CLIENT, CLIENT6, ROUTER, ROUTER6, SERVER, SERVER6
from packets import TCP, UDP, Packet
from talks import closing, rule, serve, sock_at

CLIENTS = 64
FIRST, LAST = 20000, 20000 + CLIENTS - 1  # what may be given out: a port for each
REST_TICKS = 120
MASQUERADED, ONE, OTHER, HAIRPIN, FIRST_SIDE, FIRST_SIDE_MASQUERADED = range(7000, 7006)
ENDS = 1, 65535
TWICE, TWICE_TCP, TWICE_UDP = 7010, 7011, 7012  # one port, two rules
RANGE, RANGE_TO, EXACT, EXACT_TO = 7020, 7030, 7022, 7040
SPORTS = itertools.count(5000)  # one after the other: ports of ended connections wait


class Family:
    """Who is who. ours: the router towards the server; inside: a LAN client's."""

    def __init__(self, client, listener, server, ours, inside, others):
        self.client, self.listener, self.server = client, listener, server
        self.ours, self.inside = ours, inside
        self.clients = [others % (n + 0x80) for n in range(CLIENTS + 4)]


V4 = Family(CLIENT, ROUTER, SERVER, "10.0.0.1", "10.0.0.77", "203.0.113.%d")
V6 = Family(CLIENT6, ROUTER6, SERVER6, "fd00::1", "fd00::77", "2001:db8::1:%x")
FAMILIES = pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
PROTOS = pytest.mark.parametrize("proto", ["tcp", "udp"])


def rules():
    for family in V4, V6:
        def line(port, to, *keys, proto="tcp+udp"):
            return rule(family.listener, port, family.server, to, proto, *keys)
        yield line(MASQUERADED, MASQUERADED, "mode=masquerade")
        yield line(ONE, ONE)
        yield line(OTHER, ONE)
        yield line(HAIRPIN, HAIRPIN, "hairpin=on")
        yield line(FIRST_SIDE, FIRST_SIDE)
        yield line(FIRST_SIDE_MASQUERADED, FIRST_SIDE_MASQUERADED, "mode=masquerade")
        yield line(ENDS[0], ENDS[1])
        yield line(ENDS[1], ENDS[0])
        yield line(TWICE, TWICE_TCP, proto="tcp")
        yield line(TWICE, TWICE_UDP, proto="udp")
        yield line(EXACT, EXACT_TO)
        yield line(RANGE, RANGE_TO).replace(":%d:" % RANGE, ":%d-%d:" % (RANGE, RANGE + 4)) \
            .replace(":%d/" % RANGE_TO, ":%d-%d/" % (RANGE_TO, RANGE_TO + 4))


@pytest.fixture(scope="module")
def crowd(network):
    """The many clients' addresses."""
    def change(verb):
        network.client.run("ip", "-batch", "-", stdin="".join(
            "addr %s %s/%s dev eth0\n" % (verb, name, "64 nodad" if ":" in name else "24")
            for family in (V4, V6) for name in family.clients))
    change("add")
    yield
    change("del")


@pytest.fixture(scope="module")
def inside(network):
    """Another host of the LAN, which the server reaches by the router only."""
    space = w.Namespace("i")
    try:
        network.server.ip("link", "add", "inside", "link", "eth0", "type", "macvlan", "mode",
                          "private")
        network.server.ip("link", "set", "inside", "netns", space.name)
        space.ip("link", "set", "inside", "name", "eth0", "up")
        for family, bits in (V4, "24"), (V6, "64"):
            space.ip("addr", "add", family.inside + "/" + bits, "dev", "eth0",
                     *(["nodad"] if family is V6 else []))
            space.ip("route", "add", "default", "via", family.ours)
        yield space
    finally:
        space.remove()


@pytest.fixture(scope="module", params=in_mode.MODES)
def mode(request, network, crowd, inside):
    """The command, loaded in a mode, with all rules of these tests."""
    for feature in "tx", "txvlan":
        inside.run("ethtool", "-K", "eth0", feature,
                   "off" if in_mode.sees_frames(request.param) else "on", check=False)
    with in_mode.loaded(network, request.param, "--snat-ports",
                        "%d-%d" % (FIRST, LAST)) as xdnat:
        xdnat("rule", "add", "-", stdin="\n".join(rules()) + "\n")
        yield xdnat


@pytest.fixture(autouse=True)
def no_flows(request):
    """Every case finds all ports free."""
    yield
    if "mode" in request.fixturenames:
        request.getfixturevalue("mode")("flow", "flush", "--yes")


def talk_across(talks, turns=2):
    """All speak before any listens: answers meet."""
    for turn in range(turns):
        texts = [("%d of %s %d, turn %d " % (n, *one.sock.getsockname()[:2], turn)).encode() * 20
                 for n, one in enumerate(talks)]
        for one, text in zip(talks, texts):
            one.say(text)
        for one, text in reversed(list(zip(talks, texts))):
            one.hear(text)


@FAMILIES
@PROTOS
def test_many_clients_with_one_source_port(network, mode, service, family, proto):
    """T072: each gets its own answers and is seen as itself. T073: masqueraded, the
    server sees one address and as many ports."""
    sport = next(SPORTS)
    for port in ONE, MASQUERADED:
        serve(service, network.server, port, proto, family.server)
    with closing() as begin:
        plain, masqueraded = ([
            begin(network.client, proto, name, family.listener, port, sport)
            for name in family.clients[:CLIENTS]] for port in (ONE, MASQUERADED))
        assert [one.seen for one in plain] == [
            (name, sport) for name in family.clients[:CLIENTS]]
        assert sorted(one.seen for one in masqueraded) == [
            (family.ours, port) for port in range(FIRST, LAST + 1)]
        talk_across(plain + masqueraded)


@FAMILIES
@PROTOS
def test_flows_that_collide(network, mode, service, family, proto):
    """T074: one client port through two listeners to one target. The second flow leaves
    with another port, its client's address stays, no answer goes to the other."""
    sport = next(SPORTS)
    serve(service, network.server, ONE, proto, family.server)
    with closing() as begin:
        pairs = [tuple(begin(network.client, proto, name, family.listener, port, sport)
                       for port in (ONE, OTHER)) for name in family.clients[:CLIENTS]]
        for name, (one, other) in zip(family.clients, pairs):
            assert one.seen == (name, sport)
            assert other.seen[0] == name and FIRST <= other.seen[1] <= LAST
        talk_across([one for pair in pairs for one in pair])


def attempt(stack, network, proto, name, family, sport):
    """A client who gets no answer."""
    sock = stack.enter_context(sock_at(network.client, proto, name, sport))
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect((family.listener, MASQUERADED))
        sock.send(b"hello")


def refused(mode, network, proto, family, name):
    """Asks once more, in vain: it is counted."""
    before = in_mode.counted(mode, "no_port")
    with contextlib.ExitStack() as stack:
        attempt(stack, network, proto, name, family, next(SPORTS))
        w.wait(lambda: in_mode.counted(mode, "no_port") > before, "it is refused and counted")
    return not json_flows(mode, name)


def json_flows(mode, name):
    return mode("--json", "flow", "list", "src=" + name).stdout.splitlines()


@FAMILIES
@PROTOS
def test_range_runs_out(network, mode, service, family, proto):
    """T077: as many flows as ports; the next is refused and counted, none that is there
    loses its port. T078: the port of one that was ended rests 120 s, then it is given out
    again."""
    sport = next(SPORTS)
    serve(service, network.server, MASQUERADED, proto, family.server)
    *names, late = family.clients[:CLIENTS + 1]
    descriptors = {}

    def pinned(name):
        if name not in descriptors:
            descriptors[name] = stack.enter_context(Descriptor(mode.pin(name))).number
        return descriptors[name]

    with closing() as begin, contextlib.ExitStack() as stack:
        talks = [begin(network.client, proto, name, family.listener, MASQUERADED, sport)
                 for name in names]
        assert refused(mode, network, proto, family, late)
        talk_across(talks, 1)
        freed = talks.pop()
        mode("flow", "kill", "src=" + names[-1])
        freed.abandon()
        assert refused(mode, network, proto, family, late)
        assert "[::]:0" not in mode("flow", "list").stdout, "a rest is no flow"
        claim = Half(pinned, Packet(src=family.server, dst=family.ours, sport=MASQUERADED,
                                    dport=freed.seen[1], proto=TCP if proto == "tcp" else UDP))
        claim.age(REST_TICKS - 5)
        assert refused(mode, network, proto, family, late)
        claim.age(6)
        talks.append(begin(network.client, proto, late, family.listener, MASQUERADED,
                           next(SPORTS)))
        assert talks[-1].seen == freed.seen
        talk_across(talks, 1)


class Descriptor:
    """Of a pinned map."""

    def __init__(self, path):
        self.number = bpf.pinned(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.number)


@FAMILIES
@PROTOS
@pytest.mark.parametrize("is_masqueraded", [False, True], ids=["preserve", "masquerade"])
def test_port_0_makes_no_state(network, mode, family, proto, is_masqueraded):
    """T070: as a source it is counted as bad, as a destination it is nobody's."""
    before = in_mode.counted(mode, "bad_source")
    frames = [Packet(src=family.client, dst=family.listener, sport=sport, dport=dport,
                     proto=TCP if proto == "tcp" else UDP, smac=network.client.mac("eth0"),
                     dmac=network.router.mac("wan"), payload=b"" if proto == "tcp" else b"hello")
              for sport, dport in ((0, MASQUERADED if is_masqueraded else ONE), (5000, 0))]
    with network.client.entered():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with sock:
        sock.bind(("eth0", 0))
        for frame in reversed(frames):
            sock.send(frame.build())
    w.wait(lambda: in_mode.counted(mode, "bad_source") == before + 1, "it is counted")
    assert not json_flows(mode, family.client)


@FAMILIES
@PROTOS
def test_ports_at_the_ends_and_twice(network, mode, service, family, proto):
    """T071: 1 and 65535, as listener's, target's and client's port; one port with a rule
    for TCP and another for UDP; a range, and a single port within it that is another
    rule's."""
    expected = {ENDS[0]: ENDS[1], ENDS[1]: ENDS[0], EXACT: EXACT_TO,
                TWICE: TWICE_TCP if proto == "tcp" else TWICE_UDP,
                **{RANGE + n: RANGE_TO + n for n in (0, 1, 3, 4)}}
    for port in set(expected.values()) | {RANGE_TO + EXACT - RANGE, TWICE_TCP, TWICE_UDP}:
        serve(service, network.server, port, proto, family.server)
    with closing() as begin:
        talks = [begin(network.client, proto, family.client, family.listener, port,
                       {ENDS[0]: ENDS[1], ENDS[1]: ENDS[0]}.get(port, 0)) for port in expected]
        talk_across(talks)
        flows = {}
        for one, port in zip(talks, expected):
            assert one.seen == one.sock.getsockname()[:2]
            flows[port] = one.seen[1]
        listed = {flow["listener_port"]: flow["target_port"]
                  for flow in map(json.loads, json_flows(mode, family.client))}
        assert listed == expected and len(set(flows)) == len(expected)


def begin_at_once(*firsts):
    barrier = threading.Barrier(len(firsts))

    def one(first):
        barrier.wait()
        first()
    threads = [threading.Thread(target=one, args=(first,)) for first in firsts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@FAMILIES
@pytest.mark.parametrize("is_masqueraded", [False, True], ids=["preserve", "masquerade"])
def test_both_sides_send_first(network, mode, family, is_masqueraded):
    """T076: at once, and the server a little earlier. Both talk then; the client hears from
    nobody but the listener."""
    port = FIRST_SIDE_MASQUERADED if is_masqueraded else FIRST_SIDE
    with sock_at(network.server, "udp", family.server, port) as server:
        for sport in range(FIRST, FIRST + 12):
            whom = (family.ours if is_masqueraded else family.client), sport
            with sock_at(network.client, "udp", family.client, sport) as client:
                firsts = [lambda: client.sendto(b"client", (family.listener, port)),
                          lambda: server.sendto(b"early", whom)]
                if sport % 2:
                    firsts[1]()
                begin_at_once(*firsts)
                data, peer = server.recvfrom(100)
                assert (data, peer[:2]) == (b"client", whom)
                server.sendto(b"late", peer)
                heard = []
                while b"late" not in heard:
                    data, peer = client.recvfrom(100)
                    assert peer[:2] == (family.listener, port)
                    heard.append(data)
                assert heard in ([b"late"], [b"early", b"late"])


@FAMILIES
def test_simultaneous_open(network, mode, family):
    """T076: both sides' TCP connects to the other, no one listens (RFC 9293 section 3.5)."""
    with contextlib.ExitStack() as stack:
        pairs = []
        for sport in range(FIRST, FIRST + 4):
            server = stack.enter_context(sock_at(network.server, "tcp", family.server,
                                                 FIRST_SIDE))
            client = stack.enter_context(sock_at(network.client, "tcp", family.client, sport))
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                server.connect((family.client, sport))
            client.connect((family.listener, FIRST_SIDE))
            server.settimeout(20)
            pairs.append((client, server))
        for n, (client, server) in enumerate(pairs):
            w.wait(lambda: server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\1",
                   "established")
            for here, there in (client, server), (server, client):
                here.sendall(b"hello %d" % n)
                assert there.recv(100) == b"hello %d" % n


@FAMILIES
@PROTOS
def test_hairpin(network, mode, inside, service, family, proto):
    """RFC 4787 REQ-9, RFC 5382 REQ-8: LAN clients reach the server by its public address
    and are seen as the router, clients outside as who they are; at the same time, and the
    server itself, too."""
    serve(service, network.server, HAIRPIN, proto, family.server)
    with closing() as begin:
        talks = [begin(space, proto, source, family.listener, HAIRPIN, sport)
                 for space, source in ((inside, family.inside), (network.client, family.client),
                                       (network.server, family.server))
                 for sport in (next(SPORTS), next(SPORTS))]
        seen = [one.seen[0] for one in talks]
        assert seen == 2 * [family.ours] + 2 * [family.client] + 2 * [family.ours]
        talk_across(talks, 10)
