# SPDX-License-Identifier: GPL-2.0-only
"""What an instance leaves in the kernel and on the router, to compare with before."""
import json
import os

import bpf
import world as w


def pinned_ids(directory):
    """(kind, id) of every pinned object below, and the maps that programs use."""
    found = set()
    for top, _, names in os.walk(directory):
        found |= {bpf.kind_and_id(os.path.join(top, name)) for name in names}
    return found


def lives(kind, number):
    return w.run("bpftool", kind, "show", "id", number, check=False).returncode == 0


def shape(network):
    """What of the router must be as before: qdiscs, offloads, XDP, neighbours."""
    router = network.router
    links = json.loads(router.ip("-j", "-d", "link", "show"))
    return {
        "qdiscs": router.run("tc", "qdisc", "show").stdout,
        "offloads": [router.run("ethtool", "-k", device).stdout for device in ("wan", "lan")],
        "xdp": [(link["ifname"], "xdp" in link, link.get("promiscuity")) for link in links],
        "managed": [line for line in router.ip("neigh", "show").splitlines()
                    if "managed" in line],
        "run files": os.path.exists("/run/xdnat/t%d" % os.getpid()),
        "pins": os.path.exists("/sys/fs/bpf/xdnat/t%d" % os.getpid()),
        "sysctls": router.run("sysctl", "-a", "--pattern", "forward|rp_filter").stdout,
    }
