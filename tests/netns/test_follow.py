# SPDX-License-Identifier: GPL-2.0-only
"""The daemon keeps up with a network that changes, soon after it did, not only in
the round that it makes every five seconds."""
import contextlib
import ipaddress
import os
import signal
import time

import bpf
import pytest
import talk
import world as w
from network import CLIENT, ROUTER, ROUTER6, SERVER, SERVER6

RULE = "%s:8080:%s:80" % (ROUTER, SERVER)
UDP_RULE = "%s:5300:%s:53/udp" % (ROUTER, SERVER)
SOON = 2.5  # half a round: what comes by the round alone comes later
ADDRESSES_PER_BURST = 6000


class Listeners:
    """The pinned map xdnat_listeners, whichever set is in force: keys without it."""

    def __init__(self, command):
        self.descriptor = bpf.pinned(command.pin("xdnat_listeners"))

    def keys(self):
        return {key[:19] for key in bpf.keys(self.descriptor, 20)}

    def addresses(self):
        found = {ipaddress.IPv6Address(key[:16]) for key in self.keys()}
        return {str(address.ipv4_mapped or address) for address in found}

    def remove(self, key):
        for number in range(2):
            with contextlib.suppress(FileNotFoundError):
                bpf.delete(self.descriptor, key + bytes([number]))


@pytest.fixture
def listeners(native):
    made = Listeners(native)
    yield made
    os.close(made.descriptor)


def is_asleep(pid):
    with open("/proc/%d/stat" % pid) as text:
        return text.read().rpartition(")")[2].split()[0] == "S"


def await_round(command, listeners):
    """Returns when the daemon has just made its round: a listener that it lacks and
    nothing announced is there again. The first time it may be there for the sake of
    what happened before."""
    key = min(listeners.keys())
    for _ in range(2):
        listeners.remove(key)
        w.wait(lambda: key in listeners.keys(), "the listener is put back", 15, 0.01)
    w.wait(lambda: is_asleep(command.daemon()), "the rest of the round is over")


@contextlib.contextmanager
def soon(what, seconds=SOON):
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert took < seconds, "%s took %.1f s" % (what, took)


def lost_announcements(pid):
    with open("/proc/%d/net/netlink" % pid) as table:
        rows = [line.split() for line in table][1:]
    return sum(int(row[8]) for row in rows if int(row[2]) == pid)


def test_lost_listener_is_put_back(native, listeners):
    """Whatever the daemon may have missed, the round finds it."""
    native("rule", "add", RULE)
    await_round(native, listeners)


def test_burst_of_announcements(network, native, listeners, tmp_path):
    """More than the daemon's socket holds: it hears again, and knows what it missed."""
    router, daemon = network.router, native.daemon()
    native("rule", "add", "8080:%s:80" % SERVER)
    await_round(native, listeners)
    burst = tmp_path / "burst"
    burst.write_text("".join(
        "addr %s 198.18.%d.%d/32 dev lan\n" % (verb, n >> 8, n & 255)
        for verb in ("add", "del") for n in range(ADDRESSES_PER_BURST)))
    os.kill(daemon, signal.SIGSTOP)
    try:
        router.ip("-batch", str(burst))
        router.ip("addr", "add", "203.0.113.77/24", "dev", "wan")
        assert lost_announcements(daemon), "the burst is too small"
    finally:
        os.kill(daemon, signal.SIGCONT)
    try:
        w.wait(lambda: "203.0.113.77" in listeners.addresses(), "what was missed is found", 10)
        await_round(native, listeners)
        with soon("an address after the burst"):
            router.ip("addr", "add", "203.0.113.78/24", "dev", "wan")
            w.wait(lambda: "203.0.113.78" in listeners.addresses(), "a new one is heard of")
    finally:
        for address in "203.0.113.77/24", "203.0.113.78/24":
            router.run("ip", "addr", "del", address, "dev", "wan", check=False)


def test_flushed_neighbours_come_back(network, native, listeners, service):
    """`ip neigh flush all` does not keep new connections out."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    native("rule", "add", RULE)
    await_round(native, listeners)
    with soon("the target's neighbour"):
        network.router.ip("neigh", "flush", "all")
        w.wait(lambda: "managed" in network.router.ip("neigh", "show", SERVER), "it is back")
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"flushed") == b"flushed"


def test_failed_neighbour_is_asked_again(network, native, listeners):
    """The entry of a target that did not answer is not left at that: three seconds of
    asking in vain, then the same again. The kernel by itself waits for its own round."""
    router, missing = network.router, "10.0.0.99"
    native("rule", "add", "%s:8099:%s:80" % (ROUTER, missing), check=False)
    native("rule", "add", RULE)
    await_round(native, listeners)

    def state():
        return router.ip("neigh", "show", missing)
    for _ in range(3):
        w.wait(lambda: "FAILED" in state(), "given up", 10)
        with soon("another try", 1):
            w.wait(lambda: "INCOMPLETE" in state(), "asked again")


def test_new_client_is_resolved(network, native, listeners, service):
    """A client that nobody in the router has talked to, and that does not ask for
    the router: its flow's answer makes the daemon look for it."""
    client, router = network.client, network.router
    service(network.server, talk.udp_echo, 53, SERVER, kind=2)
    native("rule", "add", UDP_RULE)
    client.ip("neigh", "replace", ROUTER, "lladdr", router.mac("wan"), "dev", "eth0", "nud",
              "permanent")
    try:
        router.ip("neigh", "flush", "dev", "wan")
        await_round(native, listeners)
        with client.socket(kind=2) as sock, soon("the first answer"):
            sock.settimeout(0.1)
            sock.connect((ROUTER, 5300))

            def answer():
                sock.send(b"who am I")
                with contextlib.suppress(TimeoutError):
                    return sock.recv(100)
            assert w.wait(answer, "an answer").startswith(CLIENT.encode())
    finally:
        client.ip("neigh", "del", ROUTER, "dev", "eth0")


def test_default_route_of_the_rules_family(network, native, listeners):
    """Only IPv4's default route moves to the other interface."""
    router = network.router
    native("rule", "add", "8080:%s:80" % SERVER)
    native("rule", "add", "8080:[%s]:80" % SERVER6)
    assert listeners.addresses() == {ROUTER, ROUTER6}
    router.ip("route", "replace", "default", "via", SERVER, "dev", "lan")
    try:
        w.wait(lambda: listeners.addresses() == {"10.0.0.1", ROUTER6},
               "IPv4 listens on lan alone, IPv6 on wan")
    finally:
        router.ip("route", "replace", "default", "via", CLIENT, "dev", "wan")
    w.wait(lambda: listeners.addresses() == {ROUTER, ROUTER6}, "both on wan")


def test_loaded_interface_is_made_anew(network, xdnat):
    """It keeps its row, and the daemon its temper."""
    router, server = network.router, network.server

    def make():
        w.veth(router, "extra", "02:00:00:00:03:01", server, "extra", "02:00:00:00:03:05")
        router.ip("addr", "add", "10.3.0.1/24", "dev", "extra")
        server.ip("addr", "add", "10.3.0.5/24", "dev", "extra")
    make()
    try:
        xdnat("load", "wan", "extra", "--mode", "native")
        daemon, listeners = xdnat.daemon(), Listeners(xdnat)
        xdnat("rule", "add", "extra:80:10.3.0.5")
        xdnat("rule", "add", "8080:10.3.0.5:80")
        router.ip("link", "del", "extra")
        w.wait(lambda: listeners.addresses() == {ROUTER}, "nobody listens there")
        assert "not attached" in xdnat("status").stdout
        make()
        w.wait(lambda: listeners.addresses() == {ROUTER, "10.3.0.1"}, "the rule by name does")
        w.wait(lambda: "managed" in router.ip("neigh", "show", "10.3.0.5"), "its target, too")
        await_round(xdnat, listeners)
        assert xdnat.daemon() == daemon
        os.close(listeners.descriptor)
        xdnat("unload", "--all")
    finally:
        router.run("ip", "link", "del", "extra", check=False)
