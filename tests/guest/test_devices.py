# SPDX-License-Identifier: GPL-2.0-only
"""VLAN devices and bonds as the interfaces that clients or targets are behind, and
WireGuard before a target. All on one load a mode."""
import pytest
import talk
import world as w
from network import CLIENT, ROUTER, SERVER

LOADED, UNTAKEN = 5, 6  # VLANs
INSIDE, INSIDE6 = "10.9.0.5", "fd09::5"


class Port:
    """A link between the router and one of the ends, apart from wan and lan: "low3",
    which is "end3" over there, for net 3. What is on it has addresses of net 3, too."""

    def __init__(self, router, end, net):
        self.router, self.end = router, end
        self.low, self.far = "low%d" % net, "end%d" % net
        w.veth(router, self.low, "02:00:00:00:%02x:01" % net, end, self.far,
               "02:00:00:00:%02x:09" % net)
        end.run("ethtool", "-K", self.far, "tx", "off", "txvlan", "off")
        end.run("ethtool", "-K", self.far, "gro", "on")

    def tag(self, vlan, net):
        """A VLAN device on each side, "low3.5": their addresses."""
        ours, theirs = "%s.%d" % (self.low, vlan), "%s.%d" % (self.far, vlan)
        for space, lower, name in (self.router, self.low, ours), (self.end, self.far, theirs):
            space.ip("link", "add", "link", lower, "name", name, "type", "vlan", "id", vlan)
            space.ip("link", "set", name, "up")
        return self.address(ours, theirs, net)

    def bond(self, net):
        """The router's end is a bond's only slave: addresses of "bond9" and of the end."""
        self.router.ip("link", "add", "bond9", "type", "bond", "mode", "active-backup",
                       "miimon", "100")
        self.router.ip("link", "set", self.low, "down")
        self.router.ip("link", "set", self.low, "master", "bond9")
        self.router.ip("link", "set", "bond9", "up")
        return self.address("bond9", self.far, net)

    def address(self, ours, theirs, net):
        ends = "10.0.%d.1" % net, "10.0.%d.9" % net
        self.router.ip("addr", "add", ends[0] + "/24", "dev", ours)
        self.end.ip("addr", "add", ends[1] + "/24", "dev", theirs)
        return ends


class Site:
    """All of these, loaded in a mode."""

    def __init__(self, network, mode):
        self.network, self.mode = network, mode
        self.xdnat = w.Xdnat(network.router, "d")
        clients = Port(network.router, network.client, 3)
        self.untagged = clients.address(clients.low, clients.far, 3)
        self.clients = clients.tag(LOADED, 5)
        self.untaken = clients.tag(UNTAKEN, 6)
        self.targets = Port(network.router, network.server, 4).tag(LOADED, 4)
        self.bonded = Port(network.router, network.client, 7).bond(7)
        w.wait(lambda: "LOWER_UP" in network.router.ip("link", "show", "bond9"), "it has a link")
        vlans = [] if mode == "native" else ["low3.5", "low4.5"]
        self.xdnat("load", "wan", "lan", "low3", "bond9", *vlans, "--mode", mode)

    def remove(self):
        self.xdnat.destroy()
        for device in "bond9", "low3", "low4", "low7":
            self.network.router.run("ip", "link", "del", device, check=False)


# In this order: pytest groups the cases by the position of a parameter.
@pytest.fixture(scope="module", params=["generic", "tc", "native"])
def made_site(request, network):
    made = Site.__new__(Site)
    try:
        made.__init__(network, request.param)
        yield made
    finally:
        made.remove()


@pytest.fixture
def site(made_site):
    yield made_site
    made_site.xdnat("rule", "flush", "--yes")
    made_site.xdnat("flow", "flush", "--yes")


def test_tags_are_not_stripped_before_xdp(network, site):
    """A bond strips them as network cards do: not while XDP is there, in either mode."""
    row, = site.xdnat.rows("bond9")
    assert row["rxvlan_off"] == (site.mode != "tc")
    shown = network.router.run("ethtool", "-k", "bond9").stdout
    assert "rx-vlan-offload: " + ("on" if site.mode == "tc" else "off") in shown


# A VLAN device cannot be loaded natively.
TAGGED = pytest.mark.parametrize("made_site", ["generic", "tc"], indirect=True)


def converse(site, address, seen):
    """A connection from the client to port 8080 there: who answers sees that client;
    some data both ways. Returns how many packets xdnat forwarded for it."""
    before = site.xdnat.forwarded()
    with talk.dial(site.network.client, address, 8080, 60) as sock:
        told = b""
        while not told.endswith(b"\n"):
            told += sock.recv(64)
        assert told.split()[0] == seen.encode()
        for size in 1, 1000, 20000:
            assert talk.ask(sock, b"x" * size) == b"x" * size
    return site.xdnat.forwarded() - before


@TAGGED
def test_clients_behind_a_vlan_device(network, site, service):
    ours, theirs = site.clients
    site.xdnat("rule", "add", "low3.5:8080:%s:80" % SERVER)
    service(network.server, talk.accepting(talk.who), 80, SERVER)
    assert converse(site, ours, theirs) > 10
    assert site.xdnat.json("flow", "list")["client"] == theirs


@TAGGED
def test_targets_behind_a_vlan_device(network, site, service):
    ours, target = site.targets
    site.xdnat("rule", "add", "8080:%s:80" % target)
    service(network.server, talk.accepting(talk.who), 80, target)
    network.server.ip("route", "add", CLIENT, "via", ours)
    try:
        assert converse(site, ROUTER, CLIENT) > 10
    finally:
        network.server.ip("route", "del", CLIENT)


def test_auto_takes_tc_on_a_vlan_device(network, xdnat):
    port = Port(network.router, network.client, 8)
    try:
        port.tag(LOADED, 8)
        told = xdnat("load", "low8.5").stdout
        assert "low8.5: loaded (tc: " in told and "VLAN" in told, told
        xdnat("unload", "--all")
        assert "--mode auto" in xdnat.refused(7, "load", "low8", "low8.5", "--mode", "native")
    finally:
        network.router.run("ip", "link", "del", port.low, check=False)


def test_frames_of_a_vlan_are_not_its_parents(network, site, service):
    """Loaded is the untagged device; the VLAN's own address is the host's: it answers."""
    ours, theirs = site.untaken
    site.xdnat("rule", "add", "%s:8080:%s:80" % (ours, SERVER))
    service(network.router, talk.accepting(talk.who), 8080, ours)
    assert converse(site, ours, theirs) == 0


def test_untagged_clients_beside_vlan_devices(network, site, service):
    ours, theirs = site.untagged
    site.xdnat("rule", "add", "%s:8080:%s:80" % (ours, SERVER))
    service(network.server, talk.accepting(talk.who), 80, SERVER)
    assert converse(site, ours, theirs) > 10


def test_clients_behind_a_bond(network, site, service):
    ours, theirs = site.bonded
    site.xdnat("rule", "add", "bond9:8080:%s:80" % SERVER)
    service(network.server, talk.accepting(talk.who), 80, SERVER)
    assert converse(site, ours, theirs) > 10


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


def test_target_behind_wireguard(network, site, service, tunnel):
    """Nobody loaded wg9: it gets its filters for the rule's sake."""
    site.xdnat("rule", "add", "8080:%s:80" % INSIDE)
    service(network.server, talk.accepting(talk.who), 80, INSIDE)
    assert converse(site, ROUTER, CLIENT) > 10
