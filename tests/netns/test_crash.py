# SPDX-License-Identifier: GPL-2.0-only
"""Commands that were killed half-way, pins removed by hand, namespaces that are
gone, loads that nobody confirmed: the next command knows a way on."""
import contextlib
import os
import struct
import threading
import time

import bpf
import pytest
import talk
import world as w
from network import ROUTER, SERVER

RULE = "%s:8080:%s:80" % (ROUTER, SERVER)
NAME = "%s:8080/tcp" % ROUTER


def clear(xdnat, name):
    """Removes all entries of a map by hand; returns how many there were."""
    keys = entries(xdnat, name)
    descriptor = bpf.pinned(xdnat.pin(name))
    for key in keys:
        bpf.delete(descriptor, key)
    os.close(descriptor)
    return len(keys)


def entries(xdnat, name):
    descriptor = bpf.pinned(xdnat.pin(name))
    found = bpf.keys(descriptor, *bpf.map_info(descriptor, "key_size"))
    os.close(descriptor)
    return found


def rules_file(xdnat):
    with open(os.path.join(xdnat.run_dir, "rules")) as text:
        return text.read()


def pass_seconds(seconds):
    end = time.monotonic() + seconds
    w.wait(lambda: time.monotonic() > end, "the time is over", seconds + 5, 0.1)


def test_failing_load_does_not_confirm(xdnat):
    xdnat("load", "wan", "--confirm", "3")
    xdnat.refused(5, "load", "lan", "--flows", "999")
    xdnat.refused(4, "load", "nosuch0", "--confirm", "9")
    w.wait(lambda: not xdnat.is_loaded(), "undone", 15, 0.1)


def test_second_confirm_is_refused(xdnat):
    xdnat("load", "wan", "--confirm", "3")
    assert "xdnat confirm" in xdnat.refused(5, "load", "lan", "--confirm", "60")
    assert "xdnat confirm" in xdnat.refused(5, "load", "wan", "--confirm", "60")
    assert xdnat.is_on("wan") and not xdnat.is_on("lan")
    w.wait(lambda: not xdnat.is_loaded(), "undone", 15, 0.1)
    xdnat("load", "wan", "--confirm", "2")
    xdnat("confirm")
    xdnat("load", "lan", "--confirm", "2")
    w.wait(lambda: not xdnat.is_on("lan"), "the second one is undone", 15, 0.1)
    assert xdnat.is_on("wan")


def test_failing_confirmed_load_leaves_no_watchdog(network, xdnat):
    """What it started itself it also ends."""
    program = bpf.load_pass("foreign_xdp")
    try:
        with network.router.entered():
            link = bpf.link_xdp(program, network.router.ifindex("lan"))
        xdnat("load", "wan")
        xdnat.refused(5, "load", "lan", "--mode", "native", "--confirm", "1")
        os.close(link)
        xdnat("load", "lan")
        pass_seconds(2.5)
        assert xdnat.is_on("wan") and xdnat.is_on("lan")
    finally:
        os.close(program)


def test_add_killed_half_way(network, xdnat, service):
    """The rule stands, its listener does not: adding it again finishes it, as the daemon
    would within five seconds."""
    xdnat("load", "wan", "lan", "--mode", "native", "--no-daemon")
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    xdnat("rule", "add", RULE)
    assert clear(xdnat, "xdnat_listeners") == 1
    os.unlink(os.path.join(xdnat.run_dir, "rules"))
    assert "not in force" in xdnat("rule", "show", NAME).stdout
    assert xdnat("rule", "add", RULE).stdout.startswith("unchanged")
    assert RULE in rules_file(xdnat)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"hello") == b"hello"


@pytest.mark.parametrize("words", [["del", NAME], ["flush", "--yes"],
                                   ["add", "9999:%s" % SERVER]])
def test_del_killed_half_way(native, words):
    """The rule is gone, its listener is not: the next rule command removes it."""
    native("rule", "add", RULE)
    clear(native, "xdnat_specs")
    assert native("rule", *words, check=False).returncode == (4 if words[0] == "del" else 0)
    left = 1 if words[0] == "add" else 0
    assert RULE not in rules_file(native)
    assert len(entries(native, "xdnat_rules")) == left
    assert len(entries(native, "xdnat_listeners")) == left


@pytest.mark.parametrize("how", ["del", "flush"])
def test_no_gap_when_another_rule_takes_over(network, native, service, how):
    """Each datagram is a new flow; one rule or the other has it."""
    collector = talk.Collector()
    service(network.server, collector.loop, 53, SERVER, kind=2)
    native("rule", "add", "5300:%s:53/udp" % SERVER, "name=unbound")
    stop, sent = threading.Event(), [0]

    def send():
        while not stop.is_set():
            with network.client.socket(kind=2) as sock:
                sock.sendto(struct.pack("!I", sent[0]), (ROUTER, 5300))
                sent[0] += 1
    thread = threading.Thread(target=send)
    thread.start()
    try:
        for _ in range(40 if w.LONG else 15):
            native("rule", "add", "%s:5300:%s:53/udp" % (ROUTER, SERVER), "name=bound")
            native("rule", "del", "bound")
    finally:
        stop.set()
        thread.join()
    with contextlib.suppress(AssertionError):
        w.wait(lambda: len(collector.seen) == sent[0], "all arrived", 3)
    assert sent[0] - len(collector.seen) == 0
    if how == "flush":
        native("rule", "flush", "--yes")
        assert not entries(native, "xdnat_listeners") and not entries(native, "xdnat_rules")


@pytest.fixture
def lost(network):
    """An instance without a daemon whose namespace was deleted."""
    space = w.Namespace("g")
    inside = w.Xdnat(space, "g")
    outside = w.Xdnat(network.router, "g")
    try:
        space.ip("link", "add", "wan", "type", "veth", "peer", "name", "other")
        space.ip("link", "set", "wan", "up")
        inside("load", "wan", "--no-daemon")
        inside("rule", "add", "80:%s" % SERVER)
        assert "nsenter" in outside.refused(5, "unload", "--all")
        space.remove()
        yield outside
    finally:
        space.remove()
        outside.destroy()


def test_namespace_is_gone(lost):
    w.wait(lambda: "xdnat unload --all" in lost.refused(5, "load", "wan"), "it is told", 20, 0.1)
    assert "xdnat unload --all" in lost.refused(5, "rule", "add", "81:%s" % SERVER)
    lost("unload", "--all")
    assert not os.path.exists(lost.pins) and not os.path.exists(lost.run_dir)
    lost("load", "wan")


@pytest.mark.parametrize("name", ["xdnat_config", "xdnat_specs", "xdnat_interfaces",
                                  "xdnat_clock", "xdnat_neighbours"])
def test_missing_pin(network, native, name):
    native("unload", "lan")
    native("load", "lan", "--confirm", "60")
    native("rule", "add", RULE)
    assert "managed" in network.router.ip("neigh", "show", SERVER)
    with open(os.path.join(native.run_dir, "rules.new"), "w"):
        pass  # of a command that was killed
    os.unlink(native.pin(name))
    for words in (["status"], ["load", "wan"], ["rule", "list"], ["unload", "wan"]):
        message = native.refused(5, *words)
        assert name in message and "xdnat unload --all" in message, message
    native("unload", "--all")
    assert not os.path.exists(native.pins) and not os.path.exists(native.run_dir)
    managed = "managed" in network.router.ip("neigh", "show", SERVER)
    assert managed == (name == "xdnat_neighbours")  # nobody knows of it any more
    network.router.ip("neigh", "del", SERVER, "dev", "lan")


def test_empty_pin_directory(xdnat):
    xdnat("load", "wan", "--no-daemon")
    top = os.path.dirname(xdnat.pin("x"))
    xdnat("unload", "--all")
    os.makedirs(top)
    xdnat.refused(3, "status")
    xdnat("load", "wan")
    assert xdnat.is_on("wan")


def test_link_pin_removed(network, native):
    """load without IFACE puts it back, in its mode."""
    native("unload", "lan")
    native("load", "lan", "--mode", "generic")
    for device in "wan", "lan":
        os.unlink(native.pin("link_%d" % network.router.ifindex(device)))
    w.wait(lambda: not native.is_on("wan") and "xdp" not in
           network.router.ip("link", "show", "wan"), "it is off")
    told = native("load").stdout
    assert "wan: attached again (native)" in told and "lan: attached again (generic)" in told
    assert native.is_on("wan") and native.is_on("lan")


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams(native, closed):
    """Text must not end in what is opened first: a socket, a map."""
    for words in "rule add 80:%s" % SERVER, "status", "rule del 80/tcp":
        native.namespace.run("sh", "-c", '"$0" --instance "$1" %s %s' % (words, closed),
                             w.XDNAT, native.instance)


def test_other_namespace_is_refused(network, native):
    elsewhere = w.Xdnat(network.client)
    native("unload", "lan")
    native("load", "lan", "--confirm", "60")
    for words in (["flow", "flush", "--yes"], ["confirm"], ["rule", "flush", "--yes"]):
        assert "nsenter" in elsewhere.refused(5, *words)
    assert "stays loaded" in native("confirm").stdout


def test_truth_about_missing_addresses(network, native):
    """IPv6 on the interface with the default route is link-local only."""
    network.router.ip("-6", "addr", "del", "2001:db8::1/64", "dev", "wan")
    try:
        message = native("rule", "add", "8086:[fd00::5]:80").stderr
        assert "more closely" not in message, message
    finally:
        network.router.ip("-6", "addr", "add", "2001:db8::1/64", "dev", "wan", "nodad")
        network.router.ip("-6", "route", "replace", "default", "via", "2001:db8::9")


def test_sign_before_the_port(native):
    assert "\"+80\"" in native.refused(6, "rule", "add", "+80:%s" % SERVER)
