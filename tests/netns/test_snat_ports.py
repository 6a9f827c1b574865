# SPDX-License-Identifier: GPL-2.0-only
"""Which address and which ports masquerading gives out: what the commands say of it, and
that the daemon follows routes, rules and the host's own sockets."""
import contextlib
import socket

import world as w
from in_mode import SMALL
from network import CLIENT, ROUTER, SERVER
from talks import Talk, rule, serve


@contextlib.contextmanager
def address(space, device, name):
    space.ip("addr", "add", name + "/24", "dev", device)
    try:
        yield
    finally:
        space.ip("addr", "del", name + "/24", "dev", device)


def test_source_follows_the_hosts_addresses(network, native, service):
    """snat= is obeyed; without it the daemon follows the kernel's choice."""
    line = rule(ROUTER, 7000, SERVER, 7000, "udp"), "mode=masquerade"
    native("rule", "add", *line, "name=m")
    serve(service, network.server, 7000, "udp", SERVER)

    def seen():
        with contextlib.closing(Talk(network.client, "udp", CLIENT, ROUTER, 7000)) as talk:
            return talk.seen[0]

    assert seen() == "10.0.0.1"
    with address(network.router, "lan", "10.0.0.2"):
        native("rule", "replace", "m", *line, "snat=10.0.0.2")
        assert seen() == "10.0.0.2"
        native("rule", "replace", "m", *line)
        assert seen() == "10.0.0.1"
        network.router.ip("route", "change", "10.0.0.0/24", "dev", "lan", "src", "10.0.0.2")
        w.wait(lambda: seen() == "10.0.0.2", "the daemon follows the route")
        network.router.ip("route", "change", "10.0.0.0/24", "dev", "lan", "src", "10.0.0.1")
        w.wait(lambda: seen() == "10.0.0.1", "the daemon follows the route back")


def test_ports_that_may_be_given_out(network, xdnat):
    """--snat-ports is refused where the host uses ports itself; the list follows
    listeners and rules."""
    ephemeral = network.router.run("sysctl", "-n", "net.ipv4.ip_local_port_range").stdout.split()
    first, last = map(int, ephemeral)
    listener = network.router.socket()
    listener.bind(("", 20005))
    listener.listen()
    said = xdnat.refused(5, "load", "wan", "--snat-ports", "1024-65535")
    assert "type a range outside %d-%d, for example 20000-29999" % (first, last) in said
    network.router.sysctl("ipv4.ip_local_reserved_ports=8080,%d" % (last - 1))
    said = xdnat.refused(5, "load", "wan", "--snat-ports", "%d-%d" % (first - 10, first + 1))
    network.router.sysctl("ipv4.ip_local_reserved_ports=\n")
    assert "ip_local_reserved_ports=8080,%d-%d,%d\n" % (first, first + 1, last - 1) in said
    assert "20005" in xdnat.refused(5, "load", "wan", "--snat-ports", "20000-20009")
    listener.close()
    xdnat.refused(2, "load", "wan", "--snat-ports", "20009-20000")
    xdnat.refused(2, "load", "wan", "--snat-ports", "20000")
    xdnat("load", "wan", "lan", *SMALL)

    def ports():
        return xdnat.json("status")["masquerade"]["ports"]

    assert 65536 - 1024 - (last - first + 1) - 64 <= ports() <= 65536 - 1024 - (last - first + 1)
    xdnat("load", "--snat-ports", "20000-20009")
    assert ports() == 10
    xdnat("rule", "add", "20003:10.0.0.5:80", "mode=masquerade")
    assert xdnat.json("status")["masquerade"] == {
        "first_port": 20000, "last_port": 20009, "ports": 9, "targets": 1, "capacity": 9}
    assert "9 ports of 20000-20009" in xdnat("status").stdout
    listener = network.router.socket()
    listener.bind(("", 20007))
    listener.listen()
    w.wait(lambda: ports() == 8, "the daemon sees who listens")
    listener.close()
    xdnat("load")
    assert ports() == 9
    with network.router.socket(kind=socket.SOCK_DGRAM) as connected, \
            network.router.socket() as local:
        connected.bind(("", 20008))
        connected.connect((CLIENT, 9))
        local.bind(("127.0.0.1", 20009))
        local.listen()
        xdnat("load")
        assert ports() == 8, "a connected socket has its port, a local one is in nobody's way"


def test_route_is_asked_once_a_target(network, xdnat, tmp_path):
    """However many rules send to it: the daemon asks every few seconds."""
    trace = tmp_path / "trace"
    xdnat("load", "wan", "lan", "--mode", "tc", "--no-daemon")
    xdnat("rule", "add", "-", stdin="".join("%d:%s:%d mode=masquerade\n" % (1000 + n, SERVER, n + 1)
                                            for n in range(200)))
    network.router.run("strace", "-f", "-e", "trace=sendto,sendmsg", "-o", trace,
                       w.XDNAT, "--instance", xdnat.instance, "load", "--no-daemon")
    assert 0 < trace.read_text().count("RTM_GETROUTE") < 20


def test_rule_without_a_source(network, native):
    """It is a problem, with its remedy."""
    done = native("rule", "add", "7000:192.0.2.5:80", "mode=masquerade", "snat=10.0.0.250")
    assert "snat=" in done.stderr
    words = {one["problem"] for one in native.json()["problems"]}
    assert "foreign_source" in words
