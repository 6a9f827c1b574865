# SPDX-License-Identifier: GPL-2.0-only
"""load on what the version before runs, whose flows are stored otherwise: its programs
are replaced while packets flow, and rules, settings and flows go on."""
import contextlib
import json
import os
import resource
import signal
import time

import bpf
import earlier
import pytest
import talk
import talks
import world as w
from killed import calls, traced
from network import CLIENT, CLIENT6, ROUTER, ROUTER6, SERVER, SERVER6
from numbered import Stream
from traces import lives, pinned_ids, shape
from under_load import Transfers, reasons_to_drop

SIDES = {"v4": (CLIENT, ROUTER, SERVER), "v6": (CLIENT6, ROUTER6, SERVER6)}
MODES = {"preserve": 8000, "masquerade": 8100}  # and the ports of their listeners
# Of all forms; no packet comes for these.
OTHER_RULES = ["30000-30099:10.0.0.5:40000-40099/udp name=range except=30050",
               "*:10.0.0.5/tcp name=any enabled=no", "7000:local:7001 name=self mss=1300",
               "203.0.113.1:443:10.0.0.5:4443 name=some allow=203.0.113.0/24 deny=203.0.113.7",
               "[2001:db8::1]:443:[fd00::5]:4443 hairpin=on comment=six"]
ECHO = "%s:8080:%s:80" % (ROUTER, SERVER)
BULK = "%s:8081:%s:81" % (ROUTER, SERVER)
FLOWS = 100000
RATE = 3000


@pytest.fixture(scope="session")
def binary():
    return earlier.build()


@pytest.fixture
def before(xdnat, binary):
    """The command of the version before, nothing loaded."""
    return earlier.Xdnat(xdnat.namespace, binary)


def is_migrated(xdnat):
    """Nothing is there of the version before."""
    assert os.listdir(xdnat.pins) == ["v%d" % bpf.ABI]
    pid = xdnat.daemon()
    return pid and os.path.samefile("/proc/%d/exe" % pid,
                                    os.path.join(os.path.dirname(w.XDNAT), "xdnatd"))


# Everything goes on


def add_all(command):
    for _, router, server in SIDES.values():
        for mode, base in MODES.items():
            for proto in talks.KINDS:
                command("rule", "add", *talks.rule(router, base, server, base + 1, proto,
                                                   "mode=" + mode).split())
    for line in OTHER_RULES:
        command("rule", "add", *line.split())


@pytest.fixture
def begin(network, service):
    """begin(): a conversation of each family, protocol and mode."""
    for _, _, server in SIDES.values():
        for base in MODES.values():
            for proto in talks.KINDS:
                talks.serve(service, network.server, base + 1, proto, server)
    with talks.closing() as start:
        yield lambda: [start(network.client, proto, client, router, base)
                       for client, router, _ in SIDES.values()
                       for base in MODES.values() for proto in talks.KINDS]


def flows(command):
    """What flow list says, but for what time alone changes."""
    told = map(json.loads, command("--json", "flow", "list").stdout.splitlines())
    return sorted(({key: value for key, value in row.items()
                    if key not in ("idle_sec", "left_sec")} for row in told), key=str)


def settled(command):
    """The same once no acknowledgement is to come any more."""
    seen = [None]

    def is_same():
        seen.append(flows(command))
        return seen[-2] == seen[-1]
    w.wait(is_same, "nothing is under way", step=0.3)
    return seen[-1]


def packets(rows):
    """Of each flow, in both directions."""
    return {(row["proto"], row["client"], row["client_port"]): (row["packets_original"],
                                                                row["packets_reply"])
            for row in rows}


def settings(command):
    """What status says, but for the daemon, the version and what the tables take."""
    told = command.json("status")
    told.pop("daemon_pid", None)
    for family in told["flows"].values():
        del family["bytes"], family["bytes_per_flow"]
    return told


@pytest.mark.parametrize("mode", ["native", "tc"])
def test_all_goes_on(request, network, xdnat, before, begin, mode):
    """Flows, at each side, with their counters; rules, ids, totals, settings. What was
    before is gone, and so is everything after unload."""
    if mode == "tc":
        request.getfixturevalue("offloads")
    empty = shape(network)
    before("load", "wan", "lan", "--mode", mode, "--flows", "999", "--snat-ports", "20000-20999")
    add_all(before)
    talking, first_daemon, ids = begin(), before.daemon(), pinned_ids(before.pins)
    for one in talking:
        one.exchange(b"before")
    had = settled(before)
    assert len(had) == len(talking) == 8
    lines = before("rule", "list", "--format", "commands").stdout
    totals, said = before.json("stats")["rules"], settings(before)
    assert "8 flows" in xdnat("load").stderr
    assert is_migrated(xdnat) and xdnat.daemon() != first_daemon
    assert flows(xdnat) == had
    assert xdnat("rule", "list", "--format", "commands").stdout == lines
    assert xdnat.json("stats")["rules"] == totals
    assert settings(xdnat) == said
    for one in talking + begin():
        one.exchange(b"after")
    grown, now = packets(had), packets(flows(xdnat))
    assert len(now) == 16
    assert all(after > was for key in grown for was, after in zip(grown[key], now[key])), now
    kept = pinned_ids(xdnat.pins)
    w.wait(lambda: not [one for one in ids - kept if lives(*one)], "what was before is gone")
    assert {kind for kind, _ in ids & kept} == ({"map", "link"} if mode == "native" else {"map"})
    xdnat("unload", "--all")
    assert shape(network) == empty
    w.wait(lambda: not [one for one in kept if lives(*one)], "all is gone")


def test_unanswered_flows_and_resting_ports_go_on(network, xdnat, before, service):
    """A flow without an answer is answered later; a port that rests after its flow's
    end is given to nobody else."""
    line = talks.rule(ROUTER, 5300, SERVER, 53, "udp", "mode=masquerade")
    before("load", "wan", "lan", "--mode", "native", "--snat-ports", "20000-20001")
    before("rule", "add", *line.split())
    with contextlib.ExitStack() as stack:
        waiting, other = (stack.enter_context(talks.sock_at(network.client, "udp", CLIENT))
                          for _ in range(2))
        server = stack.enter_context(talks.sock_at(network.server, "udp", SERVER, 53))
        with talks.sock_at(network.client, "udp", CLIENT) as ended:
            ended.connect((ROUTER, 5300))
            ended.send(b"hello")
            server.sendto(b"answer", server.recvfrom(100)[1])
            assert ended.recv(100) == b"answer"
            before("flow", "kill", "src=%s:%d" % ended.getsockname())
        for sock in waiting, other:
            sock.connect((ROUTER, 5300))
        waiting.send(b"first")
        peer = server.recvfrom(100)[1]
        xdnat("load")
        waiting.send(b"second")
        assert server.recvfrom(100) == (b"second", peer)
        flow = xdnat.json("flow", "list")
        assert (flow["state"], flow["packets_original"]) == ("embryo", 2)
        server.sendto(b"answer", peer)
        assert waiting.recv(100) == b"answer"
        assert xdnat.json("flow", "list")["state"] == "answered"
        other.send(b"third")
        w.wait(lambda: "no_port" in reasons_to_drop(xdnat), "no port is free")


def test_nothing_is_lost_under_load(network, xdnat, before, service, queues):
    """T153, R3: no datagram of a flow, answered or not, is missing or comes twice;
    transfers are whole and new ones begin; no program has a reason to drop a packet."""
    service(network.server, talk.accepting(talk.echo), 81, SERVER)
    before("load", "wan", "lan", "--mode", "native")
    before("rule", "add", *BULK.split())
    streams = []
    for _, router, server in SIDES.values():
        for mode, port in MODES.items():
            before("rule", "add", *talks.rule(router, port, server, port, "udp",
                                              "mode=" + mode).split())
            streams.append(Stream(network.client, (router, port), network.server, (server, port),
                                  RATE, "answer"))
    before("rule", "add", *talks.rule(ROUTER, 9000, SERVER, 9000, "udp").split())
    streams.append(Stream(network.client, (ROUTER, 9000), network.server, (SERVER, 9000), RATE))
    transfers = Transfers(network.client, 10)
    try:
        w.wait(lambda: int(before.json("flow", "count")["count"]) >= 15, "all are at it")
        had, done = packets(flows(before)), transfers.done
        xdnat("load")
        now = packets(flows(xdnat))
        assert all(now[key] >= had[key] for key in had if key[0] == "udp"), "made anew"
        w.wait(lambda: transfers.done >= done + 20, "new connections", 60)
    finally:
        transfers.stop()
        told = [stream.stop() for stream in streams]
    lost = sum(one["sent"] - one["total"] for one in told)
    dropped, reasons = queues(), reasons_to_drop(xdnat)
    print(told, dropped, reasons)
    assert not reasons
    assert all(one["different"] == one["total"] and one["sent"] > RATE for one in told), told
    assert lost <= sum(dropped.values()), told


def processor_seconds():
    """Of all commands that have ended: what others do meanwhile does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_many_flows_are_quick(network, xdnat, before, service):
    """T154: 100,000 flows in seconds, while one goes on; none is forgotten. The daemon
    that is not wanted is not there."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    before("load", "wan", "lan", "--mode", "native", "--flows", str(2 * FLOWS))
    before("rule", "add", *ECHO.split())
    with talk.dial(network.client, ROUTER, 8080, sport=40404) as sock:
        assert talk.ask(sock, b"before") == b"before"
        earlier.fill(before, sock.getsockname(), FLOWS)
        assert int(before.json("flow", "count")["count"]) == FLOWS + 1
        started = time.monotonic(), processor_seconds()
        told = xdnat("load", "--no-daemon").stderr
        spent = processor_seconds() - started[1]
        print("%.1f s, %.1f s of a processor" % (time.monotonic() - started[0], spent), told)
        assert spent < 10 * w.SLOW
        assert "%d flows" % (FLOWS + 1) in told and "daemon" in told and not xdnat.daemon()
        assert int(xdnat.json("flow", "count")["count"]) == FLOWS + 1
        assert talk.ask(sock, b"after") == b"after"


# What goes wrong


@pytest.fixture
def echoing(network, before, service):
    """Loaded by the version before, with a connection through it: ask() it at any time."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    before("load", "wan", "lan", "--mode", "native", "--flows", "64")
    before("rule", "add", *ECHO.split())
    with talk.dial(network.client, ROUTER, 8080) as sock:
        before.ask = lambda text: talk.ask(sock, text) == text
        assert before.ask(b"before")
        yield before


def test_nothing_but_load_until_then(network, xdnat, echoing):
    """Every command says what to type; a load that cannot be leaves all as it was."""
    pins, daemon = sorted(os.listdir(echoing.pins)), echoing.daemon()
    for words in (["status"], ["rule", "list"], ["rule", "add", "82:" + SERVER], ["flow", "list"],
                  ["stats"], ["unload", "wan"], ["flow", "count"]):
        said = xdnat.refused(5, *words)
        assert "type: xdnat load " in said and "ABI 3" in said, said
    assert "64 flows" in xdnat.refused(5, "load", "--flows", "65")
    elsewhere = network.client.run(w.XDNAT, "--instance", xdnat.instance, "load", check=False)
    assert elsewhere.returncode == 5 and "network namespace" in elsewhere.stderr
    assert sorted(os.listdir(echoing.pins)) == pins == ["v3"]
    assert echoing.daemon() == daemon and echoing.ask(b"still")
    xdnat("load")
    assert "xdnat load" not in xdnat("status").stdout
    assert "ABI %d" % bpf.ABI in echoing.refused(5, "rule", "list")


def test_unload_all_takes_it_off(network, xdnat, before):
    """Without upgrading first; what waits to be confirmed, or is damaged, is not upgraded."""
    empty = shape(network)
    before("load", "wan", "lan", "--mode", "native", "--confirm", "300")
    before("rule", "add", *ECHO.split())
    assert "xdnat confirm" in xdnat.refused(5, "load")
    xdnat("confirm")
    os.unlink(before.pin("xdnat_rules"))
    assert "xdnat unload --all" in xdnat.refused(5, "load")
    assert os.listdir(before.pins) == ["v3"] and before.daemon()
    assert "managed" in network.router.ip("neigh", "show", SERVER)
    xdnat("unload", "--all")
    assert shape(network) == empty


def test_swap_that_fails_is_rolled_back(network, xdnat, echoing, tmp_path):
    """When all interfaces run the new programs: all run the earlier ones again, as
    pinned, and it can be tried again."""
    done = traced(xdnat, tmp_path / "trace", "load", inject="renameat2:error=ENOMEM:when=3")
    assert done.returncode == 1 and "Cannot allocate memory" in done.stderr, done
    assert "the earlier version goes on, but its daemon was stopped" in done.stderr, done
    assert os.listdir(echoing.pins) == ["v3"]
    assert echoing.ask(b"failed")
    echoing("load")
    assert echoing.ask(b"the version before")
    xdnat("load")
    assert is_migrated(xdnat) and echoing.ask(b"after")


# Where to kill, as strace has it; None: the third filter that is replaced.
SWAPPED = {
    "all are swapped": "renameat2:signal=SIGKILL:when=1",
    "earlier pins are being removed": "unlink:signal=SIGKILL:when=25",
    "all is copied": "rename:signal=SIGKILL:when=3",
}
POINTS = {
    "one interface is swapped": None,
    **SWAPPED,
    "maps are pinned": "rename:signal=SIGKILL:when=2",
    "earlier daemon is ending": "pidfd_send_signal:signal=SIGKILL:when=1",
}
USUAL = 3  # of them, when there is not much time
LINES = 20


def ask_much(sock):
    for _ in range(LINES):
        assert talk.ask(sock, b"before") == b"before"


def third_filter(xdnat, trace):
    """Its place among the system calls of that name, by a whole migration."""
    assert traced(xdnat, trace, "load").returncode == 0
    at = [n for n, (_, line) in enumerate(calls(trace)) if "RTM_NEWTFILTER" in line][2]
    xdnat("unload", "--all")
    return sum(1 for name, _ in calls(trace)[:at + 1] if name == "sendto")


def finish(xdnat, talking):
    """The next load, after one that was killed: flows go on, and were not made anew."""
    if "v3" in os.listdir(xdnat.pins):
        assert "type: xdnat load " in xdnat.refused(5, "rule", "list")
    xdnat("load")
    assert is_migrated(xdnat) and xdnat.is_on("wan") and xdnat.is_on("lan")
    counted = packets(flows(xdnat))
    for sock in talking:
        assert counted["tcp", *sock.getsockname()][0] > LINES
        assert talk.ask(sock, b"after") == b"after"


@pytest.mark.parametrize("where", list(POINTS)[:len(POINTS) if w.LONG else USUAL])
def test_killed_anywhere(network, xdnat, before, service, tmp_path, where):
    """T155, R7: a connection does not notice, the next load finishes it, and `unload
    --all` of both versions leaves nothing."""
    empty, trace = shape(network), str(tmp_path / "trace")
    service(network.server, talk.accepting(talk.echo), 80, SERVER)

    def load():
        before("load", "wan", "lan", "--mode", "native", "--flows", "64")
        before("rule", "add", *ECHO.split())

    how = POINTS[where]
    if not how:
        load()
        how = "sendto:signal=SIGKILL:when=%d" % third_filter(xdnat, trace)
    usual = [None, before] if where == "all are swapped" else [None]
    for ending in [None, xdnat, before] if w.LONG else usual:
        load()
        with talk.dial(network.client, ROUTER, 8080) as sock, contextlib.ExitStack() as stack:
            ask_much(sock)
            done = traced(xdnat, trace, "load", inject=how)
            assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done
            assert talk.ask(sock, b"killed") == b"killed"
            talking = [sock]
            if where in SWAPPED:
                talking.append(stack.enter_context(talk.dial(network.client, ROUTER, 8080)))
                ask_much(talking[1])
            ids = pinned_ids(xdnat.pins)
            if not ending:
                finish(xdnat, talking)
        ids |= pinned_ids(xdnat.pins)
        if "v3" not in os.listdir(xdnat.pins):
            ending = xdnat  # only we can take off without a trace what is ours by now
        (ending or xdnat)("unload", "--all")
        assert shape(network) == empty
        w.wait(lambda: not [one for one in ids if lives(*one)], "all is gone")
