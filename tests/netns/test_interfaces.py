# SPDX-License-Identifier: GPL-2.0-only
"""Interfaces that go down and up, that are deleted and made anew, whose link somebody
takes off: connections go on, and the daemon says what it did."""
import contextlib
import json
import os
import signal
import socket
import time

import bpf
import pytest
import talk
import world as w
from network import Network, ROUTER, ROUTER6, SERVER, SERVER6

BACK_SEC = 2.0
PATIENCE_SEC = 20
BIG_INDEX = 70000


def problems(xdnat):
    return [one["text"] for one in json.loads(xdnat("--json").stdout)["problems"]
            if one["problem"] == "not_attached"]


@pytest.fixture(scope="module")
def network():
    """Of their own: they change the order of the interfaces."""
    made = Network.__new__(Network)
    try:
        made.__init__("i")
        yield made
    finally:
        made.remove()


@contextlib.contextmanager
def stopped(pid):
    """It does not look meanwhile: what comes next happens between two looks."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Talk:
    """One TCP connection and one UDP flow of each family, which must not break."""

    def __init__(self, network, xdnat, service):
        xdnat("rule", "add", "8080:%s:80" % SERVER)
        xdnat("rule", "add", "8080:[%s]:80" % SERVER6)
        xdnat("rule", "add", "5300:%s:53/udp" % SERVER)
        xdnat("rule", "add", "5300:[%s]:53/udp" % SERVER6)
        for address in SERVER, SERVER6:
            service(network.server, talk.accepting(talk.echo), 80, address)
            service(network.server, talk.udp_echo, 53, address, kind=socket.SOCK_DGRAM)
        self.streams = [talk.dial(network.client, to, 8080, PATIENCE_SEC)
                        for to in (ROUTER, ROUTER6)]
        self.datagrams = []
        for to, family in (ROUTER, socket.AF_INET), (ROUTER6, socket.AF_INET6):
            sock = network.client.socket(family, socket.SOCK_DGRAM)
            sock.bind(("", 40000 + family))
            sock.settimeout(0.05)
            self.datagrams.append((sock, (to, 5300)))
        self.goes_on()

    def close(self):
        for sock in self.streams + [sock for sock, _ in self.datagrams]:
            sock.close()

    @staticmethod
    def _answers(sock, to):
        with contextlib.suppress(OSError):  # unreachable, as long as it is
            sock.sendto(b"still there?", to)
            return b"still there?" in sock.recv(100)

    def goes_on(self):
        """Returns how long the datagrams' answers took to come."""
        started = time.monotonic()
        for sock, to in self.datagrams:
            w.wait(lambda sock=sock, to=to: self._answers(sock, to), "an answer of %s" % (to,),
                   PATIENCE_SEC, 0)
        took = time.monotonic() - started
        for sock in self.streams:
            assert talk.ask(sock, b"still there?") == b"still there?"
        return took


@pytest.fixture
def talking(network, native, service):
    made = Talk(network, native, service)
    yield made
    made.close()
    for device in "wan", "lan":
        with contextlib.suppress(AssertionError):
            network.router.ip("link", "show", "dev", device)
            continue
        network.connect(device)


@pytest.mark.parametrize("device", ["wan", "lan"])
def test_down_and_up(network, native, talking, device):
    """T137: the program stays, flows go on once addresses and routes are back."""
    network.router.ip("link", "set", device, "down")
    assert native.is_on(device)
    network.router.ip("link", "set", device, "up")
    network.configure(device)
    assert talking.goes_on() < BACK_SEC


@pytest.mark.parametrize("device", ["wan", "lan"])
def test_made_anew(network, native, talking, device):
    """T138: another ifindex, above 65,535; the same flows, the same daemon."""
    daemon, old = native.daemon(), network.router.ifindex(device)
    made = native.json("flow", "count")["count"]
    network.router.ip("link", "del", device)
    w.wait(lambda: "%s is gone" % device in "".join(problems(native)), "it is told", 5)
    network.connect(device, "index", str(BIG_INDEX + old))
    assert talking.goes_on() < BACK_SEC
    assert native.json("flow", "count")["count"] == made
    assert [one["ifindex"] for one in native.rows(device)] == [BIG_INDEX + old]
    assert native.is_on(device)
    assert not os.path.exists(native.pin("link_%d" % old))
    assert not problems(native) and native.daemon() == daemon


@pytest.mark.parametrize("device", ["wan", "lan"])
@pytest.mark.parametrize("how", ["link detached", "pin removed"])
def test_somebody_takes_the_link_off(network, native, talking, device, how):
    """P33: the daemon attaches it again."""
    path = native.pin("link_%d" % network.router.ifindex(device))
    number = bpf.kind_and_id(path)[1]
    assert network.router.run("ip", "link", "set", device, "xdp", "off", check=False).returncode
    if how == "link detached":
        w.run("bpftool", "link", "detach", "id", number)
    else:
        os.unlink(path)
    started = time.monotonic()
    w.wait(lambda: native.is_on(device) and bpf.kind_and_id(path)[1] != number, "it is back", 10)
    assert time.monotonic() - started < BACK_SEC
    assert talking.goes_on() < BACK_SEC


def test_generic_stays_generic(network, xdnat):
    router = network.router
    xdnat("load", "lan", "--mode", "generic")
    router.ip("link", "del", "lan")
    try:
        w.wait(lambda: problems(xdnat), "it is told", 5)
    finally:
        network.connect("lan", "index", str(BIG_INDEX))
    w.wait(lambda: xdnat.is_on("lan"), "attached", BACK_SEC)
    assert "xdpgeneric" in router.ip("link", "show", "lan")


@pytest.fixture
def extra(network):
    """extra(): makes an interface that no traffic needs; extra.name."""
    def make():
        network.router.ip("link", "add", "extra", "type", "veth")
        network.router.ip("link", "set", "extra", "up")
    make()
    yield make
    network.router.run("ip", "link", "del", "extra", check=False)


@pytest.mark.parametrize("options", [[], ["--no-daemon"]], ids=["daemon", "no daemon"])
def test_gone_for_good(network, xdnat, extra, options):
    """Nothing else suffers; under the same name it is picked up whenever it comes."""
    xdnat("load", "wan", "extra", "--mode", "native", *options)
    network.router.ip("link", "del", "extra")
    w.wait(lambda: problems(xdnat), "it is told", 5)
    text, = problems(xdnat)
    assert "extra is gone" in text and "xdnat unload extra" in text
    assert not xdnat.is_on("extra")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    xdnat("load", "lan", *options)
    xdnat("unload", "lan")
    assert "extra is gone" in xdnat("load", *options).stderr
    xdnat("rule", "del", "8080/tcp")
    extra()
    if options:
        assert "extra: attached again" in xdnat("load", *options).stdout
        assert len(xdnat.rows("extra")) == 1
    w.wait(lambda: xdnat.is_on("extra"), "it is attached", 5)
    network.router.ip("link", "del", "extra")
    w.wait(lambda: problems(xdnat), "it is told again", 5)
    xdnat("unload", "extra")
    assert not problems(xdnat) and xdnat.is_on("wan")
    assert [name for name in os.listdir(os.path.dirname(xdnat.pin("x")))
            if name.startswith("link_")] == ["link_%d" % network.router.ifindex("wan")]


def test_renamed(network, native, extra):
    """Its row follows, it stays attached; one that takes its old name is not loaded."""
    native("load", "extra", "--mode", "native")
    index = network.router.ifindex("extra")
    network.router.ip("link", "set", "extra", "name", "renamed")
    try:
        w.wait(lambda: native.is_on("renamed"), "the new name is known", 5)
        extra()
        assert [one["ifindex"] for one in native.rows("renamed")] == [index]
        assert "xdp" not in network.router.ip("link", "show", "extra")
    finally:
        network.router.run("ip", "link", "del", "renamed", check=False)


def test_index_given_to_a_stranger(network, native, extra):
    """Loaded is what has the name, not what has the number."""
    native("load", "extra", "--mode", "native")
    router, index = network.router, network.router.ifindex("extra")
    with stopped(native.daemon()):
        router.ip("link", "del", "extra")
        router.ip("link", "add", "stranger", "index", index, "type", "veth")
    try:
        w.wait(lambda: "extra is gone" in "".join(problems(native)), "it is told", 5)
        router.ip("link", "set", "stranger", "up")  # announced: the daemon looks
        extra()
        w.wait(lambda: native.is_on("extra"), "attached to the right one", 5)
        assert "xdp" not in router.ip("link", "show", "stranger")
        assert index not in [one["ifindex"] for one in native.json("status")["interfaces"]]
    finally:
        router.run("ip", "link", "del", "stranger", check=False)


def test_moved_to_another_namespace(network, native, extra):
    """T142: it does not go on forwarding there."""
    native("load", "extra", "--mode", "native")
    extra_index = network.router.ifindex("extra")
    network.router.ip("link", "set", "extra", "netns", network.server.name)
    try:
        w.wait(lambda: "extra is gone" in "".join(problems(native)), "it is told", 5)
        w.wait(lambda: "xdp" not in network.server.ip("link", "show", "extra"), "it is off", 5)
        network.server.ip("link", "set", "extra", "netns", network.router.name)
        w.wait(lambda: native.is_on("extra"), "it is back", 5)
        assert network.router.ifindex("extra") == extra_index
    finally:
        network.server.run("ip", "link", "del", "extra", check=False)


class Log:
    """What the daemon of a load says to syslog(3)."""

    def __init__(self, tmp_path):
        self.dev = str(tmp_path / "dev")
        os.mkdir(self.dev)
        w.run("mknod", os.path.join(self.dev, "null"), "c", "1", "3")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(os.path.join(self.dev, "log"))
        self.sock.setblocking(False)
        self.lines = []

    def load(self, xdnat, *words):
        xdnat.namespace.run("unshare", "-m", "sh", "-c", 'mount --bind "$1" /dev && shift && '
                            'exec "$@"', "sh", self.dev, w.XDNAT, "--instance", xdnat.instance,
                            "load", *words)

    def count(self, text):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.lines.append(self.sock.recv(4096).decode())
        return sum(text in line for line in self.lines)


def test_foreign_program_in_its_place(network, xdnat, extra, tmp_path):
    """It stays, it is named once in the log, and ours comes back when it goes."""
    log, router = Log(tmp_path), network.router
    log.load(xdnat, "wan", "extra", "--mode", "native")
    program = bpf.load_pass("foreign_xdp")
    path = xdnat.pin("link_%d" % router.ifindex("extra"))
    with stopped(xdnat.daemon()), router.entered():
        w.run("bpftool", "link", "detach", "pinned", path)
        link = bpf.link_xdp(program, router.ifindex("extra"))
    w.wait(lambda: log.count("foreign_xdp"), "it is logged", 5)
    text, = problems(xdnat)
    assert "another XDP program" in text and "extra" in text
    # Three more looks of the daemon.
    looks = time.monotonic() + 3
    w.wait(lambda: time.monotonic() > looks, "three seconds are over", 5)
    assert log.count("foreign_xdp") == 1, log.lines
    assert log.lines[0].startswith("<28>") and "xdnatd[" in log.lines[0]
    os.close(link)
    os.close(program)
    w.wait(lambda: xdnat.is_on("extra"), "ours is back", 5)
    w.wait(lambda: log.count("extra: attached again") == 1, "that is logged", 5)
    router.ip("link", "del", "extra")
    w.wait(lambda: log.count("extra is gone") == 1, "that is logged, too", 5)


def test_unload_that_fails_can_be_repeated(network, native):
    """Here the link's pin cannot be removed: it is a place where something is mounted."""
    pin = native.pin("link_%d" % network.router.ifindex("lan"))
    done = network.router.run(
        "unshare", "-m", "sh", "-c", 'mount --bind "$1" "$1" && shift && exec "$@"', "sh", pin,
        w.XDNAT, "--instance", native.instance, "unload", "lan", check=False)
    assert done.returncode == 1 and "cannot detach from lan" in done.stderr, done
    assert native.rows("lan")
    assert "lan: unloaded" in native("unload", "lan").stdout
    assert not native.rows("lan") and not os.path.exists(pin)


def test_mtu_beyond_what_native_takes(network, xdnat, service):
    """T139: said at load; once loaded the kernel refuses it, and forwarding goes on."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    network.client.ip("link", "set", "eth0", "mtu", "9000")
    try:
        message = xdnat.refused(7, "load", "wan", "--mode", "native")
        assert "MTU" in message and "--mode auto" in message, message
        assert not xdnat.is_loaded()
    finally:
        network.client.ip("link", "set", "eth0", "mtu", "1500")
    xdnat("load", "wan", "lan", "--mode", "native")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"before") == b"before"
        assert network.client.run("ip", "link", "set", "eth0", "mtu", "9000",
                                  check=False).returncode
        network.router.ip("link", "set", "wan", "mtu", "9000")
        try:
            assert talk.ask(sock, b"after") == b"after"
            assert xdnat.is_on("wan")
        finally:
            network.router.ip("link", "set", "wan", "mtu", "1500")


def test_load_attaches_and_listens_again(network, xdnat, service):
    """Without a daemon: on the address that the new interface has."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    xdnat("load", "wan", "lan", "--mode", "native", "--no-daemon")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    network.router.ip("link", "del", "wan")
    network.connect("wan")
    assert "attached again" in xdnat("load", "--no-daemon").stdout
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"hello") == b"hello"
