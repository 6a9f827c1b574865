# SPDX-License-Identifier: GPL-2.0-only
"""flow list, count and kill: chosen flows, full tables, terminals."""
import contextlib
import fcntl
import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import termios
import threading
import time

import many_flows
import pytest
import talk
import world as w
from halves import Half, pins
from network import CLIENT, ROUTER, SERVER, Network
from packets import UDP, Packet

NO_SUCH = 4
COUNT = 10 ** 6 if w.LONG else 10 ** 5


def clients(xdnat, *words):
    """(address, port) of the clients of the flows that are listed, in order."""
    return text_clients(xdnat("flow", "list", *words, timeout=300).stdout.splitlines())


def text_clients(lines):
    ends = (line.split()[1].rpartition(":") for line in lines[1:])
    return [(address, int(port)) for address, _, port in ends]


def json_clients(lines):
    return [(one["client"], one["client_port"]) for one in map(json.loads, lines)]


def acknowledge(sock):
    """A delayed ACK leaves now: it would bring back a flow that was killed meanwhile."""
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


@pytest.fixture
def pair(network, native, service):
    """Two rules with a TCP flow each and one with a UDP flow."""
    for port in 80, 81:
        service(network.server, talk.accepting(talk.echo), port, SERVER)
    service(network.server, talk.udp_echo, 53, SERVER, kind=socket.SOCK_DGRAM)
    for rule in (["8080:%s:80" % SERVER, "name=web"], ["8081:%s:81" % SERVER, "name=other"],
                 ["5300:%s:53/udp" % SERVER, "name=dns"]):
        native("rule", "add", *rule)
    with contextlib.ExitStack() as stack:
        web, other = (stack.enter_context(talk.dial(network.client, ROUTER, port))
                      for port in (8080, 8081))
        dns = stack.enter_context(network.client.socket(kind=socket.SOCK_DGRAM))
        dns.settimeout(20)
        dns.connect((ROUTER, 5300))
        dns.send(b"hello")
        assert dns.recv(100)
        for sock in web, other:
            talk.ask(sock, b"hello")
            acknowledge(sock)
        yield web, other, dns


@pytest.mark.parametrize("steps", [
    [(["rule=web"], [0]), (["dst=%s:81" % SERVER], [1]), (["state=answered"], [2])],
    [(["src=" + CLIENT, "proto=tcp"], [0, 1]), (["proto=udp"], [2])],
    [(["state=answered"], [0, 1, 2])]], ids=["one by one", "protocols", "all"])
def test_kill_ends_what_matches(native, pair, steps):
    """And nothing else: the other flows are the same afterwards, and work."""
    left = set(range(len(pair)))
    for words, killed in steps:
        said = native("flow", "kill", *words).stdout
        assert said == "ended %d flow%s\n" % (len(killed), "" if len(killed) == 1 else "s")
        left -= set(killed)
        assert set(clients(native)) == {pair[n].getsockname() for n in left}
        for n in left:
            pair[n].send(b"again")
            assert pair[n].recv(100).endswith(b"again")
            acknowledge(pair[n])
        native.refused(NO_SUCH, "flow", "kill", *words)


def test_kill_refuses_what_it_cannot_mean(native, pair):
    assert "flow flush" in native.refused(2, "flow", "kill")
    native.refused(2, "flow", "kill", "web")
    assert "second of its kind" in native.refused(2, "flow", "kill", "proto=tcp", "proto=udp")
    native.refused(NO_SUCH, "flow", "kill", "rule=nobody")
    assert "no flow matches" in native.refused(NO_SUCH, "flow", "kill", "state=closing")
    assert len(clients(native)) == 3
    word = "src=%s:%d" % pair[0].getsockname()
    assert native.json("flow", "kill", word) == {"version": 1, "kind": "flow_kill", "ended": 1}
    assert not native("flow", "kill", "rule=other", "--quiet").stdout
    assert len(clients(native)) == 1


def test_port_that_rests_is_no_flow(network, native, service):
    """It is not listed, counted or ended: of its flow nothing else is left."""
    service(network.server, talk.udp_echo, 53, SERVER, kind=socket.SOCK_DGRAM)
    native("rule", "add", "5300:%s:53/udp" % SERVER, "mode=masquerade")
    with network.client.socket(kind=socket.SOCK_DGRAM) as dns:
        dns.settimeout(20)
        dns.connect((ROUTER, 5300))
        dns.send(b"hello")
        assert dns.recv(100)
        assert "ended 1 flow" in native("flow", "kill", "proto=udp").stdout
        assert not clients(native) and native.json("flow", "count")["count"] == 0
        assert native.json("stats")["rules"][0]["flows_live"] == 0
        native.refused(NO_SUCH, "flow", "kill", "proto=udp")


def test_a_kill_leaves_no_half_that_an_answer_revives(network, native):
    """An embryo whose original half was replaced: nobody lists what is left of it, but an
    answer of its target would make it anew."""
    with contextlib.ExitStack() as stack:
        server, client = (stack.enter_context(end.socket(kind=socket.SOCK_DGRAM))
                          for end in (network.server, network.client))
        pinned = stack.enter_context(pins(native))
        server.bind((SERVER, 53))
        server.settimeout(20)
        client.connect((ROUTER, 5300))
        there = Packet(src=CLIENT, dst=ROUTER, sport=client.getsockname()[1], dport=5300,
                       proto=UDP)
        back = Packet(src=SERVER, dst=CLIENT, sport=53, dport=there.sport, proto=UDP)
        original, reply = Half(pinned, there), Half(pinned, back)
        for words in (["flow", "kill", "src=%s:%d" % (CLIENT, there.sport)],
                      ["flow", "kill", "dst=%s:53" % SERVER, "rule=dns"],
                      ["flow", "flush", "--yes"], ["rule", "del", "dns", "--flows", "kill"]):
            native("rule", "add", "5300:%s:53/udp" % SERVER, "name=dns")
            client.send(b"question")
            assert server.recv(100) == b"question"
            original.delete()
            assert reply.exists() and native("flow", "count").stdout == "0\n"
            native.refused(NO_SUCH, "flow", "kill", "src=" + SERVER)
            assert reply.exists()
            if words[1] == "kill":
                native.refused(NO_SUCH, *words)
            else:
                native(*words)
            assert not reply.exists(), words


@pytest.fixture(scope="module")
def full():
    """COUNT flows: one that talks, and those that were written beside it. In a network
    of its own, to stand while other tests load and unload."""
    network = Network("f")
    xdnat = w.Xdnat(network.router, "f")
    xdnat.network = network
    listener = network.server.socket()
    serving = None
    try:
        xdnat("load", "wan", "lan", "--mode", "native", "--no-daemon", "--flows", "1048576")
        xdnat("rule", "add", "8080:%s:80" % SERVER, "name=web")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((SERVER, 80))
        listener.listen(100)
        serving = w.Service(talk.accepting(talk.echo), listener)
        with talk.dial(network.client, ROUTER, 8080) as sock:
            talk.ask(sock, b"hello")
            many_flows.fill(xdnat, sock.getsockname(), COUNT - 1)
            xdnat.talking = sock
            yield xdnat
    finally:
        if serving:
            serving.stop()
        xdnat.destroy()
        network.remove()


def expected(xdnat):
    """The clients of full, sorted."""
    made = [(str(ipaddress.IPv4Address(address)), struct.unpack("!H", port)[0])
            for address, port in many_flows.clients(COUNT - 1)]
    return sorted(made + [xdnat.talking.getsockname()])


def peak_kib(pid, earlier):
    """The greatest yet of the process's own memory. What it maps is the kernel's: it is
    there whether anybody reads it or not."""
    with open("/proc/%d/status" % pid) as lines:
        for line in lines:
            if line.startswith("RssAnon:"):
                return max(earlier, int(line.split()[1]))
    return earlier


def run_measured(words):
    """Lines, seconds and peak memory. nsenter becomes the command, so it has its pid."""
    begin, output, peak = time.monotonic(), [], 0
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    while not output or output[-1]:
        output.append(os.read(process.stdout.fileno(), 1 << 16))
        peak = peak_kib(process.pid, peak)
    process.stdout.close()
    assert process.wait() == 0
    return b"".join(output).decode().splitlines(), time.monotonic() - begin, peak


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_list_is_complete_in_constant_memory(full, form):
    """T150: every flow once, in a few MiB whatever their number."""
    lines, seconds, peak = run_measured(full.command("flow", "list", *form))
    print("%d flows, %s: %.1f s, %d KiB" % (COUNT, form or "text", seconds, peak))
    if not form:
        assert lines[0].split() == ["PROTO", "CLIENT", "LISTENER", "TARGET", "STATE", "IDLE",
                                    "LEFT", "PACKETS", "BYTES", "RULE"]
    assert sorted((json_clients if form else text_clients)(lines)) == expected(full)
    assert 0 < peak < 8192
    assert full.json("flow", "count")["count"] == COUNT


def test_list_ends_with_its_reader(full):
    """| head: at once, and without a word."""
    done = w.run("bash", "-c", '"$@" | head -n 3', "bash", *full.command("flow", "list"))
    assert len(done.stdout.splitlines()) == 3 and not done.stderr
    process = subprocess.Popen(full.command("flow", "list", "--json"), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    begin = time.monotonic()
    assert process.wait(20) != 0 and not process.stderr.read()
    assert time.monotonic() - begin < 1


def test_list_under_traffic(full):
    """T150: flows come while it reads. It terminates; who was there stands in it once."""
    stop = threading.Event()
    made = []

    def come():
        while not stop.is_set() and len(made) < 10000:
            with full.network.client.socket(kind=socket.SOCK_DGRAM) as sock:
                sock.sendto(b"new", (ROUTER, 5300))
                made.append(sock.getsockname()[1])

    full("rule", "add", "5300:%s:53/udp" % SERVER, "name=dns")
    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    try:
        before = w.wait(lambda: len(made), "the first of them")
        lines = full("flow", "list", timeout=300).stdout.splitlines()
    finally:
        stop.set()
        thread.join()
        full("rule", "del", "dns")
    assert len(made) > before
    flows = [tuple(line.split()[:2]) for line in lines[1:]]  # protocol and client
    assert len(set(flows)) == len(flows)
    assert set(expected(full)) <= set(text_clients(lines))
    ended = full.json("flow", "kill", "proto=udp")["ended"]
    assert ended >= len(flows) - COUNT
    assert full.json("flow", "count")["count"] == COUNT


def test_kill_ends_while_clients_go_on(full, service):
    """They have flows again before all others were looked at; those are not for this
    command any more."""
    collector = talk.Collector()
    service(full.network.server, collector.loop, 53, SERVER, kind=socket.SOCK_DGRAM)
    full("rule", "add", "5300:%s:53/udp" % SERVER, "name=dns")
    senders = [talk.Numbered(full.network.client, ROUTER, 5300) for _ in range(3)]
    try:
        for _ in range(2):
            w.wait(lambda: full.json("flow", "count", "proto=udp")["count"] == 3, "their flows")
            assert full.json("flow", "kill", "rule=dns")["ended"] == 3
    finally:
        for sender in senders:
            sender.stop()
        full("rule", "del", "dns")
        full("flow", "kill", "proto=udp", check=False)


def terminal(columns):
    """A pty of that width: (ours, the command's)."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def read_some(descriptor, seconds):
    return os.read(descriptor, 65536) if select.select([descriptor], [], [], seconds)[0] else b""


def read_rest(descriptor):
    """What is left for a terminal whose other end is closed."""
    got = b""
    with contextlib.suppress(OSError):  # EIO: that was all
        while True:
            got += os.read(descriptor, 65536)
    os.close(descriptor)
    return got


def test_list_fits_the_terminal(native, pair):
    for columns, titles in (
            (70, "CLIENT PORT TARGET STATE"), (80, "CLIENT PORT TARGET STATE IDLE BYTES"),
            (120, "CLIENT PORT TARGET STATE IDLE LEFT PACKETS BYTES RULE"),
            (200, "PROTO CLIENT LISTENER TARGET STATE IDLE LEFT PACKETS BYTES RULE")):
        ours, theirs = terminal(columns)
        subprocess.run(native.command("flow", "list"), stdout=theirs, check=True,
                       env={**w.environment, "NO_COLOR": "1"})
        os.close(theirs)
        lines = read_rest(ours).decode().split("\r\n")
        assert lines[0].split() == titles.split() and len(lines) == 5 and not lines[4]
        assert max(map(len, lines)) <= columns
        for at in (lines[0].index(word) for word in ("CLIENT", "TARGET", "STATE")):
            assert all(line[at] != " " and line[:at][-1:] in ("", " ") for line in lines[1:4])


def read_slowly(words, seconds):
    """Reads what the command prints a little at a time until its terminal shows
    something or that time is over, then all of it. Returns what the terminal got."""
    ours, theirs = terminal(80)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, stdin=theirs)
    os.close(theirs)
    begin, shown = time.monotonic(), b""
    while not shown and time.monotonic() - begin < seconds:
        shown = read_some(ours, 0.05)
        assert not shown or time.monotonic() - begin > 2, shown
        assert os.read(process.stdout.fileno(), 4096), "too few flows for this test"
    if shown:
        while os.read(process.stdout.fileno(), 1 << 20):
            pass
    else:
        process.kill()
    process.wait(60)
    process.stdout.close()
    return (shown + read_rest(ours)).decode()


def test_progress_is_shown_and_removed(full):
    """Only what takes over two seconds says so, and nothing of it stays."""
    shown = read_slowly(full.command("flow", "list"), 20)
    assert "listing flows: " in shown, shown
    drawn = shown.split("\r")
    assert drawn[-1] == "" and not drawn[-2].strip(), shown
    assert len(drawn[-2]) >= max(map(len, drawn))


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_no_progress_for_programs(full, option):
    assert read_slowly(full.command("flow", "list", option), 3) == ""
