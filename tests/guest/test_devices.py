# SPDX-License-Identifier: GPL-2.0-only
"""VLAN devices and bonds as the interfaces that clients or targets are behind, and
WireGuard before a target."""
import pytest
import talk
import world as w
from network import CLIENT, ROUTER, SERVER

VLAN = 5
INSIDE, INSIDE6 = "10.9.0.5", "fd09::5"


class Port:
    """A link between the router and one of the ends, apart from wan and lan: net 3 is
    the client's, net 4 the server's. The lower devices are low and low0."""

    def __init__(self, network, end, net):
        self.router, self.end, self.net = network.router, end, net
        self.ours = self.theirs = None

    def make(self):
        w.veth(self.router, "low", "02:00:00:00:%02x:01" % self.net, self.end, "low0",
               "02:00:00:00:%02x:09" % self.net)
        self.end.run("ethtool", "-K", "low0", "tx", "off", "txvlan", "off")
        self.end.run("ethtool", "-K", "low0", "gro", "on")
        return self

    def tag(self, ours, theirs):
        """A VLAN device on each side: "low.5"."""
        for space, lower, name in (self.router, "low", ours), (self.end, "low0", theirs):
            space.ip("link", "add", "link", lower, "name", name, "type", "vlan", "id", VLAN)
            space.ip("link", "set", name, "up")
        self.address(ours, theirs, "10.0.%d" % self.net)

    def bond(self):
        """The router's end is a bond's only slave."""
        self.router.ip("link", "add", "bond9", "type", "bond", "mode", "active-backup",
                       "miimon", "100")
        self.router.ip("link", "set", "low", "down")
        self.router.ip("link", "set", "low", "master", "bond9")
        self.router.ip("link", "set", "bond9", "up")
        self.address("bond9", "low0", "10.0.%d" % self.net)
        w.wait(lambda: "LOWER_UP" in self.router.ip("link", "show", "bond9"), "it has a link")

    def address(self, ours, theirs, net):
        self.ours, self.theirs = net + ".1", net + ".9"
        self.router.ip("addr", "add", self.ours + "/24", "dev", ours)
        self.end.ip("addr", "add", self.theirs + "/24", "dev", theirs)

    def remove(self):
        self.router.run("ip", "link", "del", "bond9", check=False)
        self.router.run("ip", "link", "del", "low", check=False)


@pytest.fixture
def to_client(network):
    made = Port(network, network.client, 3)
    try:
        yield made.make()
    finally:
        made.remove()


@pytest.fixture
def to_server(network):
    made = Port(network, network.server, 4)
    try:
        yield made.make()
    finally:
        made.remove()


def converse(space, address, port, seen):
    """A connection to there: who answers sees that client; some data both ways."""
    with talk.dial(space, address, port, 60) as sock:
        told = b""
        while not told.endswith(b"\n"):
            told += sock.recv(64)
        assert told.split()[0] == seen.encode()
        for size in 1, 1000, 20000:
            assert talk.ask(sock, b"x" * size) == b"x" * size


MODES = pytest.mark.parametrize("mode", ["generic", "tc"])


@MODES
def test_clients_behind_a_vlan_device(network, xdnat, service, to_client, mode):
    to_client.tag("low.5", "low0.5")
    xdnat("load", "low.5", "lan", "--mode", mode)
    xdnat("rule", "add", "low.5:8080:%s:80" % SERVER)
    service(network.server, talk.accepting(talk.who), 80, SERVER)
    converse(network.client, to_client.ours, 8080, to_client.theirs)
    assert xdnat.forwarded() > 10
    assert xdnat.json("flow", "list")["client"] == to_client.theirs


@MODES
def test_targets_behind_a_vlan_device(network, xdnat, service, to_server, mode):
    to_server.tag("low.5", "low0.5")
    xdnat("load", "wan", "low.5", "--mode", mode)
    xdnat("rule", "add", "8080:%s:80" % to_server.theirs)
    service(network.server, talk.accepting(talk.who), 80, to_server.theirs)
    converse(network.client, ROUTER, 8080, CLIENT)
    assert xdnat.forwarded() > 10


def test_auto_takes_tc_on_a_vlan_device(xdnat, to_client):
    to_client.tag("low.5", "low0.5")
    told = xdnat("load", "low.5").stdout
    assert "low.5: loaded (tc: " in told and "VLAN" in told, told
    xdnat("unload", "--all")
    assert "--mode auto" in xdnat.refused(7, "load", "lan", "low.5", "--mode", "native")


@pytest.mark.parametrize("mode", ["native", "generic", "tc"])
def test_frames_of_a_vlan_are_not_its_parents(network, xdnat, service, to_client, mode):
    """Loaded is the untagged device; the VLAN's own address is the host's: it answers."""
    to_client.tag("low.5", "low0.5")
    xdnat("load", "low", "lan", "--mode", mode)
    xdnat("rule", "add", "%s:8080:%s:80" % (to_client.ours, SERVER))
    service(network.router, talk.accepting(talk.who), 8080, to_client.ours)
    converse(network.client, to_client.ours, 8080, to_client.theirs)
    assert xdnat.forwarded() == 0


@pytest.mark.parametrize("mode", ["native", "generic", "tc"])
def test_clients_behind_a_bond(network, xdnat, service, to_client, mode):
    to_client.bond()
    xdnat("load", "bond9", "lan", "--mode", mode)
    xdnat("rule", "add", "bond9:8080:%s:80" % SERVER)
    service(network.server, talk.accepting(talk.who), 80, SERVER)
    converse(network.client, to_client.ours, 8080, to_client.theirs)
    assert xdnat.forwarded() > 10


@pytest.fixture
def tunnel(network):
    """wg9 between router and server, over lan; the server answers through it."""
    ends = (network.router, "10.0.0.1", "10.9.0.1/24", "fd09::1/64"), (
        network.server, SERVER, INSIDE + "/24", INSIDE6 + "/64")
    keys = [w.run("wg", "genkey").stdout.strip() for _ in ends]
    public = [w.run("wg", "pubkey", stdin=key).stdout.strip() for key in keys]
    try:
        for n, (space, _, *inside) in enumerate(ends):
            space.ip("link", "add", "wg9", "type", "wireguard")
            space.run("wg", "set", "wg9", "listen-port", 51820, "private-key", "/dev/stdin",
                      "peer", public[1 - n], "allowed-ips", "0.0.0.0/0,::/0", "endpoint",
                      ends[1 - n][1] + ":51820", stdin=keys[n])
            for address in inside:
                space.ip("addr", "add", address, "dev", "wg9")
            space.ip("link", "set", "wg9", "up")
        network.server.ip("route", "replace", "default", "dev", "wg9")
        yield
    finally:
        for space in network.router, network.server:
            space.run("ip", "link", "del", "wg9", check=False)
        network.configure("lan")


@pytest.mark.parametrize("mode", ["native", "tc"])
def test_target_behind_wireguard(network, xdnat, service, tunnel, mode):
    """Nobody loaded wg9: it gets its filters for the rule's sake."""
    xdnat("load", "wan", "--mode", mode)
    xdnat("rule", "add", "8080:%s:80" % INSIDE)
    service(network.server, talk.accepting(talk.who), 80, INSIDE)
    converse(network.client, ROUTER, 8080, CLIENT)
    assert xdnat.forwarded() > 10
