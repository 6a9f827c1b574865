# SPDX-License-Identifier: GPL-2.0-only
"""The two bits a port while rules come and go: there before a rule is, gone when the last
that needed them is gone. What packets they stop and let through: tests/prog/test_ports.py."""
import os
import re
import signal
import socket
import struct

import bpf
import port_bits
import pytest
import talk
import world as w
from halves import Half, pins
from network import CLIENT, ROUTER, SERVER
from packets import UDP, Packet
from port_bits import Bits

KEPT, IDLE, RESTING = 8080, 8090, 8070  # listeners' ports; targets' are 100 more
ROUNDS_SEC = 40                          # two of the daemon's, and time to spare


def add(xdnat, port, *words, proto="udp"):
    xdnat("rule", "add", "%s:%d:%s:%d/%s" % (ROUTER, port, SERVER, port + 100, proto),
          "name=n%d" % port, *words)


def has(xdnat, bits):
    return lambda: port_bits.read(xdnat) == bits


def settles(xdnat, bits):
    try:
        w.wait(has(xdnat, bits), "", ROUNDS_SEC, 0.2)
    except AssertionError:
        assert port_bits.read(xdnat) == bits


def ask_udp(sock, port):
    sock.sendto(b"hello", (ROUTER, port))
    return sock.recv(100)


def restart_daemon(xdnat):
    daemon = xdnat.daemon()
    os.kill(daemon, signal.SIGKILL)
    w.wait(lambda: not os.path.exists("/proc/%d" % daemon), "it is gone")
    xdnat("load")
    assert xdnat.daemon() not in (None, daemon)


def test_bits_go_when_nobody_needs_them(network, native, service):
    """A rule's, soon after it; a flow's with the flow, which goes on meanwhile, whatever
    becomes of the daemon; the source of one that rests; and what a command left that was
    killed before its rule held."""
    service(network.server, talk.accepting(talk.echo), KEPT + 100, SERVER)
    service(network.server, talk.udp_echo, RESTING + 100, SERVER, kind=2)
    add(native, KEPT, proto="tcp")
    add(native, IDLE)
    add(native, RESTING, "mode=masquerade")
    present = Bits({KEPT, IDLE, RESTING, 7777}, {KEPT + 100, IDLE + 100, RESTING + 100, 7778})
    kept = Bits({KEPT, RESTING}, {KEPT + 100, RESTING + 100})
    resting = Bits(set(), {RESTING + 100})
    with talk.dial(network.client, ROUTER, KEPT) as sock, network.client.socket(kind=2) as udp:
        udp.settimeout(20)
        assert talk.ask(sock, b"one") == b"one" and ask_udp(udp, RESTING)
        native("rule", "flush", "--yes")
        port_bits.write(native, present.destinations, present.sources)
        settles(native, kept)
        assert talk.ask(sock, b"two") == b"two" and ask_udp(udp, RESTING)
        restart_daemon(native)
        add(native, IDLE)
        assert port_bits.read(native) == Bits(kept.destinations | {IDLE},
                                              kept.sources | {IDLE + 100})
        assert talk.ask(sock, b"three") == b"three" and ask_udp(udp, RESTING)
        native("rule", "del", "n%d" % IDLE)
        native("flow", "kill", "dst=%s" % ROUTER)
        settles(native, resting)


def test_bits_of_a_flow_without_its_original_half_stay(network, native):
    """An embryo's may have been replaced: the target's answer makes it anew, long after the
    rule was deleted."""
    add(native, KEPT)
    add(native, IDLE)
    with network.client.socket(kind=2) as client, network.server.socket(kind=2) as target:
        client.settimeout(20)
        target.settimeout(20)
        client.bind((CLIENT, 0))
        target.bind((SERVER, KEPT + 100))
        client.sendto(b"hello", (ROUTER, KEPT))
        _, peer = target.recvfrom(100)
        with pins(native) as pinned:
            Half(pinned, Packet(CLIENT, ROUTER, client.getsockname()[1], KEPT, UDP)).delete()
        native("rule", "flush", "--yes")
        settles(native, Bits({KEPT}, {KEPT + 100}))
        target.sendto(b"answer", peer)
        assert client.recv(100) == b"answer"


def test_bits_of_followed_addresses_stay(network, tc):
    """Nothing but the port counts: not whose address it is, nor that there is none."""
    add(tc, KEPT)
    tc("rule", "add", "wan:%d:%s:%d" % (IDLE, SERVER, IDLE + 100))
    wanted = Bits({KEPT, IDLE}, {KEPT + 100, IDLE + 100})
    before = listeners(tc)
    network.router.ip("addr", "add", "203.0.113.77/24", "dev", "wan")
    try:
        w.wait(lambda: len(listeners(tc)) > len(before), "it is followed")
        assert port_bits.read(tc) == wanted
    finally:
        network.router.ip("addr", "del", "203.0.113.77/24", "dev", "wan")
    w.wait(lambda: listeners(tc) == before, "it is followed")
    assert port_bits.read(tc) == wanted


def listeners(xdnat):
    """(address, port) of those in force."""
    config, table = (bpf.pinned(xdnat.pin(name)) for name in ("xdnat_config", "xdnat_listeners"))
    active, = struct.unpack_from("I", bpf.value(config, bytes(4)), 4)
    keys = bpf.keys(table, 20)
    for descriptor in config, table:
        os.close(descriptor)
    return {(key[:16], struct.unpack_from("!H", key, 16)[0]) for key in keys if key[19] == active}


def writes(trace):
    """The numbers of those bpf() calls in a trace that write, from 1."""
    with open(trace) as lines:
        calls = [line for line in lines if line.startswith("bpf(")]
    return [n + 1 for n, line in enumerate(calls) if re.match(r"bpf\(BPF_MAP_(UPDATE|DELETE)", line)]


@pytest.mark.parametrize("words", [["add", "%s:4000-4009:%s:5000-5009" % (ROUTER, SERVER)],
                                   ["replace", "old", "%s:90:%s:91" % (ROUTER, SERVER)]],
                         ids=["add", "replace"])
def test_no_rule_without_its_bits(xdnat, tmp_path, words):
    """T137: wherever the command is killed, who has a listener or range has the bits."""
    trace = str(tmp_path / "trace")
    xdnat("load", "wan", "lan", "--mode", "native", "--flows", "64", "--no-daemon")
    needs = Bits(*(({90}, {91}) if words[0] == "replace" else
                   (set(range(4000, 4010)), set(range(5000, 5010)))))

    def killed(*inject):
        xdnat("rule", "flush", "--yes")
        port_bits.write(xdnat)
        xdnat("rule", "add", "%s:80:%s:81" % (ROUTER, SERVER), "name=old")
        xdnat.namespace.run("strace", "-o", trace, "-e", "trace=bpf", *inject, w.XDNAT,
                            "--instance", xdnat.instance, "rule", *words, check=False)
        return port_bits.read(xdnat) >= needs
    assert killed()
    seen = set()
    for n in writes(trace):
        has_bits = killed("-e", "inject=bpf:signal=SIGKILL:when=%d" % n)
        is_there = is_new_in_force(xdnat)
        seen.add((is_there, has_bits))
        assert has_bits or not is_there, n
    assert seen >= {(False, False), (True, True)}, seen


def is_new_in_force(xdnat):
    config, ranges = (bpf.pinned(xdnat.pin(name)) for name in ("xdnat_config", "xdnat_ranges"))
    active, = struct.unpack_from("I", bpf.value(config, bytes(4)), 4)
    keys = bpf.keys(ranges, 28)
    for descriptor in config, ranges:
        os.close(descriptor)
    return any(port == 90 for _, port in listeners(xdnat)) or any(
        key[4] == active and socket.ntohs(int.from_bytes(key[24:26], "little")) >= 4000
        for key in keys)
