# SPDX-License-Identifier: GPL-2.0-only
"""allow=, deny= and mss= with real stacks."""
import re

import pytest
import talk
import world as w
from network import CLIENT, CLIENT6, ROUTER, ROUTER6, SERVER, SERVER6

FAMILIES = pytest.mark.parametrize("listener, target, client, other", [
    (ROUTER, SERVER, CLIENT, "203.0.113.77"),
    ("[%s]" % ROUTER6, "[%s]" % SERVER6, CLIENT6, "2001:db8::77"),
], ids=["v4", "v6"])


# What a source is decided by: these modes stand for all.
pytestmark = pytest.mark.parametrize("loaded_once", ["native", "tc"], indirect=True)


def bare(address):
    return address.strip("[]")


def named(text):
    """A service that says who it is."""
    def serve(connection, peer):
        connection.sendall(text)
    return talk.accepting(serve)


def answer(network, listener, port):
    with talk.dial(network.client, bare(listener), port) as sock:
        return sock.recv(100)


@FAMILIES
def test_source_decides_between_host_and_target(network, shared, service, listener, target,
                                                client, other):
    """Who is not admitted reaches the host's own service on the port, as if the rule were
    not there; who is, the target. Changing a list changes that at once."""
    service(network.router, named(b"host"), 8080, bare(listener))
    service(network.server, named(b"target"), 80, bare(target))
    rule = "%s:8080:%s:80" % (listener, target)
    shared("rule", "add", rule, "name=web", "deny=" + client)
    assert answer(network, listener, 8080) == b"host"
    for keys, who in ((["allow=" + client], b"target"), (["allow=" + other], b"host"),
                      (["allow=" + client, "deny=" + other], b"target"),
                      (["allow=" + client, "deny=" + client], b"host"), ([], b"target")):
        shared("rule", "replace", "web", rule, *keys)
        assert answer(network, listener, 8080) == who, keys


@FAMILIES
def test_lists_change_under_traffic(network, shared, service, tmp_path, listener, target, client,
                                    other):
    """No new connection meets half a list: the client is in every one of them."""
    service(network.server, named(b"target"), 80, bare(target))
    path = tmp_path / "list"
    rule = ["%s:8080:%s:80" % (listener, target), "allow=@%s" % path]

    def write(n):
        filler = "\n".join("2a00:%x::/32" % i if ":" in client else "20.%d.%d.0/24" % (i >> 8, i & 255)
                           for i in range(n, n + 300))
        path.write_text("%s\n%s\n" % (filler, client))

    write(0)
    shared("rule", "add", *rule, "name=web")
    seen, stopping = [], []

    def connect(_):
        while not stopping:
            seen.append(answer(network, listener, 8080))

    running = w.Service(connect, network.client.socket())
    try:
        for n in range(1, 40 if w.LONG else 8):
            write(n)
            shared("rule", "enable", "web")
            before = len(seen)
            w.wait(lambda: len(seen) > before, "another connection")
    finally:
        stopping.append(True)
        running.thread.join(20)
        running.stop()
    assert set(seen) == {b"target"}
    # A client's port that comes again finds its flow still there.
    assert shared.json("rule", "show", "web")["flows_made"] > len(seen) / 2


def test_relative_path_is_refused_with_its_repair(shared, tmp_path):
    """What a rule says must mean the same wherever it is read again."""
    said = shared.refused(6, "rule", "add", "8080:%s:80" % SERVER, "deny=@list")
    assert re.search(r"deny=@list is not a whole path: type deny=@/.*/list", said)
    path = tmp_path / "my list"
    path.write_text("192.0.2.0/24\n")
    shared("rule", "add", "8080:%s:80" % SERVER, "deny=@%s" % path)
    commands = shared("rule", "list", "--format", "commands").stdout
    assert "deny='@%s'" % path in commands or "'deny=@%s'" % path in commands


def test_empty_file_admits_nobody_and_is_said(shared, tmp_path):
    path = tmp_path / "list"
    path.write_text("# nobody yet\n")
    rule = "8080:%s:80" % SERVER
    assert "admits nobody" in shared("rule", "add", rule, "allow=@%s" % path).stderr
    path.write_text("192.0.2.0/24\n")
    assert "admits nobody" not in shared("rule", "enable", "8080/tcp").stderr
    assert "admits nobody" not in shared("rule", "replace", "8080/tcp", rule).stderr


@FAMILIES
def test_mss_auto_is_what_a_real_tcp_takes(network, shared, service, listener, target, client,
                                           other):
    """The smaller MTU of both ways, less headers, at both ends, and data goes through."""
    service(network.server, talk.accepting(talk.echo), 80, bare(target))
    rule = "%s:8080:%s:80" % (listener, target)
    shared("rule", "add", rule, "name=web", "mss=auto")
    network.router.ip("link", "set", "lan", "mtu", "1380")
    try:
        with talk.dial(network.client, bare(listener), 8080) as sock:
            assert talk.ask(sock, b"x" * 5000) == b"x" * 5000
            most = 1380 - (60 if ":" in client else 40)
            # Connections of the tests before may not have gone yet: this one's ends only.
            here = sock.getsockname()[1]
            for space, port in (network.client, "sport"), (network.server, "dport"):
                shown = space.run("ss", "-tinH", "%s = :%d" % (port, here)).stdout
                # Timestamps take 12 bytes of every segment.
                assert int(re.search(r"\bmss:(\d+)", shown).group(1)) in (most, most - 12), shown
    finally:
        network.router.ip("link", "set", "lan", "mtu", "1500")
