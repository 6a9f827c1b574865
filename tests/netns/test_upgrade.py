# SPDX-License-Identifier: GPL-2.0-only
"""load on a loaded instance replaces its programs in place: nothing is lost, a
program that is no good is not let in, and a loader that is killed harms nothing."""
import json
import os
import re
import shutil
import signal
import socket
import threading
import time

import bpf
import pytest
import talk
import world as w
from network import ROUTER, SERVER
from numbered import Stream
from traces import lives, pinned_ids, shape

RULE = "%s:8080:%s:80" % (ROUTER, SERVER)
BULK_RULE = "%s:8081:%s:81" % (ROUTER, SERVER)
UDP_RULE = "%s:5300:%s:53/udp" % (ROUTER, SERVER)
PROGRAMS = "xdnat_xdp", "xdnat_ingress", "xdnat_egress", "xdnat_flow_end", "xdnat_clock"
CALLS = "bpf,mkdir,rename,renameat2,unlink,rmdir,clone,pidfd_send_signal,write,ftruncate,sendto"
# What leaves something behind that outlives the caller. Killed at any other call it
# leaves what it would have left at the next of these.
LASTING = re.compile(r"bpf\(BPF_(MAP_(UPDATE|DELETE)|OBJ_PIN|LINK_(CREATE|UPDATE|DETACH)|"
                     r"PROG_LOAD)|sendto\(.*RTM_(NEW|DEL)(QDISC|TFILTER)|(mkdir|rename|unlink|rmdir|clone|pidfd|write|ftruncate)")
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
    "checksum": ("csum.bpf.h", "sum = (__u16)~check + delta;",
                 "sum = (__u16)~check + delta + 1;", 1, "IPv4 TCP: byte 24 "),
    "hop limit": ("rewrite.bpf.h", "\tip->hop_limit--;\n", "", 1, "IPv6 TCP: byte 21 "),
    "delta of a new flow": ("rewrite.bpf.h", "bpf_htons(0x0100), 0)", "bpf_htons(0x0200), 0)", 1,
                            "answer: IPv4 TCP: byte 24 "),
    "foreign packets": ("xdnat.bpf.c", "\t\treturn XDP_PASS;", "\t\treturn XDP_DROP;", 1,
                        "foreign IPv4 TCP packet: XDP action 1, not 2"),
    "tc's hop limit": ("skb.bpf.h", "tail.ttl -= hops;", "tail.ttl -= 2 * hops;", 1,
                       "IPv4 TCP: byte 22 "),
    "tc's checksum": ("skb.bpf.h", "headers->check, 0, ports,", "headers->check, 0, ports + 1,",
                      1, "IPv4 TCP: byte 50 "),
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


def traced(xdnat, trace, *words, inject=None):
    """Runs it under strace, which may interfere; what it starts goes its own way."""
    return xdnat.namespace.run(
        "strace", "-o", trace, "-e", "trace=" + CALLS,
        *(["-e", "inject=" + inject] if inject else []),
        w.XDNAT, "--instance", xdnat.instance, *words, check=False, timeout=120)


def calls(trace):
    """[(system call, line)] in a trace."""
    with open(trace) as lines:
        found = [re.match(r"(\w+)\(", line) for line in lines]
    with open(trace) as lines:
        return [(match.group(1), line) for match, line in zip(found, lines) if match]


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


def points(trace, count):
    """Where to kill: (call, n-th of its kind); count of them, or all if there is time."""
    seen, found = {}, []
    for name, line in calls(trace):
        seen[name] = seen.get(name, 0) + 1
        if LASTING.match(line):
            found.append((name, seen[name]))
    assert len(found) > count
    step = 1 if w.LONG else len(found) / count
    return [found[int(n * step)] for n in range(len(found) if w.LONG else count)]


def run_killed(xdnat, trace, point, *words):
    done = traced(xdnat, trace, *words, inject="%s:signal=SIGKILL:when=%d" % point)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL, 0), (point, done)


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


class Transfers:
    """So many at a time, each followed by the next until stop(), at a pace that leaves
    the processors time."""
    BYTES, PIECE, PAUSE = 1 << 20, 1 << 14, 0.02

    def __init__(self, space, count):
        self.done, self.errors, self.is_ending = 0, [], False
        self.threads = [threading.Thread(target=self._run, args=(space,), daemon=True)
                        for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, space):
        try:
            while not self.is_ending:
                with talk.dial(space, ROUTER, 8081, 60) as sock:
                    self._transfer(sock)
                self.done += 1
        except (OSError, AssertionError) as error:
            self.errors.append(error)

    def _transfer(self, sock):
        """Up a piece, down its echo: the whole is compared by its hash."""
        whole = talk.random_block(self.done)
        sent, returned = talk.hashlib.sha256(), talk.hashlib.sha256()
        for start in range(0, self.BYTES, self.PIECE):
            piece = whole[start:start + self.PIECE]
            sent.update(piece)
            returned.update(talk.ask(sock, piece))
            time.sleep(self.PAUSE)
        sock.shutdown(socket.SHUT_WR)
        assert sent.digest() == returned.digest(), "other bytes came back"

    def stop(self):
        self.is_ending = True
        for thread in self.threads:
            thread.join(120)
        assert not self.errors, self.errors
        return self.done


def ring_drops(space, device):
    """What found a veth's ring full: on its way in, and redirected to its peer."""
    told = space.run("ethtool", "-S", device).stdout
    return sum(map(int, re.findall(r"(?:rx_queue_\d+_drops|xdp_xmit_errors): (\d+)", told)))


def socket_drops(space):
    told = space.run("cat", "/proc/net/snmp").stdout
    names, values = re.findall(r"^Udp: (.*)", told, re.M)
    return int(dict(zip(names.split(), values.split()))["InErrors"])


@pytest.fixture
def queues(network):
    """The client waits where its veth is full (Linux 6.16), as with real queues; what the
    queues before and behind the router drop all the same, on a machine that has no
    processor for them in time, is none of its: queues() counts it."""
    client = network.client
    client.run("tc", "qdisc", "add", "dev", "eth0", "root", "pfifo", "limit", "10000")

    def dropped():
        links = json.loads(client.ip("-j", "-s", "link", "show", "dev", "eth0"))
        return {"client": links[0]["stats64"]["tx"]["dropped"],
                "wan": ring_drops(network.router, "wan"),
                "lan": ring_drops(network.router, "lan"),
                "server": ring_drops(network.server, "eth0") + socket_drops(network.server)}
    before = dropped()
    yield lambda: {at: count - before[at] for at, count in dropped().items()}
    client.run("tc", "qdisc", "del", "dev", "eth0", "root")


def reasons_to_drop(xdnat):
    return {row["reason"]: row["packets"] for row in xdnat.json("stats")["reasons"]
            if row["verdict"] == "dropped" and row["packets"]}


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
