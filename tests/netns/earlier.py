# SPDX-License-Identifier: GPL-2.0-only
"""The version before, built from this repository's history: what load upgrades."""
import ctypes
import itertools
import os
import shutil
import struct
import subprocess

import bpf
import many_flows
import pytest
import world as w

COMMIT = "f1a90029"  # the last one with that ABI
ABI = 3
KEY4_BYTES = 16
MAP_UPDATE_BATCH, CHUNK = 26, 16384
TREE = os.path.join(bpf.ROOT, "build", "abi%d" % ABI)


def build():
    """Its xdnat. Built once: later runs find it there."""
    binary = os.path.join(TREE, "build", "xdnat")
    if os.path.exists(binary):
        return binary
    if w.SLOW > 1 or not shutil.which("git"):
        pytest.skip("the version before is not built yet: %s" % (
            "that takes too long here" if w.SLOW > 1 else "there is no git"))
    making = "%s.%d" % (TREE, os.getpid())
    os.makedirs(making)
    try:
        archive = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", bpf.ROOT, "archive", COMMIT],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if archive.returncode:
            pytest.skip("the history has no %s to build the version before from: %s" % (
                COMMIT, archive.stderr.decode().strip()))
        subprocess.run(["tar", "x", "-C", making], input=archive.stdout, check=True)
        w.run("make", "-C", making, "-j2", timeout=300)
        os.rename(making, TREE)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return binary


class Xdnat(w.Xdnat):
    """Its command, for the same instance as ours."""

    def __init__(self, namespace, binary):
        super().__init__(namespace)
        self.binary = binary

    def command(self, *words):
        return self.namespace.command(self.binary, "--instance", self.instance, *words)

    def pin(self, name):
        return os.path.join(self.pins, "v%d" % ABI, name)


def put_all(table, halves):
    """Elements of a hash, key and value being one half's as it is stored."""
    keys, values = (ctypes.create_string_buffer(b"".join(part)) for part in zip(*halves))
    bpf.bpf(MAP_UPDATE_BATCH, struct.pack("QQQQIIQQ", 0, 0, bpf.pointer(keys),
                                          bpf.pointer(values), len(halves), table, 0, 0))


def fill(xdnat, client, count):
    """Writes that many IPv4 flows beside the one of client, an (address, port) of which
    neither stands anywhere else in its halves."""
    address, port = bytes(map(int, client[0].split("."))), struct.pack("!H", client[1])
    table = bpf.pinned(xdnat.pin("xdnat_flows4"))
    patterns = [many_flows.Pattern(bpf.value(table, key), address, port)
                for key in bpf.keys(table, KEY4_BYTES) if address in key and port in key]
    assert len(patterns) == 2, "one flow, not %d halves" % len(patterns)
    for part in batched(many_flows.clients(count), CHUNK):
        made = [pattern.made(*one) for one in part for pattern in patterns]
        put_all(table, [(half[:KEY4_BYTES], half) for half in made])
    os.close(table)


def batched(items, size):
    while part := list(itertools.islice(items, size)):
        yield part
