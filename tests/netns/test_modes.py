# SPDX-License-Identifier: GPL-2.0-only
"""--mode: what stands in front of tc on an interface, chosen or asked for."""
import itertools
import re
import socket

import pytest
import talk
import world as w
from network import ROUTER, SERVER
from traces import shape

SPARE = "spare"
# How to make a device, and a word of why auto takes tc there.
DEVICES = {
    "veth": (["link", "add", SPARE, "type", "veth", "peer", "name", "spare2"], "veth"),
    "bridge": (["link", "add", SPARE, "type", "bridge"], "bridge"),
    "tun": (["tuntap", "add", SPARE, "mode", "tun"], "no Ethernet headers"),
    "tap": (["tuntap", "add", SPARE, "mode", "tap"], "tap"),
    "macvlan": (["link", "add", SPARE, "link", "wan", "type", "macvlan"], "no native XDP"),
}


@pytest.fixture
def device(network):
    """device(kind): makes one, up, named SPARE."""
    def make(kind):
        network.router.ip(*DEVICES[kind][0])
        network.router.ip("link", "set", SPARE, "up")

    yield make
    network.router.run("ip", "link", "del", SPARE, check=False)


def mode_of(xdnat, name):
    row, = xdnat.rows(name)
    assert row["attached"], row
    return row["mode"], row["auto"]


@pytest.mark.parametrize("kind", DEVICES)
def test_auto_takes_tc_and_says_why(network, xdnat, device, kind):
    """By the device's kind, or because its driver refuses."""
    device(kind)
    told = xdnat("load", SPARE).stdout
    assert "%s: loaded (tc: " % SPARE in told and DEVICES[kind][1] in told, told
    assert mode_of(xdnat, SPARE) == ("tc", True)
    assert "xdp" not in network.router.ip("link", "show", SPARE)
    xdnat("unload", SPARE)
    row, = xdnat.json("load", SPARE, "--mode", "auto")["interfaces"]
    assert row["mode"] == "tc" and row["auto"] and DEVICES[kind][1] in row["why"], row
    row, = xdnat.json("load")["interfaces"]
    assert row["auto"] and row["why"] is None and row["change"] == "upgraded"


def test_auto_where_the_mtu_is_too_large_for_native(network, xdnat, device):
    """T139: native is refused with the reason, auto loads."""
    device("veth")
    for end in SPARE, "spare2":
        network.router.ip("link", "set", end, "mtu", "9000")
    message = xdnat.refused(7, "load", SPARE, "--mode", "native")
    assert "9000" in message and "--mode auto" in message, message
    assert not xdnat.is_loaded()
    xdnat("load", SPARE)
    assert mode_of(xdnat, SPARE) == ("tc", True)


def test_other_mode_is_told_the_way(xdnat):
    """Unloading ends all rules: it says how to keep them."""
    xdnat("load", "wan", "--mode", "tc")
    message = xdnat.refused(5, "load", "wan", "--mode", "native")
    assert "is loaded in tc mode; type first: xdnat unload wan" in message
    assert "xdnat rule list --format commands > FILE" in message


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_xdp_needs_ethernet(network, xdnat, device, mode):
    """Refused on a tun, with what to type; nothing stays."""
    before = shape(network)
    device("tun")
    qdiscs = network.router.run("tc", "qdisc", "show").stdout
    message = xdnat.refused(7, "load", SPARE, "--mode", mode)
    assert "Ethernet" in message and "--mode tc" in message, message
    assert network.router.run("tc", "qdisc", "show").stdout == qdiscs
    network.router.ip("link", "del", SPARE)
    assert shape(network) == before


def test_driver_without_native_xdp(xdnat, device):
    """Asked for, it is not replaced by something else."""
    device("bridge")
    message = xdnat.refused(7, "load", SPARE, "--mode", "native")
    assert "no native XDP" in message and "--mode auto" in message, message
    assert not xdnat.is_loaded()


@pytest.mark.parametrize("mode", ["native", "generic", "tc", "auto"])
def test_warned_where_xdp_sees_less(xdnat, mode):
    """An explicit mode is obeyed; only XDP minds unfinished checksums and tags."""
    done = xdnat("load", "wan", "--mode", mode)
    assert mode_of(xdnat, "wan") == (("tc", True) if mode == "auto" else (mode, False))
    assert ("checksums" in done.stderr) == (mode in ("native", "generic")), done.stderr


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_warning_says_what_to_type(network, xdnat, service, offloads, mode):
    """T037: typed at the other ends, it lets all through. (With their offloads native XDP
    delivers nothing that a checksum protects; generic does, where nobody looks at it.)"""
    bulk = talk.BothWays(5)
    told = xdnat("load", "wan", "lan", "--mode", mode).stderr
    typed = set(re.findall(r"ethtool -K PEER ([a-z ]+),", told))
    assert len(typed) == 1 and "wan is a veth" in told and "lan is a veth" in told, told
    xdnat("rule", "add", "wan:8080:%s:80" % SERVER)
    service(network.server, talk.accepting(bulk.serve), 80, SERVER)
    if mode == "native":
        with pytest.raises(OSError):
            talk.dial(network.client, ROUTER, 8080, 1)
    for end in network.client, network.server:
        end.run("ethtool", "-K", "eth0", *min(typed).split())
    with talk.dial(network.client, ROUTER, 8080) as sock:
        bulk.run(sock)


def test_each_interface_has_its_mode(network, xdnat):
    """Two modes in one instance; what a later load does not say stays."""
    before = shape(network)
    xdnat("load", "wan", "--mode", "native")
    xdnat("load", "lan", "--mode", "tc")

    def modes():
        return [mode_of(xdnat, name) for name in ("wan", "lan")]
    assert modes() == [("native", False), ("tc", False)]
    for words in [], ["wan", "lan"], ["lan"]:
        xdnat("load", *words)
        assert modes() == [("native", False), ("tc", False)], words
    assert "tc mode" in xdnat.refused(5, "load", "lan", "--mode", "native")
    assert "native mode" in xdnat.refused(5, "load", "wan", "--mode", "tc")
    assert modes() == [("native", False), ("tc", False)]
    xdnat("unload", "--all")
    assert shape(network) == before


@pytest.mark.parametrize("wan, lan", [
    pair for pair in itertools.product(("native", "generic", "tc"), repeat=2)
    if pair[0] != pair[1]])
def test_transfer_between_modes(network, xdnat, service, wan, lan):
    """T037: each interface in its own, behind tc with offloads: every byte arrives."""
    bulk = talk.BothWays(50 if w.LONG else 5)
    ends = {"wan": (wan, network.client), "lan": (lan, network.server)}
    try:
        for name, (mode, end) in ends.items():
            network.set_offloads(mode == "tc", end)
            xdnat("load", name, "--mode", mode)
        xdnat("rule", "add", "wan:8080:%s:80" % SERVER)
        service(network.server, talk.accepting(bulk.serve), 80, SERVER)
        with talk.dial(network.client, ROUTER, 8080) as sock:
            bulk.run(sock)
    finally:
        network.set_offloads(False)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_established_is_forwarded_by_xdp(network, xdnat, service, mode):
    """Both ways, and tc sees none of it."""
    xdnat("load", "wan", "lan", "--mode", mode)
    xdnat("rule", "add", "5300:%s:53/udp" % SERVER)
    service(network.server, talk.udp_echo, 53, SERVER, kind=socket.SOCK_DGRAM)

    def forwarded():
        return {row["hook"]: row["packets"] for row in xdnat.json("stats")["reasons"]
                if row["reason"] == "forwarded"}
    with network.client.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect((ROUTER, 5300))

        def ask():
            sock.send(b"hello")
            return sock.recv(100)
        ask()
        before = forwarded()
        for _ in range(100):
            ask()
    assert {hook: count - before[hook] for hook, count in forwarded().items() if
            count > before[hook]} == {"xdp": 200}


def test_chosen_again_when_made_anew(network, xdnat, device):
    """A device of another kind has the name now: the daemon chooses for that one."""
    device("tun")
    xdnat("load", "wan", SPARE)
    network.router.ip("link", "del", SPARE)
    w.wait(lambda: not xdnat.is_on(SPARE), "it is gone")
    device("tap")
    w.wait(lambda: xdnat.is_on(SPARE), "it is attached again", 5)
    assert mode_of(xdnat, SPARE) == ("tc", True)


def test_loopback_and_shared_tc_are_refused(xdnat):
    assert "lo carries" in xdnat.refused(7, "load", "lo")
    xdnat.refused(2, "load", "wan", "--shared", "--mode", "tc")
    assert not xdnat.is_loaded()
