# SPDX-License-Identifier: GPL-2.0-only
"""client – router – server, each in a namespace of its own, with real stacks."""
import pytest
import world as w

CLIENT, CLIENT6 = "203.0.113.9", "2001:db8::9"
ROUTER, ROUTER6 = "203.0.113.1", "2001:db8::1"
SERVER, SERVER6 = "10.0.0.5", "fd00::5"
SIDES = pytest.mark.parametrize("client, router, server", [
    (CLIENT, ROUTER, SERVER), (CLIENT6, ROUTER6, SERVER6)], ids=["v4", "v6"])


def bracket(address):
    return "[%s]" % address if ":" in address else address


def rule(listener, port, target, target_port, proto="tcp"):
    return "%s:%d:%s:%d/%s" % (bracket(listener), port, bracket(target), target_port, proto)


class Network:
    """The three namespaces. Native XDP over veth needs complete checksums, so the
    end hosts compute theirs; redirected frames arrive where GRO is on."""

    def __init__(self, suffix=""):
        self.suffix = suffix
        self.spaces = []
        self.client, self.router, self.server = (self._space(s) for s in "crs")
        router, server = self.spaces[1:]
        for space in self.spaces:
            space.sysctl("ipv6.conf.default.accept_dad=0", "ipv6.conf.default.accept_ra=0",
                         "ipv6.conf.all.accept_dad=0")
        router.sysctl("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1")
        server.sysctl("ipv4.conf.all.arp_notify=1", "ipv6.conf.all.ndisc_notify=1")
        for device in "wan", "lan":
            self.connect(device)

    def connect(self, device, *options):
        """Makes the router's interface and its other end, with addresses and routes.
        options: the interface's, as ("index", "70000")."""
        is_wan = device == "wan"
        end, net = (self.client, 1) if is_wan else (self.server, 2)
        w.veth(self.router, device, "02:00:00:00:%02x:01" % net, end, "eth0",
               "02:00:00:00:%02x:%02x" % (net, 9 if is_wan else 5), *options)
        self.set_offloads(False, end)
        self.configure(device)

    def set_offloads(self, as_delivered, *ends):
        """What end hosts leave to their card: all, as a veth is delivered, or nothing, for
        the sake of XDP here."""
        for end in ends or (self.client, self.server):
            for feature in "tx", "txvlan":
                end.run("ethtool", "-K", "eth0", feature, "on" if as_delivered else "off")
            end.run("ethtool", "-K", "eth0", "gro", "off" if as_delivered else "on")

    def configure(self, device):
        """What a DHCP client or ifupdown does when the interface is up (again)."""
        is_wan = device == "wan"
        end = self.client if is_wan else self.server
        ours, theirs = (((ROUTER, ROUTER6), (CLIENT, CLIENT6)) if is_wan else
                        (("10.0.0.1", "fd00::1"), (SERVER, SERVER6)))
        for space, name, (v4, v6) in (self.router, device, ours), (end, "eth0", theirs):
            space.ip("addr", "replace", v4 + "/24", "dev", name)
            space.ip("addr", "replace", v6 + "/64", "dev", name, "nodad")
        for space, (v4, v6) in ((end, ours), (self.router, theirs))[:2 if is_wan else 1]:
            space.ip("route", "replace", "default", "via", v4)
            space.ip("-6", "route", "replace", "default", "via", v6)

    def _space(self, suffix):
        self.spaces.append(w.Namespace(suffix + self.suffix))
        return self.spaces[-1]

    def remove(self):
        for space in self.spaces:
            space.remove()
