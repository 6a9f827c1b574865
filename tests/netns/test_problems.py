# SPDX-License-Identifier: GPL-2.0-only
"""What bare `xdnat` says is wrong, with the line to type."""
import json

import world as w
from network import SERVER


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
