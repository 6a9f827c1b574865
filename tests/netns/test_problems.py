# SPDX-License-Identifier: GPL-2.0-only
"""What bare `xdnat` says is wrong, with the line to type."""
import json

import world as w
from network import CLIENT, ROUTER, SERVER


def problems(xdnat):
    return {row["problem"]: row["text"] for row in json.loads(xdnat("--json").stdout)["problems"]}


def test_silent_target(network, native):
    """The server's replies go elsewhere: the rule is named, not only 'embryo'."""
    native("rule", "add", "8080:%s:7777/udp" % SERVER, "name=star")
    assert "silent_target" not in problems(native)
    with network.client.socket(kind=2) as sock:
        for _ in range(3):
            sock.sendto(b"anybody?", ("203.0.113.1", 8080))
    w.wait(lambda: "silent_target" in problems(native), "it is said", 5)
    text = problems(native)["silent_target"]
    assert "rule star" in text and "%s:7777" % SERVER in text and "ip route get" in text


def test_waiting_confirm_is_seen(xdnat):
    xdnat("load", "wan", "lan", "--confirm", "60")
    assert "xdnat confirm" in problems(xdnat)["unconfirmed"]
    xdnat("confirm")
    assert "unconfirmed" not in problems(xdnat)


def test_rule_on_loopback(native):
    """Not an interface to load: the advice does not say so."""
    native("rule", "add", "lo:8082:%s:80" % SERVER)
    assert "cannot be loaded" in problems(native)["not_loaded"]


def said_twice(xdnat, word, *rule):
    """What is said when the rule is added is among problems while it is so."""
    warning = xdnat("rule", "add", *rule).stderr
    text = problems(xdnat)[word]
    assert text in warning
    return text


def test_target_where_clients_come_in(native):
    """Its answers go past this host. Not so of another's, or if it sees this host only."""
    text = said_twice(native, "way_back", "8080:%s:80" % CLIENT)
    assert text.startswith("%s is reached by wan, by which clients come in" % CLIENT)
    assert text.endswith("add mode=masquerade")
    native("rule", "replace", "8080/tcp", "%s:8080:%s:80" % (ROUTER, CLIENT))
    assert "way_back" in problems(native)
    native("rule", "flush", "--yes")
    native("rule", "add", "8080:%s:80" % CLIENT, "mode=masquerade")
    native("rule", "add", "8081:%s:80" % CLIENT, "hairpin=on")
    native("rule", "add", "8082:%s:80" % SERVER)
    native("rule", "add", "10.0.0.1:8083:%s:80" % CLIENT)
    assert "way_back" not in problems(native)


def test_address_that_is_not_here(network, native):
    """From the beginning, or lost later."""
    assert said_twice(native, "foreign_address", "8.8.8.8:87:%s:80" % SERVER).startswith(
        "8.8.8.8 is no address of this host")
    native("rule", "flush", "--yes")
    network.router.ip("addr", "add", "203.0.113.77/24", "dev", "wan")
    try:
        native("rule", "add", "203.0.113.77:87:%s:80" % SERVER)
        assert "foreign_address" not in problems(native)
    finally:
        network.router.ip("addr", "del", "203.0.113.77/24", "dev", "wan")
    assert "203.0.113.77" in problems(native)["foreign_address"]


def test_ways_of_different_size(network, native):
    """TCP is told the smaller one by mss=."""
    network.router.ip("link", "set", "lan", "mtu", 1400)
    try:
        text = said_twice(native, "mtu", "8080:%s:80" % SERVER)
        assert "wan has MTU 1500, lan 1400" in text and "mss=auto" in text
        native("rule", "replace", "8080/tcp", "8080:%s:80" % SERVER, "mss=auto")
        assert "mtu" not in problems(native)
    finally:
        network.router.ip("link", "set", "lan", "mtu", 1500)


def test_no_port_to_masquerade_from(xdnat):
    """Rules have all of the range: said at load, and why."""
    xdnat("load", "wan", "lan", "--mode", "native")
    xdnat("rule", "add", "27015-27016:%s/udp" % SERVER)
    why = "none of 27015-27016 is free: rules and this host use them"
    assert why in xdnat("load", "--snat-ports", "27015-27016").stderr
    assert "no_port" not in problems(xdnat), "nobody needs one"
    assert why in said_twice(xdnat, "no_port", "8080:%s:80" % SERVER, "mode=masquerade")
    assert not xdnat("load", "--snat-ports", "27016-27017").stderr
