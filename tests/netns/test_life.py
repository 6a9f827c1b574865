# SPDX-License-Identifier: GPL-2.0-only
"""Load and unload, the daemon's death, and a network that changes."""
import json
import os
import signal
import threading
import time

import bpf
import pytest
import talk
import world as w
from halves import Table, pins
from network import ROUTER, SERVER
from traces import lives, pinned_ids, shape

RULE = "%s:8080:%s:80" % (ROUTER, SERVER)
UDP_RULE = "%s:5300:%s:53/udp" % (ROUTER, SERVER)


@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize("how", ["all", "one by one", "both"])
def test_unload_leaves_nothing(network, xdnat, service, mode, how):
    """T157: no program, map, link, pin, qdisc, offload or file."""
    before = shape(network)
    service(network.server, talk.accepting(talk.http), 80, SERVER)
    xdnat("load", "wan", "lan", "--mode", mode)
    xdnat("rule", "add", RULE)
    network.client.run("curl", "-sS", "--noproxy", "*", "--max-time", "20",
                       "http://%s:8080/" % ROUTER)
    ids, daemon = pinned_ids(xdnat.pins), xdnat.daemon()
    assert daemon and {kind for kind, _ in ids} == {"prog", "map", "link"}
    assert shape(network)["xdp"] != before["xdp"]
    if how == "one by one":
        xdnat("unload", "wan")
        assert xdnat.is_loaded()
        xdnat("unload", "lan")
    else:
        xdnat("unload", *(["--all"] if how == "all" else ["wan", "lan"]))
    assert xdnat.daemon() is None
    w.wait(lambda: not os.path.exists("/proc/%d" % daemon), "the daemon is gone", 5)
    w.wait(lambda: not [one for one in ids if lives(*one)], "programs, maps, links are gone")
    assert shape(network) == before
    xdnat.refused(3, "status")


def test_daemon_killed_under_load(network, loaded, service):
    """Not a datagram is lost, every command works, load brings it back."""
    collector = talk.Collector()
    loaded("rule", "add", UDP_RULE)
    service(network.server, collector.loop, 53, SERVER, kind=2)
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    sender = talk.Numbered(network.client, ROUTER, 5300)
    w.wait(lambda: len(collector.seen) > 100, "datagrams arrive")
    first = loaded.daemon()
    os.kill(first, signal.SIGKILL)
    w.wait(lambda: loaded.daemon() is None, "the daemon is dead")
    loaded("status")
    loaded("rule", "add", RULE)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"without a daemon") == b"without a daemon"
        loaded("load")
        assert loaded.daemon() not in (None, first)
        assert talk.ask(sock, b"with one") == b"with one"
    loaded("rule", "del", "%s:8080/tcp" % ROUTER)
    sender.stop()
    w.wait(lambda: len(collector.seen) == sender.sent, "no gap", 5)
    assert set(collector.seen.values()) == {1}, "datagrams came twice"


def test_commands_without_a_daemon(network, xdnat, service):
    """--no-daemon: all but following the network works."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    xdnat("load", "wan", "lan", "--no-daemon", "--mode", "native")
    assert xdnat.daemon() is None
    xdnat("rule", "add", RULE)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"hello") == b"hello"
    for words in (["status"], ["stats"], [], ["flow", "count"], ["rule", "flush", "--yes"]):
        xdnat(*words)


def test_daemon_is_detached(native):
    """Its own session, none of the caller's descriptors."""
    pid = native.daemon()
    with open("/proc/%d/stat" % pid) as text:
        fields = text.read().rpartition(")")[2].split()
    assert int(fields[3]) == pid or int(fields[3]) != os.getsid(0)
    for descriptor in 0, 1, 2:
        target = os.readlink("/proc/%d/fd/%d" % (pid, descriptor))
        assert not target.startswith("pipe:"), target
    with open(os.path.join(native.run_dir, "xdnatd.pid"), "rb") as text:
        assert text.read() == b"%d\n" % pid


def test_stale_pid_file_is_no_daemon(native):
    first = native.daemon()
    os.kill(first, signal.SIGKILL)
    w.wait(lambda: native.daemon() is None, "the daemon is dead")
    with open(os.path.join(native.run_dir, "xdnatd.pid"), "w") as text:
        text.write("%d\n" % os.getpid())  # somebody lives, but no daemon
    native("load")
    assert native.daemon() not in (None, os.getpid())


def test_load_again_replaces_in_place(network, native, service):
    """A connection does not notice."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    native("rule", "add", RULE)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        for n in range(5):
            native("load")
            assert talk.ask(sock, b"%d" % n) == b"%d" % n


@pytest.mark.parametrize("how", ["link", "netlink"])
def test_foreign_program_is_refused_by_name(network, xdnat, how):
    program = bpf.load_pass("foreign_xdp")
    pin, link = "/sys/fs/bpf/%s" % w.name("foreign"), None
    try:
        if how == "link":
            with network.router.entered():
                link = bpf.link_xdp(program, network.router.ifindex("lan"))
        else:
            bpf.pin(program, pin)
            network.router.ip("link", "set", "dev", "lan", "xdpdrv", "pinned", pin)
        message = xdnat.refused(5, "load", "wan", "lan", "--mode", "native")
        assert "foreign_xdp" in message and "lan" in message, message
        assert not xdnat.is_loaded(), "half loaded"
        links = json.loads(network.router.ip("-j", "-d", "link", "show"))
        assert {one["ifname"] for one in links if "xdp" in one} == {"lan"}
    finally:
        if link is not None:
            os.close(link)
        else:
            network.router.ip("link", "set", "dev", "lan", "xdpdrv", "off")
            os.path.exists(pin) and os.unlink(pin)
        os.close(program)


def test_unconfirmed_load_is_undone(xdnat):
    xdnat("load", "wan", "lan", "--confirm", "2")
    assert xdnat.is_loaded()
    w.wait(lambda: not xdnat.is_loaded(), "undone", 15, 0.1)
    w.wait(lambda: not os.path.exists(xdnat.pins), "no pins", 5)


def test_confirmed_load_stays(xdnat):
    xdnat("load", "wan", "lan", "--confirm", "2")
    xdnat("confirm")
    deadline = time.monotonic() + 4
    w.wait(lambda: time.monotonic() > deadline, "the time is over")
    assert xdnat.is_loaded()


def test_target_neighbour_is_kept_resolved(network, native, service):
    """The first packet finds it resolved, and it does not age."""
    network.router.ip("neigh", "flush", "dev", "lan")
    native("rule", "add", RULE)
    entry = network.router.ip("neigh", "show", SERVER)
    assert "02:00:00:00:02:05" in entry and "managed" in entry, entry
    native("rule", "flush", "--yes")
    w.wait(lambda: "managed" not in network.router.ip("neigh", "show", SERVER), "let go", 10)


def test_permanent_neighbours_are_left_alone(network, native):
    network.router.ip("neigh", "replace", "10.0.0.66", "lladdr", "02:00:00:00:02:66", "dev",
                      "lan", "nud", "permanent")
    try:
        native("rule", "add", "%s:8066:10.0.0.66:80" % ROUTER)
        native("unload", "--all")
        entry = network.router.ip("neigh", "show", "10.0.0.66")
        assert "PERMANENT" in entry and "managed" not in entry, entry
    finally:
        network.router.ip("neigh", "del", "10.0.0.66", "dev", "lan")


def test_forwarding_off_is_told(network, xdnat):
    """T135: when it is loaded; test_next_hop.py has what becomes of packets."""
    network.router.sysctl("ipv4.ip_forward=0")
    try:
        done = xdnat("load", "wan", "lan")
        assert "ip_forward" in done.stderr, done.stderr
    finally:
        network.router.sysctl("ipv4.ip_forward=1")
        # ip_forward resets what IPv6 does not share; nothing else to restore.


def test_two_instances_do_not_meet(network, native, service):
    """Another instance on the same interfaces is refused, and harms nothing."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    native("rule", "add", RULE)
    other = w.Xdnat(network.router, "b")
    try:
        other.refused(5, "load", "wan")
        assert not other.is_loaded()
    finally:
        other.destroy()
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"still") == b"still"


def test_commands_at_once(native):
    """Edits from many processes: none is lost."""
    errors = []

    def add(n):
        try:
            native("rule", "add", "%d:10.0.0.5:80" % n)
        except AssertionError as error:
            errors.append(error)
    threads = [threading.Thread(target=add, args=(n,)) for n in range(9000, 9020)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert native("rule", "list", "--format=commands").stdout.count(":10.0.0.5:80") == 20


def test_every_packet_is_counted(network, native, service):
    """Forwarded, with the numbers of the traffic that was."""
    service(network.server, talk.udp_echo, 53, SERVER, kind=2)
    native("rule", "add", UDP_RULE)
    forwarded = bpf.reasons().index("FORWARDED")
    descriptor = bpf.pinned(native.pin("xdnat_stats"))

    def count():
        import struct
        value = bpf.lookup(descriptor, struct.pack("I", forwarded), 16 * bpf.possible_cpus())
        return sum(struct.unpack("%dQ" % (len(value) // 8), value)[::2])
    before = count()
    with network.client.socket(kind=2) as sock:
        sock.settimeout(20)
        sock.connect((ROUTER, 5300))
        for _ in range(50):
            sock.send(b"count me")
            sock.recv(100)
    assert count() - before == 100
    os.close(descriptor)
    assert "forwarded" in native("stats").stdout


def test_daemon_frees_expired_flows(network, xdnat, service):
    """The daemon reads lifetimes when it starts: they are shortened before."""
    service(network.server, talk.udp_echo, 53, SERVER, kind=2)
    xdnat("load", "wan", "lan", "--mode", "native", "--no-daemon")
    xdnat("rule", "add", UDP_RULE)
    descriptor = bpf.pinned(xdnat.pin("xdnat_config"))
    bpf.set_lifetimes(descriptor, 2)
    os.close(descriptor)
    for _ in range(10):
        with network.client.socket(kind=2) as sock:
            sock.settimeout(20)
            sock.sendto(b"once", (ROUTER, 5300))
            sock.recv(100)
    with pins(xdnat) as pinned:
        table = Table(pinned, False)
    assert len(table.keys()) == 20
    xdnat("load")
    w.wait(lambda: not table.keys(), "both halves of each are gone", 60, 0.2)
    assert xdnat.json("flow", "count")["count"] == 0
