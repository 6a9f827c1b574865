# SPDX-License-Identifier: GPL-2.0-only
"""docker's layout: the target in a container behind a bridge, the host's nft rules as
docker writes them, and others' tc filters on both interfaces. Nobody loaded the bridge."""
import os
import shutil
import socket
import struct

import bpf
import in_mode
import pytest
import talk
import wire
import world as w
from network import CLIENT, CLIENT6, ROUTER, ROUTER6, rule

CONTAINER, CONTAINER6 = "172.17.0.2", "fd17::2"
BRIDGE, BRIDGE6 = "172.17.0.1", "fd17::1"
PORT, PUBLISHED, SERVICE, INSIDE = 8080, 8088, 80, 8000
SIDES = pytest.mark.parametrize("client, router, container", [
    (CLIENT, ROUTER, CONTAINER), (CLIENT6, ROUTER6, CONTAINER6)], ids=["v4", "v6"])
MEGABYTES, MANY = 5, 10

# What docker has nft do for a container that publishes PUBLISHED.
RULES = """
table %(family)s docker {
	chain prerouting {
		type nat hook prerouting priority dstnat
		fib daddr type local tcp dport %(published)d dnat to %(to)s
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		%(family)s saddr %(net)s oifname != "docker0" masquerade
	}
	chain forward {
		type filter hook forward priority filter; policy drop
		ct state invalid drop
		ct state established,related accept
		oifname "docker0" %(family)s daddr %(container)s tcp dport %(inside)d accept
		iifname "docker0" oifname != "docker0" accept
	}
}
"""


class Docker:
    """The bridge, the container, and the rules."""

    def __init__(self, network):
        self.router, self.container = network.router, w.Namespace("d")
        self.container.sysctl("ipv6.conf.default.accept_dad=0", "ipv6.conf.all.accept_dad=0")

    def make(self):
        self.router.ip("link", "add", "docker0", "address", "02:42:00:00:00:01", "type", "bridge")
        w.veth(self.router, "veth0", "02:00:00:00:17:01", self.container, "eth0",
               "02:42:ac:11:00:02", "master", "docker0")
        self.router.ip("link", "set", "docker0", "up")
        for space, device, v4, v6 in ((self.router, "docker0", BRIDGE, BRIDGE6),
                                      (self.container, "eth0", CONTAINER, CONTAINER6)):
            space.ip("addr", "add", v4 + "/16", "dev", device)
            space.ip("addr", "add", v6 + "/64", "dev", device, "nodad")
        self.container.ip("route", "add", "default", "via", BRIDGE)
        self.container.ip("-6", "route", "add", "default", "via", BRIDGE6)
        for family, net, container, to in (
                ("ip", "172.17.0.0/16", CONTAINER, "%s:%d"),
                ("ip6", "fd17::/64", CONTAINER6, "[%s]:%d")):
            self.router.run("nft", "-f", "-", stdin=RULES % {
                "family": family, "net": net, "container": container, "inside": INSIDE,
                "published": PUBLISHED, "to": to % (container, INSIDE)})
        return self

    def remove(self):
        for family in "ip", "ip6":
            self.router.run("nft", "delete", "table", family, "docker", check=False)
        self.router.run("ip", "link", "del", "docker0", check=False)
        self.container.remove()


@pytest.fixture(scope="module")
def docker(network):
    made = Docker(network)
    try:
        yield made.make()
    finally:
        made.remove()


class Counting:
    """Filters of somebody else's that count: by (device, way, priority)."""
    PLACES = [("wan", "ingress", 1), ("wan", "ingress", 100), ("wan", "egress", 1),
              ("wan", "egress", 100), ("docker0", "ingress", 1), ("docker0", "ingress", 100)]

    def __init__(self, router, made):
        self.router, self.maps, self.pins = router, {}, "/sys/fs/bpf/" + w.name("counting")
        os.mkdir(self.pins)
        for n, (device, way, priority) in enumerate(self.PLACES):
            pin = "%s/%d" % (self.pins, n)
            w.run("bpftool", "prog", "load", made, pin, "type", "classifier", "pinmaps",
                  pin + "_maps")
            router.run("tc", "filter", "add", "dev", device, way, "prio", priority, "bpf", "da",
                       "object-pinned", pin)
            self.maps[device, way, priority] = bpf.pinned(pin + "_maps/counting_count")

    def counts(self):
        return {place: struct.unpack("Q", bpf.lookup(count, bytes(4), 8))[0]
                for place, count in self.maps.items()}

    def remove(self):
        for device, way, priority in self.PLACES:
            self.router.run("tc", "filter", "del", "dev", device, way, "prio", priority,
                            check=False)
        for count in self.maps.values():
            os.close(count)
        shutil.rmtree(self.pins)


@pytest.fixture(scope="module", params=["native", "generic", "tc", "auto"])
def outside(request, network, docker):
    """Only the interface to the outside is loaded."""
    command = w.Xdnat(network.router)
    network.set_offloads(request.param in ("tc", "auto"), network.client)
    try:
        command("load", "wan", "--mode", request.param, *in_mode.SMALL)
        yield command
    finally:
        command.destroy()
        network.set_offloads(False, network.client)


@pytest.fixture
def forwarding(outside):
    """function(container, proto): a rule to the container's SERVICE."""
    def add(router, container, proto):
        outside("rule", "add", rule(router, PORT, container, SERVICE, proto))
        return outside

    yield add
    outside("rule", "flush", "--yes", "--flows", "kill")


@pytest.fixture(scope="module")
def counting_file(tmp_path_factory):
    made = str(tmp_path_factory.mktemp("counting") / "counting.bpf.o")
    w.run("clang", "-target", "bpf", "-O2", "-g", "-I/usr/include/%s-linux-gnu" %
          os.uname().machine, "-c", os.path.join(os.path.dirname(__file__), "counting.bpf.c"),
          "-o", made)
    return made


@SIDES
def test_tcp(network, docker, forwarding, service, client, router, container):
    """The container sees the client; bulk both ways at once."""
    bulk, seen = talk.BothWays(MEGABYTES), []

    def serve(connection, peer):
        seen.append(peer[0])
        bulk.serve(connection, peer)

    xdnat = forwarding(router, container, "tcp")
    row, = xdnat.rows("docker0")
    assert row["target_side"] and row["attached"], row
    service(docker.container, talk.accepting(serve), SERVICE, container)
    with talk.dial(network.client, router, PORT) as sock:
        bulk.run(sock)
    assert seen == [client]


@SIDES
def test_udp(network, docker, forwarding, service, client, router, container):
    """Many datagrams of all sizes, a window of them at a time."""
    forwarding(router, container, "udp")
    service(docker.container, talk.udp_echo, SERVICE, container, kind=socket.SOCK_DGRAM)
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    with network.client.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect((router, PORT))
        for turn in range(20000 // 50 if w.LONG else 20):
            sent = [struct.pack("!II", turn, n) + b"x" * (n * 27) for n in range(50)]
            for datagram in sent:
                sock.send(datagram)
            assert sorted(sock.recv(2000).split(b" ", 2)[2] for _ in sent) == sorted(sent)


@SIDES
def test_published_by_docker(network, docker, forwarding, service, client, router, container):
    """nft's own port of the same container, beside ours; and the container as client."""
    xdnat = forwarding(router, container, "tcp")
    service(docker.container, talk.accepting(talk.who), INSIDE, container)
    service(docker.container, talk.accepting(talk.who), SERVICE, container)
    service(network.client, talk.accepting(talk.who), SERVICE, client)
    for _ in range(3):
        for port in PUBLISHED, PORT:
            with talk.dial(network.client, router, port) as sock:
                assert sock.makefile().readline().split()[0] == client
                assert talk.ask(sock, b"hello" * 1000) == b"hello" * 1000
    with talk.dial(docker.container, client, SERVICE) as sock:
        assert sock.makefile().readline().split()[0] == router
        assert talk.ask(sock, b"hello" * 1000) == b"hello" * 1000
    assert not any(row["packets"] for row in xdnat.json("stats")["reasons"]
                   if row["verdict"] == "dropped")


@SIDES
def test_container_goes_on_after_its_flow(network, docker, forwarding, client, router,
                                          container):
    """T168: what it sends without a flow is dropped, by docker's rules or our guard."""
    xdnat = forwarding(router, container, "udp")
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    with wire.Tap(network.client, "eth0") as tap, \
            network.client.socket(family, socket.SOCK_DGRAM) as ours, \
            docker.container.socket(family, socket.SOCK_DGRAM) as theirs:
        ours.settimeout(20)
        theirs.settimeout(20)
        theirs.bind((container, SERVICE))
        ours.sendto(b"hello", (router, PORT))
        data, peer = theirs.recvfrom(100)
        xdnat("flow", "flush", "--yes")
        for _ in range(20):
            theirs.sendto(data, peer)
        ours.sendto(b"again", (router, PORT))
        assert theirs.recv(100) == b"again"
        theirs.sendto(b"the last", peer)
        w.wait(lambda: any(b"the last" in one.data for one in tap.seen()), "it is answered")
        assert not [one for one in tap.seen() if one.source == container]


def test_others_filters(network, docker, forwarding, service, counting_file):
    """T034: those in front of ours count all packets but those that XDP forwards, those
    behind what is not for a rule, and what leaves."""
    xdnat = forwarding(ROUTER, CONTAINER, "tcp")
    service(docker.container, talk.accepting(talk.who), INSIDE, CONTAINER)
    service(docker.container, talk.accepting(talk.who), SERVICE, CONTAINER)
    counting = Counting(network.router, counting_file)

    def grown(port):
        before = counting.counts()
        with talk.dial(network.client, ROUTER, port) as sock:
            assert sock.makefile().readline().split()[0] == CLIENT
            for _ in range(MANY):
                assert talk.ask(sock, b"hello") == b"hello"
        return {place: count - before[place] for place, count in counting.counts().items()}

    try:
        ours, dockers = grown(PORT), grown(PUBLISHED)
        assert all(count >= MANY for count in dockers.values()), dockers
        taken = [("wan", "ingress", 100), ("docker0", "ingress", 100)]
        if in_mode.forwarded(xdnat, "xdp"):
            taken.append(("wan", "ingress", 1))
        for place, count in ours.items():
            assert (count < MANY) == (place in taken), (place, ours)
        xdnat("load")
        assert all(count >= MANY for count in grown(PUBLISHED).values())
    finally:
        counting.remove()
