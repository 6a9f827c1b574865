# SPDX-License-Identifier: GPL-2.0-only
"""Our tc filters among others': where they are, what they leave alone, how they come
back, and the interfaces that get them for a target's sake."""
import json
import shutil
import socket
import time

import pytest
import talk
import world as w
from in_mode import counted
from network import CLIENT, SERVER
from traces import shape

PRIORITY, HANDLE = 7, 0xdba7
BACK_SEC = 2
# Classic BPF that ends a packet's way through the filters, as others do.
CLASSIC = "bpf", "da", "bytecode", "1,6 0 0 0,"
WAYS = "ingress", "egress"


def filters(space, device, way):
    """{(priority, handle): name of the program} of a device."""
    shown = json.loads(space.run("tc", "-j", "filter", "show", "dev", device, way).stdout)
    return {(one["pref"], int(one["options"]["handle"], 16)):
            one["options"].get("bpf_name", one["options"].get("prog", {}).get("name"))
            for one in shown if "handle" in one.get("options", ())}


def own(space, device):
    """Ours, by way: {"ingress": "xdnat_ingress", ...}."""
    return {way: name for way in WAYS
            for at, name in filters(space, device, way).items() if at == (PRIORITY, HANDLE)}


def has_own(space, device):
    return {way: name.split(":")[0] for way, name in own(space, device).items()} == {
        "ingress": "xdnat_ingress", "egress": "xdnat_egress"}


def add_foreign(space, device, way, priority, *words):
    space.run("tc", "filter", "add", "dev", device, way, "prio", priority, *words, *CLASSIC)


def has_clsact(space, device):
    return "clsact" in space.run("tc", "qdisc", "show", "dev", device).stdout


@pytest.fixture
def router(network):
    """Without any clsact before and after."""
    yield network.router
    for device in "wan", "lan":
        network.router.run("tc", "qdisc", "del", "dev", device, "clsact", check=False)


@pytest.mark.parametrize("mode", ["native", "generic", "tc", "auto"])
def test_filters_in_every_mode(network, xdnat, router, mode):
    """Both, at our place, on each interface; no trace afterwards."""
    before = shape(network)
    xdnat("load", "wan", "lan", "--mode", mode)
    for device in "wan", "lan":
        assert has_own(router, device), own(router, device)
    xdnat("load")
    assert has_own(router, "wan") and len(filters(router, "wan", "ingress")) == 1
    xdnat("unload", "wan")
    assert not has_clsact(router, "wan") and has_own(router, "lan")
    xdnat("unload", "--all")
    assert shape(network) == before


def test_others_filters_stay(network, xdnat, router):
    """T034: before ours and behind ours, on a clsact that was there: all as before."""
    router.run("tc", "qdisc", "add", "dev", "wan", "clsact")
    for way in WAYS:
        add_foreign(router, "wan", way, 1)
        add_foreign(router, "wan", way, 100)
        add_foreign(router, "wan", way, PRIORITY, "handle", "0x1")
    before = [router.run("tc", "filter", "show", "dev", "wan", way).stdout for way in WAYS]
    xdnat("load", "wan")
    assert has_own(router, "wan")
    for way in WAYS:
        assert len(filters(router, "wan", way)) == 4
    xdnat("load")
    xdnat("unload", "--all")
    assert [router.run("tc", "filter", "show", "dev", "wan", way).stdout
            for way in WAYS] == before
    router.run("tc", "qdisc", "del", "dev", "wan", "clsact")
    router.run("tc", "qdisc", "add", "dev", "wan", "clsact")
    xdnat("load", "wan")
    xdnat("unload", "--all")
    assert has_clsact(router, "wan"), "it was not ours"


def test_clsact_that_others_use_meanwhile(xdnat, router):
    """We made it, somebody else's filter is in it by now: both stay."""
    xdnat("load", "wan")
    add_foreign(router, "wan", "egress", 20)
    xdnat("unload", "--all")
    assert list(filters(router, "wan", "egress")) == [(20, 1)]
    assert not own(router, "wan")


FOREIGN = {
    "same handle": ["handle", hex(HANDLE)],
    "another kind": ["protocol", "ip", "u32", "match", "u32", "0", "0"],
}


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("way", WAYS)
def test_foreign_filter_in_our_place(xdnat, router, way, foreign):
    """Refused, named, left alone."""
    router.run("tc", "qdisc", "add", "dev", "lan", "clsact")
    words = FOREIGN[foreign] + (list(CLASSIC) if foreign == "same handle" else [])
    tried = router.run("tc", "filter", "add", "dev", "lan", way, "prio", PRIORITY, *words,
                       check=False)
    if tried.returncode:
        pytest.skip("the kernel has no such classifier: %s" % tried.stderr)
    before = router.run("tc", "filter", "show", "dev", "lan", way).stdout
    message = xdnat.refused(5, "load", "wan", "lan")
    assert "lan" in message and "tc filter show dev lan %s prio 7" % way in message, message
    assert not xdnat.is_loaded()
    assert router.run("tc", "filter", "show", "dev", "lan", way).stdout == before
    assert not has_clsact(router, "wan")


def test_plain_ingress_qdisc(xdnat, router):
    """It and clsact exclude each other."""
    router.run("tc", "qdisc", "add", "dev", "lan", "ingress")
    try:
        message = xdnat.refused(5, "load", "wan", "lan", "--mode", "native")
        assert "lan has a plain ingress qdisc" in message and "tc qdisc" in message, message
        assert not xdnat.is_loaded() and not has_clsact(router, "wan")
    finally:
        router.run("tc", "qdisc", "del", "dev", "lan", "ingress")


TAKEN = {
    "clsact": ["qdisc", "del", "dev", "wan", "clsact"],
    "ingress": ["filter", "del", "dev", "wan", "ingress"],
    "egress": ["filter", "del", "dev", "wan", "egress", "prio", PRIORITY],
}


@pytest.mark.parametrize("mode", ["native", "tc"])
@pytest.mark.parametrize("taken", TAKEN)
def test_taken_off_by_somebody(network, xdnat, router, mode, taken):
    """T140: back within two seconds while the daemon lives, and XDP stayed meanwhile."""
    before = shape(network)
    xdnat("load", "wan", "--mode", mode)
    row, = xdnat.rows("wan")
    router.run("tc", *TAKEN[taken])
    started = time.monotonic()
    w.wait(lambda: has_own(router, "wan"), "it is back", 5, 0.005)
    took = time.monotonic() - started
    assert took < BACK_SEC
    assert xdnat.rows("wan") == [row]
    xdnat("unload", "--all")
    assert shape(network) == before


def test_without_daemon_load_puts_them_back(xdnat, router):
    xdnat("load", "wan", "--mode", "native", "--no-daemon")
    router.run("tc", "qdisc", "del", "dev", "wan", "clsact")
    assert not xdnat.is_on("wan")
    assert "wan: attached again (native)" in xdnat("load", "--no-daemon").stdout
    assert has_own(router, "wan") and xdnat.is_on("wan")


def test_filters_of_nobody_are_replaced(xdnat, router):
    """Somebody removed the pins: what still runs belongs to no instance."""
    xdnat("load", "wan", "--no-daemon")
    shutil.rmtree(xdnat.pins)
    assert has_own(router, "wan")
    xdnat("load", "wan", "--no-daemon")
    assert xdnat.is_on("wan")
    xdnat("unload", "--all")
    assert not own(router, "wan")


def test_filters_of_another_instance(network, xdnat, router):
    xdnat("load", "wan")
    other = w.Xdnat(network.router, "b")
    try:
        assert "another instance" in other.refused(5, "load", "wan")
        assert not other.is_loaded() and xdnat.is_on("wan")
    finally:
        other.destroy()


def listeners(xdnat):
    text = w.run("bpftool", "-j", "map", "dump", "pinned", xdnat.pin("xdnat_listeners")).stdout
    return len(json.loads(text))


def sides(xdnat):
    return {row["name"]: (row["target_side"], row["attached"])
            for row in xdnat.json("status")["interfaces"]}


def test_targets_side_gets_filters(network, xdnat, router):
    """With the rule; it is not loaded: nobody listens there, unload does not know it."""
    before = shape(network)
    xdnat("load", "wan")
    assert not has_clsact(router, "lan")
    done = xdnat("rule", "add", "*:8080:%s:80" % SERVER)
    assert has_own(router, "lan") and "not loaded" not in done.stderr, done.stderr
    assert sides(xdnat) == {"wan": (False, True), "lan": (True, True)}
    assert listeners(xdnat) == 1
    for words in ["status"], []:
        assert "a target's side" in xdnat(*words).stdout
    assert "lan is not loaded" in xdnat.refused(4, "unload", "lan")
    xdnat("load")
    assert sides(xdnat)["lan"] == (True, True)
    assert "last interface" in xdnat("unload", "wan").stdout
    assert shape(network) == before


def test_targets_side_is_loaded_and_unloaded(network, xdnat, router):
    """load makes a loaded interface of it, unload makes it what it was."""
    before = shape(network)
    xdnat("load", "wan")
    xdnat("rule", "add", "*:8080:%s:80" % SERVER)
    xdnat("load", "lan", "--mode", "native")
    assert sides(xdnat)["lan"] == (False, True)
    assert "xdp" in router.ip("link", "show", "lan") and listeners(xdnat) == 2
    assert "stay" in xdnat("unload", "lan").stdout
    assert sides(xdnat)["lan"] == (True, True) and listeners(xdnat) == 1
    assert "xdp" not in router.ip("link", "show", "lan") and has_own(router, "lan")
    xdnat("unload", "--all")
    assert shape(network) == before


def test_nobody_listens_at_a_targets_side(network, xdnat, router, service):
    """What was unloaded and is a target's side still is no way out to clients any more:
    the leak guard lets other targets' answers go there."""
    elsewhere = "10.9.0.9"
    network.client.ip("addr", "add", elsewhere + "/32", "dev", "eth0")
    router.ip("route", "add", elsewhere + "/32", "dev", "wan")
    try:
        service(network.client, talk.udp_echo, 80, elsewhere, kind=socket.SOCK_DGRAM)
        xdnat("load", "wan", "lan", "--mode", "tc")
        xdnat("rule", "add", "*:8080:%s:80/udp" % SERVER)
        xdnat("rule", "add", "*:8081:%s:80/udp" % elsewhere)
        with network.server.socket(kind=socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.sendto(b"directly", (elsewhere, 80))
            w.wait(lambda: counted(xdnat, "leak"), "lan is guarded while it is loaded")
            assert "stay" in xdnat("unload", "lan").stdout
            sock.sendto(b"directly", (elsewhere, 80))
            assert sock.recvfrom(100)[1] == (elsewhere, 80)
    finally:
        router.ip("route", "del", elsewhere + "/32")
        network.client.ip("addr", "del", elsewhere + "/32", "dev", "eth0")


def test_targets_side_ends_with_its_rules(xdnat, router):
    """The last of them, disabled or not."""
    xdnat("load", "wan")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    xdnat("rule", "add", "8081:%s:80" % SERVER)
    xdnat("rule", "del", "8080/tcp")
    xdnat("rule", "disable", "8081/tcp")
    rounds = time.monotonic() + 1.5
    w.wait(lambda: time.monotonic() > rounds, "the daemon has looked", 5)
    assert has_own(router, "lan")
    xdnat("rule", "flush", "--yes")
    w.wait(lambda: not has_clsact(router, "lan"), "it is gone", 10)
    assert sides(xdnat) == {"wan": (False, True)}


def test_targets_side_follows_the_route(xdnat, router):
    """T137: another way to the target, another interface."""
    router.ip("link", "add", "spare", "type", "veth", "peer", "name", "spare2")
    router.ip("link", "set", "spare", "up")
    router.ip("link", "set", "spare2", "up")
    try:
        xdnat("load", "wan")
        xdnat("rule", "add", "8080:%s:80" % SERVER)
        router.ip("route", "add", "%s/32" % SERVER, "dev", "spare")
        w.wait(lambda: has_own(router, "spare") and not has_clsact(router, "lan"), "moved", 10)
        router.ip("route", "del", "%s/32" % SERVER, "dev", "spare")
        w.wait(lambda: has_own(router, "lan") and not has_clsact(router, "spare"), "back", 10)
    finally:
        router.run("ip", "link", "del", "spare", check=False)


@pytest.fixture
def pair(router):
    """spare and spare2: interfaces that no traffic needs."""
    router.ip("link", "add", "spare", "type", "veth", "peer", "name", "spare2")
    router.ip("link", "set", "spare", "up")
    router.ip("link", "set", "spare2", "up")
    yield "spare", "spare2"
    for device in "spare", "renamed":
        router.run("ip", "link", "del", device, check=False)


def test_load_that_fails_leaves_a_targets_side(xdnat, router, pair):
    """What it was before, it is again: without a daemon, too."""
    xdnat("load", "wan", "--no-daemon")
    xdnat("rule", "add", "*:8080:%s:80" % SERVER)
    router.run("tc", "qdisc", "add", "dev", "spare", "ingress")
    xdnat.refused(5, "load", "lan", "spare", "--mode", "native", "--no-daemon")
    assert sides(xdnat) == {"wan": (False, True), "lan": (True, True)}
    assert has_own(router, "lan") and "xdp" not in router.ip("link", "show", "lan")
    assert listeners(xdnat) == 1


@pytest.mark.parametrize("refusing", [0, 1], ids=["first", "second"])
def test_one_that_refuses_filters_keeps_no_other_from_them(xdnat, router, pair, refusing):
    """Of two targets' sides; it is told of."""
    xdnat("load", "wan", "--no-daemon")
    for n, device in enumerate(pair):
        xdnat("rule", "add", "808%d:192.0.2.%d:80" % (n, n))
        router.ip("route", "add", "192.0.2.%d/32" % n, "dev", device)
    router.run("tc", "qdisc", "add", "dev", pair[refusing], "ingress")
    assert "no tc filters on %s" % pair[refusing] in xdnat("load", "--no-daemon").stderr
    assert has_own(router, pair[1 - refusing])


def test_renamed_while_nobody_follows(xdnat, router, pair):
    """It is found by its index, and attached again under its new name."""
    xdnat("load", "spare", "--mode", "native", "--no-daemon")
    router.ip("link", "set", "spare", "name", "renamed")
    router.run("tc", "filter", "del", "dev", "renamed", "egress", "prio", PRIORITY)
    assert "renamed: attached again (native)" in xdnat("load", "--no-daemon").stdout
    assert has_own(router, "renamed") and xdnat.is_on("renamed")


def test_targets_side_that_is_attached_again_is_not_reported(xdnat, router):
    """It is nobody's interface: no line and no warning of load's about it."""
    xdnat("load", "wan", "--no-daemon")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    router.run("tc", "qdisc", "del", "dev", "lan", "clsact")
    done = xdnat("load", "--no-daemon")
    assert has_own(router, "lan") and "lan" not in done.stdout + done.stderr, done


def test_client_side_is_not_a_targets(xdnat, router):
    """A target behind a loaded interface adds nothing."""
    xdnat("load", "wan", "lan", "--mode", "native")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    xdnat("rule", "add", "8081:%s:80" % CLIENT, check=False)
    assert sides(xdnat) == {"wan": (False, True), "lan": (False, True)}
    assert has_own(router, "wan")
