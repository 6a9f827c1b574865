# SPDX-License-Identifier: GPL-2.0-only
"""Private network namespaces, and xdnat in them. Everything is named by the
process that made it, so that a later run can remove what a killed run left."""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from bpf import ABI, ROOT, libc

XDNAT = os.environ.get("XDNAT_BINARY", os.path.join(ROOT, "build/xdnat"))
NETNS = "/run/netns"
PINS = "/sys/fs/bpf/xdnat"
RUN = "/run/xdnat"
PREFIX = "xdt"
CLONE_NEWNET = 0x40000000
NOT_LOADED = 3
LONG = os.environ.get("XDNAT_LONG") == "1"
SLOW = float(os.environ.get("XDNAT_SLOW", 1))  # times as slow as a machine: an emulated one
environment = {k: v for k, v in os.environ.items() if not k.startswith("XDNAT_")}
environment["PATH"] = environment.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def run(*command, check=True, timeout=60, stdin=None):
    """Runs a command to its end: CompletedProcess with text."""
    done = subprocess.run([str(word) for word in command], text=True, timeout=timeout * SLOW,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                          **({"stdin": subprocess.DEVNULL} if stdin is None
                             else {"input": stdin}))
    if check and done.returncode:
        raise AssertionError("%s: exit %d\n%s%s" % (" ".join(map(str, command)),
                                                    done.returncode, done.stdout, done.stderr))
    return done


def wait(condition, what, seconds=20, step=0.02):
    """Waits until condition() is true and returns its value."""
    seconds *= SLOW
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("after %g s still not: %s" % (seconds, what))
        time.sleep(step)


def name(suffix):
    return "%s-%d-%s" % (PREFIX, os.getpid(), suffix)


class Namespace:
    def __init__(self, suffix):
        self.name = name(suffix)
        self.path = os.path.join(NETNS, self.name)
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def remove(self):
        run("ip", "netns", "del", self.name, check=False)

    def run(self, *command, **options):
        """Runs a command in the namespace."""
        return run(*self.command(*command), **options)

    def command(self, *words):
        """Its words. nsenter keeps bpffs; `ip netns exec` hides it."""
        return ["nsenter", "--net=" + self.path, *map(str, words)]

    def ip(self, *words):
        return self.run("ip", *words).stdout

    def sysctl(self, *settings):
        """"ipv4.ip_forward=1": written to /proc/sys/net of the namespace."""
        with self.entered():
            for setting in settings:
                key, value = setting.split("=")
                with open("/proc/sys/net/" + key.replace(".", "/"), "w") as file:
                    file.write(value)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace meanwhile."""
        there = os.open(self.path, os.O_RDONLY)
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            libc.setns(back, CLONE_NEWNET)
            os.close(there)
            os.close(back)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        """A socket that lives in the namespace, usable from anywhere."""
        with self.entered():
            return socket.socket(family, kind)

    def ifindex(self, device):
        with self.entered():
            return socket.if_nametoindex(device)

    def mac(self, device):
        return json.loads(self.ip("-j", "link", "show", "dev", device))[0]["address"]


def veth(left, left_device, left_mac, right, right_device, right_mac, *options):
    """A pair with an end in each namespace, both up. Made in place: neither name
    is ever seen in the namespace of the caller. options: the left one's."""
    left.ip("link", "add", left_device, *options, "address", left_mac, "type", "veth", "peer",
            "name", right_device, "address", right_mac, "netns", right.name)
    left.ip("link", "set", left_device, "up")
    right.ip("link", "set", right_device, "up")


class Xdnat:
    """`xdnat --instance NAME` in a namespace."""

    def __init__(self, namespace, suffix=""):
        self.namespace = namespace
        self.instance = "t%d%s" % (os.getpid(), suffix)
        self.pins = os.path.join(PINS, self.instance)
        self.run_dir = os.path.join(RUN, self.instance)

    def __call__(self, *words, check=True, timeout=60, stdin=None):
        return run(*self.command(*words), check=check, timeout=timeout, stdin=stdin)

    def command(self, *words):
        return self.namespace.command(XDNAT, "--instance", self.instance, *words)

    def pin(self, name):
        """Path of one of the instance's pins."""
        return os.path.join(self.pins, "v%d" % ABI, name)

    def json(self, *words, stdin=None):
        return json.loads(self("--json", *words, stdin=stdin).stdout)

    def refused(self, code, *words, stdin=None):
        """Runs what must fail with that exit code; returns its stderr."""
        done = self(*words, check=False, stdin=stdin)
        assert done.returncode == code, "%s: exit %d, not %d\n%s%s" % (
            " ".join(words), done.returncode, code, done.stdout, done.stderr)
        assert done.stderr.strip(), "refused without a word"
        return done.stderr

    def daemon(self):
        """Pid of a living daemon or None."""
        try:
            with open(os.path.join(self.run_dir, "xdnatd.pid")) as text:
                pid = int(text.read())
            with open("/proc/%d/comm" % pid) as text:
                return pid if text.read().strip() == "xdnatd" else None
        except (OSError, ValueError):
            return None

    def is_loaded(self):
        return self("status", check=False).returncode == 0

    def rows(self, device):
        """What status says of an interface: none or one; none if nothing is loaded."""
        done = self("--json", "status", check=False)
        assert done.returncode in (0, NOT_LOADED), done
        return [one for one in json.loads(done.stdout).get("interfaces", ())
                if one["name"] == device]

    def is_on(self, device):
        return any(one["attached"] for one in self.rows(device))

    def forwarded(self):
        """Packets that were counted as forwarded, at whichever hook."""
        return sum(row["packets"] for row in self.json("stats")["reasons"]
                   if row["reason"] == "forwarded")

    def destroy(self):
        """Whatever state it is in: gone."""
        with contextlib.suppress(Exception):
            self("unload", "--all", check=False)
        scrape(self.instance)


def scrape(instance):
    """Removes an instance's traces by hand."""
    with contextlib.suppress(OSError, ValueError):
        with open(os.path.join(RUN, instance, "xdnatd.pid")) as text:
            pid = int(text.read())
        with open("/proc/%d/comm" % pid) as text:
            if text.read().strip() == "xdnatd":
                os.kill(pid, signal.SIGKILL)
    for top in PINS, RUN:
        shutil.rmtree(os.path.join(top, instance), ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(top)


def remove_leftovers():
    """Removes what runs left whose process lives no more."""
    def is_dead(pid):
        return not os.path.exists("/proc/%s" % pid)

    for top in PINS, RUN:
        for entry in os.listdir(top) if os.path.isdir(top) else ():
            found = re.fullmatch(r"t(\d+)[a-z]*", entry)
            if found and is_dead(found.group(1)):
                scrape(entry)
    for entry in os.listdir(NETNS) if os.path.isdir(NETNS) else ():
        found = re.fullmatch(PREFIX + r"-(\d+)-\w+", entry)
        if found and is_dead(found.group(1)):
            run("ip", "netns", "del", entry, check=False)


class Service:
    """A loop in a thread over one socket; ends when the socket does."""

    def __init__(self, loop, sock):
        self.sock = sock
        self.is_stopping = False
        self.thread = threading.Thread(target=self._run, args=(loop,), daemon=True)
        self.thread.start()

    def _run(self, loop):
        try:
            loop(self.sock)
        except Exception:
            if not self.is_stopping:
                raise

    def stop(self):
        self.is_stopping = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join(5)


def serve(space, loop, port, address="", family=None, kind=socket.SOCK_STREAM):
    """A Service there: loop over a socket that is bound, and listens if it can."""
    family = family or (socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock = space.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    if sock.type == socket.SOCK_STREAM:
        sock.listen(1024)
    return Service(loop, sock)
