# SPDX-License-Identifier: GPL-2.0-only
"""client – router – server, each in a namespace of its own, with real stacks."""
import world as w

CLIENT, CLIENT6 = "203.0.113.9", "2001:db8::9"
ROUTER, ROUTER6 = "203.0.113.1", "2001:db8::1"
SERVER, SERVER6 = "10.0.0.5", "fd00::5"


class Network:
    """The three namespaces. Native XDP over veth needs complete checksums, so the
    end hosts compute theirs; redirected frames arrive where GRO is on."""

    def __init__(self, suffix=""):
        self.suffix = suffix
        self.spaces = []
        self.client, self.router, self.server = (self._space(s) for s in "crs")
        client, router, server = self.spaces
        for space in self.spaces:
            space.sysctl("ipv6.conf.default.accept_dad=0", "ipv6.conf.default.accept_ra=0",
                         "ipv6.conf.all.accept_dad=0")
        router.sysctl("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1")
        server.sysctl("ipv4.conf.all.arp_notify=1", "ipv6.conf.all.ndisc_notify=1")
        w.veth(router, "wan", "02:00:00:00:01:01", client, "eth0", "02:00:00:00:01:09")
        w.veth(router, "lan", "02:00:00:00:02:01", server, "eth0", "02:00:00:00:02:05")
        for end in client, server:
            end.run("ethtool", "-K", "eth0", "tx", "off")
            end.run("ethtool", "-K", "eth0", "gro", "on")
        for space, device, v4, v6 in (
                (client, "eth0", CLIENT + "/24", CLIENT6 + "/64"),
                (router, "wan", ROUTER + "/24", ROUTER6 + "/64"),
                (router, "lan", "10.0.0.1/24", "fd00::1/64"),
                (server, "eth0", SERVER + "/24", SERVER6 + "/64")):
            space.ip("addr", "add", v4, "dev", device)
            space.ip("addr", "add", v6, "dev", device, "nodad")
        for space, v4, v6 in ((client, ROUTER, ROUTER6), (router, CLIENT, CLIENT6),
                              (server, "10.0.0.1", "fd00::1")):
            space.ip("route", "add", "default", "via", v4)
            space.ip("-6", "route", "add", "default", "via", v6)

    def _space(self, suffix):
        self.spaces.append(w.Namespace(suffix + self.suffix))
        return self.spaces[-1]

    def remove(self):
        for space in self.spaces:
            space.remove()
