# SPDX-License-Identifier: GPL-2.0-only
"""Ranges of ports and "*" with real stacks: what they take, and what they leave."""
import contextlib
import socket

import pytest
import talk
import world as w
from network import CLIENT, ROUTER, ROUTER6, SERVER, SERVER6
from test_rule_sets import FreshFlows

FIRST, TARGET_FIRST, PORTS = 30000, 40000, 100


def ask_udp(space, address, port, text=b"x"):
    """What comes back from there."""
    with space.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, 2) as sock:
        sock.settimeout(20)
        sock.sendto(text, (address, port))
        return sock.recvfrom(100)


@pytest.fixture
def hears(network):
    """hears(port): sockets on the server, of which each answers with its own port."""
    opened = []

    def start(ports):
        for port in ports:
            sock = network.server.socket(kind=2)
            sock.bind((SERVER, port))
            opened.append(w.Service(lambda sock, port=port: answer(sock, port), sock))

    def answer(sock, port):
        while True:
            data, peer = sock.recvfrom(100)
            sock.sendto(b"%d %s %d %s" % (port, peer[0].encode(), peer[1], data), peer)

    yield start
    for one in opened:
        one.stop()


def test_every_port_of_a_range(network, loaded, hears):
    """T071: each port goes to its own, the target sees the client's address and port,
    the answer comes from where the client sent to."""
    hears(range(TARGET_FIRST, TARGET_FIRST + PORTS))
    loaded("rule", "add", "%d-%d:%s:%d-%d/udp" % (FIRST, FIRST + PORTS - 1, SERVER,
                                                  TARGET_FIRST, TARGET_FIRST + PORTS - 1))
    for n in range(PORTS):
        with network.client.socket(kind=2) as sock:
            sock.settimeout(20)
            sock.bind(("", 0))
            sock.sendto(b"hello", (ROUTER, FIRST + n))
            data, peer = sock.recvfrom(100)
            assert peer == (ROUTER, FIRST + n)
            assert data == b"%d %s %d hello" % (TARGET_FIRST + n, CLIENT.encode(),
                                                sock.getsockname()[1])
    assert loaded.json("rule", "show", "30000-30099/udp")["flows_made"] == PORTS


def test_many_ports_to_one(network, native, hears):
    hears([53])
    native("rule", "add", "5300-5309:%s:53/udp" % SERVER)
    for port in range(5300, 5310):
        data, peer = ask_udp(network.client, ROUTER, port)
        assert data.startswith(b"53 ") and peer == (ROUTER, port)


def whoami(text):
    def serve(connection, peer):
        connection.sendall(text)
        talk.echo(connection, peer)
    return talk.accepting(serve)


def greeting(network, port, address=ROUTER):
    """What is said at the port; "" if nobody is there."""
    with contextlib.suppress(OSError), talk.dial(network.client, address, port, 3) as sock:
        return sock.recv(10)
    return b""


def test_any_port_leaves_the_hosts_own_to_it(network, native, service):
    """T071: what listens on this host stays reachable under "*", also what starts or
    ends later, unless a rule names its port."""
    service(network.router, whoami(b"host"), 2222)
    for port in 2222, 8080, 8081:
        service(network.server, whoami(b"server"), port, SERVER)
    assert greeting(network, 2222) == b"host"
    assert "a service" not in native("rule", "add", "*:%s/tcp+udp" % SERVER).stderr
    assert greeting(network, 2222) == b"host"
    assert greeting(network, 8080) == b"server"
    assert greeting(network, 8081) == b"server"
    later = service(network.router, whoami(b"host"), 8080)
    w.wait(lambda: greeting(network, 8080) == b"host", "the new service has its port", 15)
    assert greeting(network, 8081) == b"server"
    later.stop()
    w.wait(lambda: greeting(network, 8080) == b"server", "it is the rule's again", 15)
    assert "port 2222" in native("rule", "add", "2200-2299:%s/tcp" % SERVER).stderr
    assert greeting(network, 2222) == b"server"
    native("rule", "del", "2200-2299/tcp")
    assert greeting(network, 2222) == b"host"
    assert "port 2222" in native("rule", "add", "2222:%s" % SERVER).stderr
    assert greeting(network, 2222) == b"server"


@pytest.mark.parametrize("mode", ["native", "tc"])
def test_any_port_leaves_the_hosts_own_connections_to_it(network, xdnat, service, hears,
                                                            mode):
    """T071: under "*" this host still resolves names, sets its clock and fetches packages:
    answers come in on the ports that it gives its own connections. Who wants those ports
    names them, and is told how to keep them apart."""
    xdnat("load", "wan", "lan", "--mode", mode)
    service(network.client, talk.udp_echo, 53, CLIENT, kind=socket.SOCK_DGRAM)
    service(network.client, whoami(b"packages"), 80, CLIENT)
    hears([45000])

    def answers():
        with network.router.socket(kind=2) as sock:
            sock.settimeout(5)
            sock.sendto(b"name?", (CLIENT, 53))
            assert sock.recv(100).endswith(b" name?")
        with talk.dial(network.router, CLIENT, 80, 5) as sock:
            assert sock.recv(10) == b"packages"

    said = xdnat("rule", "add", "*:%s/tcp+udp" % SERVER).stderr
    assert "left to this host" in said and "32768-60999" in said
    answers()
    said = xdnat("rule", "add", "45000-45009:%s/udp" % SERVER).stderr
    assert "sysctl -w net.ipv4.ip_local_reserved_ports=45000-45009" in said
    assert ask_udp(network.client, ROUTER, 45000)[0].startswith(b"45000 ")
    network.router.sysctl("ipv4.ip_local_reserved_ports=45000-45009")
    try:
        xdnat("rule", "del", "45000-45009/udp")
        assert not xdnat("rule", "add", "45000-45009:%s/udp" % SERVER).stderr
    finally:
        network.router.sysctl("ipv4.ip_local_reserved_ports=\n")
    answers()
    xdnat("rule", "del", "45000-45009/udp")
    wide = "1024-65535:%s/udp" % SERVER
    assert "except=32768-60999" in xdnat("rule", "add", wide).stderr
    xdnat("rule", "del", "1024-65535/udp")
    assert "connections" not in xdnat("rule", "add", wide, "except=32768-60999").stderr


def test_any_port_follows_the_range_of_the_hosts_own_connections(network, native, hears):
    """T071: a smaller net.ipv4.ip_local_port_range leaves the rule more, in the daemon's
    next round."""
    hears([50000])
    native("rule", "add", "*:%s/udp" % SERVER)

    def reaches():
        with network.client.socket(kind=2) as sock:
            sock.settimeout(0.2)
            sock.sendto(b"x", (ROUTER, 50000))
            with contextlib.suppress(OSError):
                return sock.recv(100).startswith(b"50000 ")

    assert not reaches()
    network.router.sysctl("ipv4.ip_local_port_range=60000 60999")
    try:
        w.wait(reaches, "the port is the rule's", 15)
    finally:
        network.router.sysctl("ipv4.ip_local_port_range=32768 60999")


def test_any_port_spares_the_callers_ssh_session(network, native, service):
    """Its port is left to the host while sshd listens there; a session whose sshd does
    not is spared as by any rule."""
    def ssh(*words):
        return native.namespace.run("env", "SSH_CONNECTION=203.0.113.9 40000 %s 22" % ROUTER,
                                    w.XDNAT, "--instance", native.instance, *words, check=False)
    done = ssh("rule", "add", "*:%s" % SERVER)
    assert done.returncode == 5 and "port 22 " in done.stderr and "--force" in done.stderr
    done = ssh("rule", "add", "20-30:%s" % SERVER)
    assert done.returncode == 5 and "port 22 " in done.stderr
    assert ssh("rule", "add", "20-30:%s" % SERVER, "except=22").returncode == 0
    service(network.router, whoami(b"sshd"), 22)
    assert ssh("rule", "add", "*:%s" % SERVER).returncode == 0
    assert greeting(network, 22) == b"sshd"


def test_ranges_follow_addresses(network, native, hears):
    """T136: a range without an address is where the interface's addresses are."""
    hears([5305])
    native("rule", "add", "5300-5309:%s/udp" % SERVER)
    network.router.ip("addr", "add", "203.0.113.77/24", "dev", "wan")
    try:
        def answers():
            return "203.0.113.77" in native.json("rule", "show", "5300-5309/udp")["addresses"]
        w.wait(answers, "it listens on the new address", 15)
        assert ask_udp(network.client, "203.0.113.77", 5305)[0].startswith(b"5305 ")
    finally:
        network.router.ip("addr", "del", "203.0.113.77/24", "dev", "wan")
    w.wait(lambda: native.json("rule", "show", "5300-5309/udp")["addresses"] == [ROUTER],
           "the address that went is forgotten", 15)


def test_ranges_swap_at_once(network, native, service):
    """T123: rule sets with ranges swap under load: every datagram takes one way, none
    is lost."""
    ways = [talk.Collector(), talk.Collector()]
    for port, collector in zip((54, 55), ways):
        service(network.server, collector.loop, port, SERVER, kind=2)
    sets = ["5000-6000:%s:%d/udp\n7000-%d:10.0.0.6\n" % (SERVER, port, 8000 + port)
            for port in (54, 55)]
    sets.append("5301:%s:54/udp\n" % SERVER)  # and sets without any
    native("rule", "add", "-", stdin=sets[0])
    fresh = FreshFlows(network.client, 5301, pause=0.0005)
    w.wait(lambda: ways[0].seen, "the probe arrives")
    for n in range(60 if w.LONG else 12):
        native("rule", "replace", "-", stdin=sets[(n + 1) % 3])
    fresh.stop()
    w.wait(lambda: len(ways[0].seen) + len(ways[1].seen) == fresh.sent, "no gap", 5)
    assert not set(ways[0].seen) & set(ways[1].seen)
    assert min(len(way.seen) for way in ways) > 20, "the ways were not both taken"


FORMS = {
    "30000-30099:10.0.0.5:40000-40099/udp": "30000-30099:10.0.0.5:40000-40099/udp",
    "30000-30099:10.0.0.5:53": "30000-30099:10.0.0.5:53/tcp",
    "30000-30099:10.0.0.5": "30000-30099:10.0.0.5:30000-30099/tcp",
    "*:10.0.0.5/tcp+udp": "*:10.0.0.5/tcp+udp",
    "*:*:[fd00::5] except=443,22-23": "*:*:[fd00::5]/tcp except=22-23,443",
    "80:10.0.0.5/tcp+udp": "80:10.0.0.5:80/tcp+udp",
    "8080:local:80": "8080:local:80/tcp",
}


def test_lists_recreate_every_form(native):
    """`rule list` in each format is the way back to the same rules."""
    for n, text in enumerate(FORMS):
        native("rule", "flush", "--yes")
        native("rule", "add", *text.split(), "name=form%d" % n)
        listed = native("rule", "list", "--json").stdout
        rules = native("rule", "list", "--format=rules").stdout
        first, *keys = FORMS[text].split()
        assert rules.split() == [first, "name=form%d" % n, *keys]
        commands = native("rule", "list", "--format=commands").stdout
        native("rule", "flush", "--yes")
        native("rule", "add", "-", stdin=rules)
        assert native("rule", "list", "--json").stdout == listed
        native("rule", "flush", "--yes")
        native.namespace.run("sh", "-c", commands.replace("xdnat ", w.XDNAT + " ", 1))
        assert native("rule", "list", "--json").stdout == listed
        assert "form%d" % n in native("rule", "show", text.split()[0] if "except" not in text
                                      else "form%d" % n).stdout


def test_named_by_its_listener(native):
    for text in FORMS:
        told = native.json("rule", "add", *text.split())["rule"]
        assert native.json("rule", "show", told["name"])["name"] == told["name"]
        assert native.json("rule", "del", told["name"])["change"] == "deleted"


def test_local_rule_listens_in_both_families(native):
    native("rule", "add", "8080:local:80", "name=both")
    assert set(native.json("rule", "show", "both")["addresses"]) == {ROUTER, ROUTER6}
    for other in "8080:%s" % SERVER, "8080:[%s]" % SERVER6, "8080:%s/tcp+udp" % SERVER:
        assert "both" in native.refused(5, "rule", "add", other)
    native("rule", "add", "8080:%s/udp" % SERVER)
