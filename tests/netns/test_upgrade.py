# SPDX-License-Identifier: GPL-2.0-only
"""load on a loaded instance replaces its programs in place: nothing is lost, a
program that is no good is not let in, and a loader that is killed harms nothing."""
import json
import os
import shutil
import signal

import bpf
import pytest
import talk
import world as w
from killed import calls, points, run_killed, traced
from network import ROUTER, SERVER
from numbered import Stream
from traces import lives, pinned_ids, shape
from under_load import Transfers, reasons_to_drop

RULE = "%s:8080:%s:80" % (ROUTER, SERVER)
BULK_RULE = "%s:8081:%s:81" % (ROUTER, SERVER)
UDP_RULE = "%s:5300:%s:53/udp" % (ROUTER, SERVER)
PROGRAMS = "xdnat_xdp", "xdnat_ingress", "xdnat_egress", "xdnat_flow_end", "xdnat_clock"
ROUNDS = 100 if w.LONG else 10
RATE = 20000


def programs(xdnat):
    """Ids of the pinned programs and of those that the interfaces run."""
    links = json.loads(xdnat.namespace.ip("-j", "-d", "link", "show"))
    found = {link["ifname"]: link["xdp"]["prog"]["id"] for link in links if "xdp" in link}
    for name in PROGRAMS:
        found[name] = bpf.kind_and_id(xdnat.pin(name))[1]
    for device in "wan", "lan":
        for way in "ingress", "egress":
            filters = json.loads(xdnat.namespace.run("tc", "-j", "filter", "show", "dev", device,
                                                     way).stdout)
            found[device + " " + way], = [one["options"]["prog"]["id"] for one in filters
                                          if "prog" in one.get("options", ())]
    return found


def are_pinned_ones(found):
    """What runs on the interfaces."""
    for device in "wan", "lan":
        assert [found[device], found[device + " ingress"], found[device + " egress"]] == [
            found["xdnat_xdp"], found["xdnat_ingress"], found["xdnat_egress"]], found


def maps(xdnat):
    return {one for one in pinned_ids(xdnat.pins) if one[0] == "map"}


def used_maps(program):
    """Ids of the maps that a program uses, its constants among them."""
    return set(json.loads(w.run("bpftool", "-j", "prog", "show", "id", program).stdout)["map_ids"])


def rows(change, **modes):
    return [{"name": name, "mode": mode, "auto": False, "why": None, "shared": False,
             "change": change}
            for name, mode in modes.items()]


@pytest.fixture
def echoing(network, native, service):
    """Loaded, with a connection through it: ask() it at any time."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    native("rule", "add", RULE)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        native.ask = lambda text: talk.ask(sock, text) == text
        assert native.ask(b"before")
        yield native


def test_load_again_replaces_programs_only(echoing):
    """Not the maps, rules, flows, nor the daemon, who lets go of the old ones."""
    before, tables, daemon = programs(echoing), maps(echoing), echoing.daemon()
    flows, used = echoing.json("flow", "list"), used_maps(programs(echoing)["wan"])
    told = echoing.json("load", "wan")["interfaces"]
    assert sorted(told, key=lambda row: row["name"]) == rows("upgraded", lan="native",
                                                             wan="native")
    after = programs(echoing)
    assert not set(before.values()) & set(after.values())
    are_pinned_ones(after)
    assert maps(echoing) == tables
    assert used & used_maps(after["wan"]) == {n for _, n in tables} & used
    assert echoing.daemon() == daemon
    assert echoing.ask(b"after")
    assert echoing.json("flow", "list")["client_port"] == flows["client_port"]
    assert RULE in echoing("rule", "list", "--format", "commands").stdout
    w.wait(lambda: not [n for n in before.values() if lives("prog", n)], "old programs are gone")
    assert not [name for name in os.listdir(os.path.dirname(echoing.pin(""))) if
                name.startswith("new_")]


def test_options_not_given_stay(xdnat):
    """T155: the modes of each interface, the size of the tables."""
    xdnat("load", "wan", "--mode", "native", "--flows", "999")
    xdnat("load", "lan", "--mode", "generic")
    tables = maps(xdnat)
    assert "upgraded (native)" in xdnat("load", "wan", "lan").stdout
    assert {row["name"]: row["mode"] for row in xdnat.json("status")["interfaces"]} == {
        "wan": "native", "lan": "generic"}
    assert maps(xdnat) == tables


def test_daemon_of_another_file_is_replaced(echoing, tmp_path):
    """A package was upgraded: the next load starts its daemon, and keeps that."""
    first = echoing.daemon()
    for name in "xdnat", "xdnatd":
        shutil.copy2(os.path.join(os.path.dirname(w.XDNAT), name), tmp_path)
    newer = tmp_path / "xdnat"
    pids = set()
    for _ in range(2):
        echoing.namespace.run(newer, "--instance", echoing.instance, "load")
        pids.add(echoing.daemon())
        assert os.path.samefile("/proc/%d/exe" % echoing.daemon(), tmp_path / "xdnatd")
    assert len(pids) == 1 and first not in pids
    w.wait(lambda: not os.path.exists("/proc/%d" % first), "the first one is gone")
    assert echoing.ask(b"after")


# What is broken in the new program: file, text, what stands there instead; and the
# exit code and words of the refusal.
DAMAGES = {
    "checksum": ("csum.bpf.h", "sum = (__u16)check - delta;",
                 "sum = (__u16)check - delta + 1;", 1, "IPv4 TCP: byte 24 "),
    "hop limit": ("rewrite.bpf.h", "\tip->hop_limit--;\n", "", 1, "IPv6 TCP: byte 21 "),
    "delta of a new flow": ("rewrite.bpf.h", "bpf_htons(0x0100), 0)", "bpf_htons(0x0200), 0)", 1,
                            "answer: IPv4 TCP: byte 24 "),
    "foreign packets": ("xdnat.bpf.c", "frame_bytes);\n\t\treturn XDP_PASS;",
                        "frame_bytes);\n\t\treturn XDP_DROP;", 1,
                        "foreign IPv4 TCP packet: XDP action 1, not 2"),
    "tc's hop limit": ("skb_headers.bpf.h", "tail.ttl -= hops;", "tail.ttl -= 2 * hops;", 1,
                       "IPv4 TCP: byte 22 "),
    "tc's checksum": ("skb_headers.bpf.h", "headers->check, 0, ports,",
                      "headers->check, 0, ports + 1,", 1, "IPv4 TCP: byte 50 "),
    "tc egress": ("skb.bpf.h", "\t\treturn skb_rewrite(skb, making, l2_bytes, 0);",
                  "\t\treturn skb_rewrite(skb, making, l2_bytes, 1);", 1, "IPv4 TCP: byte 22 "),
    "refused by the verifier": ("xdnat.bpf.c", "XDNAT_HOOK_XDP, reason, 1, frame_bytes",
                                "XDNAT_HOOK_XDP, reason, 1, frame_bytes + *(__u8 *)(long)ctx->data",
                                7,
                                "the kernel does not take the program"),
}


def build_damaged(tmp_path, damage):
    """A copy of the tree with that damage, built: its xdnat."""
    name, text, instead = DAMAGES[damage][:3]
    build = os.path.dirname(w.XDNAT)
    for part in "bpf", "include", "user", "Makefile":
        w.run("cp", "-a", os.path.join(bpf.ROOT, part), tmp_path)
    w.run("cp", "-a", build, tmp_path / "build")
    source = tmp_path / "bpf" / name
    whole = source.read_text()
    assert whole.count(text) == 1, "%s says no more: %s" % (name, text)
    source.write_text(whole.replace(text, instead))
    w.run("make", "-C", tmp_path, "B=build", "build/xdnat", "build/xdnatd", timeout=300)
    return str(tmp_path / "build" / "xdnat")


@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_program_is_not_let_in(echoing, tmp_path, damage):
    """T155, R3: neither in place of a good one nor at the first load."""
    code, words = DAMAGES[damage][3:]
    binary = build_damaged(tmp_path, damage)
    before, daemon = programs(echoing), echoing.daemon()

    def load(*options):
        done = echoing.namespace.run(binary, "--instance", echoing.instance, "load", *options,
                                     check=False)
        assert done.returncode == code, done
        assert words in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    load()
    assert programs(echoing) == before and echoing.daemon() == daemon
    assert echoing.ask(b"after")
    if damage == "checksum":
        echoing("unload", "--all")
        load("wan", "lan")
        assert not os.path.exists(echoing.pins) and not os.path.exists(echoing.run_dir)


@pytest.mark.parametrize("what", ["BPF_LINK_UPDATE", "BPF_OBJ_PIN", "rename", "RTM_NEWTFILTER"])
def test_swap_that_fails_is_rolled_back(echoing, tmp_path, what):
    """At the last link, pin or renaming: all run the old program, as pinned."""
    trace = tmp_path / "trace"
    assert traced(echoing, trace, "load").returncode == 0
    made = calls(trace)
    last = max(n for n, (_, line) in enumerate(made) if what in line)
    call = made[last][0]
    when = sum(1 for name, _ in made[:last + 1] if name == call)
    before, tables = programs(echoing), maps(echoing)
    done = traced(echoing, trace, "load", inject="%s:error=ENOMEM:when=%d" % (call, when))
    assert done.returncode == 1 and "Cannot allocate memory" in done.stderr, done
    after = programs(echoing)
    assert maps(echoing) == tables
    assert after == before
    assert echoing.ask(b"after")
    echoing("load")
    assert len(set(programs(echoing).values())) == len(PROGRAMS)


@pytest.fixture
def sweeping(network, xdnat, service, tmp_path):
    """What every kill must leave possible: load, forward, unload without a trace."""
    before, trace = shape(network), str(tmp_path / "trace")
    service(network.server, talk.accepting(talk.echo), 80, SERVER)

    def is_forwarding():
        xdnat("rule", "add", RULE)
        with talk.dial(network.client, ROUTER, 8080) as sock:
            return talk.ask(sock, b"hello") == b"hello"

    def nothing_is_left(point):
        assert shape(network) == before, point
    xdnat.load = "load", "wan", "lan", "--mode", "native", "--flows", "64"
    xdnat.trace, xdnat.is_forwarding, xdnat.nothing_is_left = (trace, is_forwarding,
                                                               nothing_is_left)
    return xdnat


def unload_all(xdnat, point):
    ids = pinned_ids(xdnat.pins)
    xdnat("unload", "--all")
    xdnat.nothing_is_left(point)
    w.wait(lambda: not [one for one in ids if lives(*one)], "%s: all is gone" % (point,))


def test_first_load_killed_anywhere(sweeping):
    """T155, R7: the next one finishes it, the one after that finds it done."""
    traced(sweeping, sweeping.trace, *sweeping.load)
    unload_all(sweeping, "no kill")
    for point in points(sweeping.trace, 7):
        run_killed(sweeping, sweeping.trace, point, *sweeping.load)
        sweeping(*sweeping.load)
        assert sweeping.is_forwarding(), point
        unload_all(sweeping, point)


def test_upgrade_killed_anywhere(network, sweeping):
    """T155, R3, R7: a connection never notices; the next load finishes it."""
    sweeping(*sweeping.load)
    assert sweeping.is_forwarding()
    traced(sweeping, sweeping.trace, "load")
    with talk.dial(network.client, ROUTER, 8080) as sock:
        for point in points(sweeping.trace, 7):
            run_killed(sweeping, sweeping.trace, point, "load")
            assert talk.ask(sock, b"killed") == b"killed", point
            before = programs(sweeping)
            sweeping("load")
            after = programs(sweeping)
            assert not set(before.values()) & set(after.values()), point
            are_pinned_ones(after)
            assert talk.ask(sock, b"loaded") == b"loaded", point
    unload_all(sweeping, "at the end")


def test_unload_killed_anywhere(sweeping):
    """R7: the next unload or load copes with what is left."""
    sweeping(*sweeping.load)
    traced(sweeping, sweeping.trace, "unload", "--all")
    for n, point in enumerate(points(sweeping.trace, 6)):
        sweeping(*sweeping.load)
        assert sweeping.is_forwarding(), point
        ids = pinned_ids(sweeping.pins)
        run_killed(sweeping, sweeping.trace, point, "unload", "--all")
        if n % 2:
            sweeping(*sweeping.load, check=False)
        sweeping("unload", "--all", check=False)
        sweeping.nothing_is_left(point)
        w.wait(lambda: not [one for one in ids if lives(*one)], "%s: all is gone" % (point,))


def test_upgrades_and_restarts_under_load(network, native, service, queues):
    """T153, T154, R2, R3: no datagram is missing or comes twice, transfers are whole, and
    no program, old or new, has a reason to drop a packet."""
    service(network.server, talk.accepting(talk.echo), 81, SERVER)
    native("rule", "add", UDP_RULE)
    native("rule", "add", BULK_RULE)
    stream = Stream(network.client, (ROUTER, 5300), network.server, (SERVER, 53), RATE)
    transfers = Transfers(network.client, 20)
    count = 0
    try:
        w.wait(lambda: int(native.json("flow", "count")["count"]) >= 21, "all are at it")
        for _ in range(ROUNDS):
            flow = native.json("flow", "list", "proto=udp")
            daemon = native.daemon()
            os.kill(daemon, signal.SIGKILL)
            w.wait(lambda: native.daemon() is None, "the daemon is dead")
            native("load")
            assert native.daemon() not in (None, daemon)
            assert native.json("flow", "list", "proto=udp")["client_port"] == flow["client_port"]
            before, count = count, native.forwarded()
            assert count > before
    finally:
        done = transfers.stop()
        told = stream.stop()
    told["queues"], told["reasons"] = queues(), reasons_to_drop(native)
    print(told, "transfers:", done)
    assert not told["reasons"], told
    assert told["different"] == told["total"], told
    assert told["sent"] - told["total"] <= sum(told["queues"].values()), told
    assert told["sent"] / told["seconds"] > RATE / 4, told
    assert done >= 20
