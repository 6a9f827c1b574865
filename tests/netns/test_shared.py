# SPDX-License-Identifier: GPL-2.0-only
"""--shared: beside other XDP programs in libxdp's dispatcher (T140). Where the kernel
has no BPF_PROG_TYPE_EXT only the refusals can be tested."""
import contextlib
import ctypes
import glob
import json
import os
import socket
import struct

import bpf
import pytest
import segments
import talk
import world as w
from network import CLIENT, CLIENT6, ROUTER, ROUTER6, SERVER, SERVER6

DISPATCHERS = "/sys/fs/bpf/xdp"
NATIVE, GENERIC = 1, 2
PROG_TYPE_EXT = 28
SMALL = "--flows", "256"  # of room: quick to make on an emulated processor
libbpf = ctypes.CDLL("libbpf.so.1")
libxdp = ctypes.CDLL("libxdp.so.1")
for one in (libxdp.xdp_program__open_file, libxdp.xdp_program__bpf_obj,
            libxdp.xdp_multiprog__get_from_ifindex, libxdp.xdp_multiprog__next_prog,
            libxdp.xdp_program__name):
    one.restype = ctypes.c_void_p
RUNS = libbpf.libbpf_probe_bpf_prog_type(PROG_TYPE_EXT, None) == 1
needs_dispatcher = pytest.mark.skipif(
    not RUNS, reason="this kernel refuses BPF_PROG_TYPE_EXT, so libxdp's dispatcher does not run")


def xdp(network, device):
    """What `ip` says of XDP on the router's device, None if there is none."""
    return json.loads(network.router.ip("-j", "-d", "link", "show", "dev", device))[0].get("xdp")


def in_dispatcher(ifindex, do=lambda program, mode: None):
    """Names of the programs in the dispatcher, in the order in which they run."""
    names = []
    running = libxdp.xdp_multiprog__get_from_ifindex(ifindex)
    if not running or running > 2 ** 64 - 4096:
        return names
    running, program = ctypes.c_void_p(running), None
    mode = libxdp.xdp_multiprog__attach_mode(running)
    while True:
        program = libxdp.xdp_multiprog__next_prog(ctypes.c_void_p(program), running)
        if not program:
            break
        names.append(ctypes.string_at(libxdp.xdp_program__name(ctypes.c_void_p(program))).decode())
        do(ctypes.c_void_p(program), mode)
    libxdp.xdp_multiprog__close(running)
    return names


class Beside:
    """Somebody else's program on the router's wan, in the dispatcher."""

    def __init__(self, network, object_file):
        self.network = network
        self.ifindex = network.router.ifindex("wan")
        self.program = ctypes.c_void_p(
            libxdp.xdp_program__open_file(os.fsencode(object_file), b"xdp", None))
        self.mode = None

    def attach(self, mode):
        with self.network.router.entered():
            assert libxdp.xdp_program__attach(self.program, self.ifindex, mode, 0) == 0
        self.mode = mode

    def detach(self):
        if self.mode is not None:
            with self.network.router.entered():
                libxdp.xdp_program__detach(self.program, self.ifindex, self.mode, 0)
        libxdp.xdp_program__close(self.program)

    def packets(self):
        opened = ctypes.c_void_p(libxdp.xdp_program__bpf_obj(self.program))
        count = libbpf.bpf_object__find_map_fd_by_name(opened, b"beside_count")
        return struct.unpack("Q", bpf.lookup(count, bytes(4), 8))[0]

    def names(self, do=lambda program, mode: None):
        with self.network.router.entered():
            return in_dispatcher(self.ifindex, do)


@pytest.fixture(scope="module")
def object_file(tmp_path_factory):
    made = str(tmp_path_factory.mktemp("beside") / "beside.bpf.o")
    w.run("clang", "-target", "bpf", "-O2", "-g", "-I/usr/include/%s-linux-gnu" %
          os.uname().machine, "-c", os.path.join(os.path.dirname(__file__), "beside.bpf.c"),
          "-o", made)
    return made


@pytest.fixture
def beside(network, object_file):
    made = Beside(network, object_file)
    try:
        yield made
    finally:
        made.detach()


@pytest.fixture
def echo(network, service):
    """One connection through the rule, to its answer."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)

    def ask():
        with talk.dial(network.client, ROUTER, 8080) as sock:
            assert talk.ask(sock, b"hello") == b"hello"
    return ask


@contextlib.contextmanager
def foreign(network, device, program_name):
    """A lone program of that name on the router's device; still there at the end."""
    program = bpf.load_pass(program_name)
    with network.router.entered():
        link = bpf.link_xdp(program, network.router.ifindex(device))
    try:
        yield
        assert xdp(network, device)["prog"]["name"] == program_name
    finally:
        os.close(link)
        os.close(program)


@pytest.fixture
def no_trace(network, xdnat):
    """True if nothing is on lan, and bpffs and /run are as they were."""
    def traces():
        return glob.glob(DISPATCHERS) + glob.glob(DISPATCHERS + "/*")
    before = traces()
    return lambda: (xdp(network, "lan") is None and not os.path.exists(xdnat.pins) and
                    not os.path.exists(xdnat.run_dir) and traces() == before)


def test_plain_load_refuses_beside_a_dispatcher(network, xdnat):
    """T140: the dispatcher is told by its name."""
    with foreign(network, "lan", "xdp_dispatcher"):
        message = xdnat.refused(5, "load", "wan", "lan", "--mode", "native")
        assert "xdnat load lan --shared" in message, message
        assert not xdnat.is_loaded() and xdp(network, "wan") is None


@pytest.mark.parametrize("name, reason", [("foreign_xdp", "\"foreign_xdp\""),
                                          ("xdp_dispatcher", "not using a dispatcher")])
def test_shared_load_refuses_beside_a_lone_program(network, xdnat, name, reason):
    """T140: also if it only calls itself a dispatcher."""
    with foreign(network, "lan", name):
        message = xdnat.refused(5, "load", "lan", "--shared", *SMALL)
        assert "lan" in message and reason in message, message
        assert not xdnat.is_loaded()


def cannot_share(xdnat, setting, *words):
    """What load --shared says when libxdp is told so by its environment."""
    refused = xdnat.namespace.run("env", setting, w.XDNAT, "--instance", xdnat.instance, "load",
                                  *words, "--shared", check=False)
    assert refused.returncode == 7, refused
    return refused.stderr


@pytest.mark.parametrize("setting, reason", [("LIBXDP_SKIP_DISPATCHER=1", "does not run"),
                                             ("LIBXDP_OBJECT_PATH=/nowhere", "xdp-dispatcher.o")])
@pytest.mark.parametrize("mode", ["native", "generic"])
def test_shared_load_that_libxdp_cannot_share(xdnat, no_trace, setting, reason, mode):
    """T140: libxdp falls back to a lone program and says it is well."""
    message = cannot_share(xdnat, setting, "lan", *SMALL, "--mode", mode)
    assert reason in message and len(message.splitlines()) == 1, message
    assert no_trace()


def test_refused_share_of_an_interface_that_was_plain(network, xdnat):
    """It stays loaded, not attached, and not shared."""
    xdnat("load", "wan", "lan", *SMALL, "--mode", "native", "--no-daemon")
    os.unlink(xdnat.pin("link_%d" % network.router.ifindex("lan")))
    w.wait(lambda: xdp(network, "lan") is None, "it is off")
    cannot_share(xdnat, "LIBXDP_SKIP_DISPATCHER=1", "lan", "--no-daemon")
    assert xdp(network, "lan") is None and not xdnat.is_on("lan") and xdnat.is_on("wan")
    assert "lan: attached again (native)" in xdnat("load").stdout


@pytest.mark.skipif(RUNS, reason="libxdp's dispatcher runs on this kernel")
def test_shared_load_where_the_kernel_cannot(network, xdnat, no_trace):
    """T140: what is loaded stays, what could not be shared leaves no trace."""
    xdnat("load", "wan", *SMALL)
    message = xdnat.refused(7, "load", "lan", "--shared", "--confirm", "60")
    assert "dispatcher" in message and "Operation not permitted" in message, message
    assert xdnat.is_on("wan") and xdp(network, "lan") is None
    assert [one["name"] for one in xdnat.json("status")["interfaces"]] == ["wan"]
    xdnat("unload", "--all")
    assert no_trace()


def test_shared_on_a_plainly_loaded_interface(native):
    message = native.refused(5, "load", "wan", "--shared")
    assert "xdnat unload wan" in message, message
    assert native.is_on("wan")
    assert not any(one["shared"] for one in native.json("status")["interfaces"])
    native.refused(2, "load", "--shared")


@needs_dispatcher
@pytest.mark.parametrize("mode", ["native", "generic"])
def test_both_run(network, xdnat, beside, echo, mode):
    """T140: the other one sees what we forward; it stays when we go."""
    beside.attach(NATIVE if mode == "native" else GENERIC)
    xdnat("load", "wan", "lan", *SMALL, "--shared", "--mode", mode)
    assert beside.names() == ["beside_xdp", "xdnat_xdp"]
    assert all(one["shared"] and one["attached"] for one in xdnat.json("status")["interfaces"])
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    before = beside.packets()
    echo()
    assert beside.packets() >= before + 4
    assert xdnat.forwarded() >= 8
    assert "wan: upgraded (%s, shared)" % mode in xdnat("load", "wan").stdout
    xdnat("unload", "wan", "lan")
    assert beside.names() == ["beside_xdp"] and xdp(network, "lan") is None
    before = beside.packets()
    with network.client.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"to nobody", (ROUTER, 9))
    w.wait(lambda: beside.packets() > before, "it still counts")


@needs_dispatcher
def test_plain_load_beside_the_real_dispatcher(network, xdnat, beside):
    beside.attach(NATIVE)
    assert "xdnat load wan --shared" in xdnat.refused(
        5, "load", "lan", "wan", *SMALL, "--mode", "native")
    assert beside.names() == ["beside_xdp"] and not xdnat.is_loaded()


@needs_dispatcher
def test_mode_of_those_who_are_there(xdnat, beside):
    beside.attach(GENERIC)
    message = xdnat.refused(5, "load", "wan", "--shared", *SMALL)
    assert "--shared --mode generic" in message, message
    assert beside.names() == ["beside_xdp"] and not xdnat.is_loaded()


@needs_dispatcher
def test_other_comes_and_goes(network, xdnat, beside, echo):
    """Ours is there first; the dispatcher is made anew around it."""
    xdnat("load", "wan", "lan", *SMALL, "--shared")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    beside.attach(NATIVE)
    assert beside.names() == ["beside_xdp", "xdnat_xdp"]
    assert xdnat.is_on("wan")
    echo()
    with network.router.entered():
        assert libxdp.xdp_program__detach(beside.program, beside.ifindex, NATIVE, 0) == 0
    beside.mode = None
    assert beside.names() == ["xdnat_xdp"] and xdnat.is_on("wan")
    echo()


@needs_dispatcher
def test_unconfirmed_shared_load_is_undone(network, xdnat, beside):
    beside.attach(NATIVE)
    assert "wan: loaded (native, shared)" in xdnat("load", "wan", "lan", *SMALL, "--shared",
                                                   "--confirm", "2").stdout
    w.wait(lambda: not os.path.exists(xdnat.pins), "undone", 60, 0.1)
    assert beside.names() == ["beside_xdp"] and xdp(network, "lan") is None


@needs_dispatcher
@pytest.mark.parametrize("how", ["taken out", "cleared"])
def test_ours_was_taken_out(network, xdnat, beside, echo, how):
    """By libxdp, or with the whole dispatcher; load puts it back."""
    beside.attach(NATIVE)
    xdnat("load", "wan", "lan", *SMALL, "--shared", "--no-daemon")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    if how == "cleared":
        network.router.ip("link", "set", "wan", "xdpdrv", "off")
    else:
        def take_ours(program, mode):
            if ctypes.string_at(libxdp.xdp_program__name(program)) == b"xdnat_xdp":
                assert libxdp.xdp_program__detach(program, beside.ifindex, mode, 0) == 0
        beside.names(take_ours)
        assert beside.names() == ["beside_xdp"]
    assert not xdnat.is_on("wan") and xdnat.is_on("lan")
    assert "not attached" in xdnat().stdout
    assert "wan: attached again (native, shared)" in xdnat("load").stdout
    echo()
    xdnat("unload", "--all")
    assert beside.names() == ([] if how == "cleared" else ["beside_xdp"])


@needs_dispatcher
@pytest.mark.parametrize("name", ["xdnat_config", "xdnat_interfaces", "xdnat_xdp"])
def test_damaged_instance(network, xdnat, beside, name):
    """unload --all takes out whatever it can still tell as its own."""
    beside.attach(NATIVE)
    xdnat("load", "wan", "lan", *SMALL, "--shared")
    os.unlink(xdnat.pin(name))
    xdnat("unload", "--all")
    assert beside.names() == ["beside_xdp"] and xdp(network, "lan") is None


@needs_dispatcher
def test_interface_is_made_anew(network, xdnat):
    """libxdp's pins of the old one go; the new one is shared as the old one was."""
    def make():
        network.router.ip("link", "add", "anew", "type", "veth", "peer", "name", "other")
        return os.path.join(DISPATCHERS, "dispatch-%d-*" % network.router.ifindex("anew"))

    ours = make()
    xdnat("load", "lan", "anew", *SMALL, "--shared")
    assert glob.glob(ours)
    network.router.ip("link", "del", "anew")
    xdnat("load")
    assert not glob.glob(ours)
    make()
    try:
        w.wait(lambda: xdnat.is_on("anew"), "the daemon attaches the new one", 60, 0.1)
        assert [one["shared"] for one in xdnat.json("status")["interfaces"]] == [True, True]
    finally:
        network.router.ip("link", "del", "anew")


@needs_dispatcher
def test_seen_from_another_namespace(network, xdnat):
    """It cannot be seen there, and is not given up."""
    xdnat("load", "lan", *SMALL, "--shared")
    elsewhere = w.Xdnat(network.client)
    assert elsewhere.is_on("lan")
    assert "nsenter" in elsewhere.refused(5, "unload", "--all")
    assert xdnat.is_on("lan")


@needs_dispatcher
def test_largest_segment_beside_others(network, xdnat):
    """mss= in the dispatcher, as alone."""
    with segments.narrow_lan(network):
        xdnat("load", "wan", "lan", "--shared", *SMALL)
        segments.add_rules(xdnat)
        for port in segments.RULES:
            for ends in (CLIENT, ROUTER, SERVER), (CLIENT6, ROUTER6, SERVER6):
                segments.expect_mss(network, *ends, port)
