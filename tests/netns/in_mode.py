# SPDX-License-Identifier: GPL-2.0-only
"""xdnat loaded in a mode, once for many cases, and the neighbours that the mode needs."""
import contextlib
import os
import socket

import bpf
import world as w

MODES = "native", "generic", "tc", "auto"
SMALL = "--flows", "8192"  # of room: quick to make


def sees_frames(mode):
    """XDP stands in front of tc there: checksums must be complete on a veth."""
    return mode in ("native", "generic")


@contextlib.contextmanager
def taking_frames(space, device):
    """A veth takes what XDP_TX sends only if its own end has a program."""
    program = bpf.load_pass()
    try:
        with space.entered():
            link = bpf.link_xdp(program, socket.if_nametoindex(device))
        yield
        os.close(link)
    finally:
        os.close(program)


@contextlib.contextmanager
def loaded(network, mode, *options):
    """The command, loaded on wan and lan."""
    with contextlib.ExitStack() as stack:
        network.set_offloads(not sees_frames(mode))
        stack.callback(network.set_offloads, False)
        if mode == "native":
            for end in network.client, network.server:
                stack.enter_context(taking_frames(end, "eth0"))
        xdnat = w.Xdnat(network.router, "m")
        stack.callback(xdnat.destroy)
        xdnat("load", "wan", "lan", "--mode", mode, *SMALL, *options)
        yield xdnat


def forwarded(xdnat, hook):
    """Packets that a hook ("xdp", "ingress", "egress") has forwarded."""
    return counted(xdnat, "forwarded", hook)


def counted(xdnat, reason, *hooks):
    """Packets that were counted for a reason, at these hooks or at any."""
    return sum(row["packets"] for row in xdnat.json("stats")["reasons"]
               if row["reason"] == reason and row["hook"] in (hooks or (row["hook"],)))
