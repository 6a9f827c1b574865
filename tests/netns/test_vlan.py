# SPDX-License-Identifier: GPL-2.0-only
"""An untagged rule never takes or emits a frame of another VLAN, in any mode: tagged
frames are made by hand, since veths carry them and need no VLAN device for it."""
import contextlib
import socket

import pytest
import talk
import wire
import world as w
from network import SIDES, rule
from packets import ACK, TCP, UDP, Packet

PORT, SERVICE = 8080, 80
Q, AD = 0x8100, 0x88a8  # IEEE 802.1Q, 802.1ad
URGENT = 5 << 13        # a priority
OTHER_VLANS = {
    "802.1Q": [(Q, 5)],
    "802.1Q, urgent, highest": [(Q, URGENT | 0xffe)],
    "802.1ad": [(AD, 5)],
    "QinQ": [(AD, 5), (Q, 6)],
    "old QinQ": [(Q, 5), (Q, 6)],
    "with a priority inside": [(Q, 5), (Q, URGENT)],
    "behind a priority": [(Q, URGENT), (Q, 5)],
    "behind an 802.1ad priority": [(AD, URGENT), (Q, 5)],
}
PRIORITIES = {"802.1Q": [(Q, URGENT)], "no priority": [(Q, 0)], "802.1ad": [(AD, URGENT)]}
CLIENT_MAC, WAN_MAC = "02:00:00:00:01:09", "02:00:00:00:01:01"
SERVER_MAC, LAN_MAC = "02:00:00:00:02:05", "02:00:00:00:02:01"


class Talk:
    """An answered UDP flow through the rule, and taps at both of its ends."""

    def __init__(self, network, stack, client, router, server):
        self.client, self.router, self.server = client, router, server
        self.sock = stack.enter_context(network.client.socket(
            socket.AF_INET6 if ":" in client else socket.AF_INET, socket.SOCK_DGRAM))
        self.sock.settimeout(20)
        self.sock.connect((router, PORT))
        self.sport = self.sock.getsockname()[1]
        self.at_client = stack.enter_context(wire.Tap(network.client, "eth0"))
        self.at_server = stack.enter_context(wire.Tap(network.server, "eth0"))

    def say(self, text):
        """Untagged, there and back: what was sent before has been through as well."""
        self.sock.send(text)
        assert self.sock.recv(2000).endswith(b" " + text)

    def original(self, vlans, text, **changes):
        return Packet(self.client, self.router, self.sport, PORT, UDP, dmac=WAN_MAC,
                      smac=CLIENT_MAC, vlans=tuple(vlans), payload=text).with_(**changes).build()

    def reply(self, vlans, text):
        return Packet(self.server, self.client, SERVICE, self.sport, UDP, dmac=LAN_MAC,
                      smac=SERVER_MAC, vlans=tuple(vlans), payload=text).build()


@pytest.fixture
def settled(network, shared, service):
    """settled(client, router, server): a Talk whose flow is established."""
    with contextlib.ExitStack() as stack:
        def begin(client, router, server):
            shared("rule", "add", rule(router, PORT, server, SERVICE, "tcp+udp"))
            service(network.server, talk.udp_echo, SERVICE, server, kind=socket.SOCK_DGRAM)
            made = Talk(network, stack, client, router, server)
            made.say(b"hello")
            made.say(b"hello again")
            return made
        yield begin


def having(tap, text):
    return [one for one in tap.seen() if text in one.data]


def flows(xdnat):
    return xdnat.json("flow", "count")["count"]


@SIDES
def test_others_vlans(shared, settled, client, router, server):
    """Neither frames of the flow nor such as would begin one, from both sides."""
    talking = settled(client, router, server)
    assert flows(shared) == 1
    for name, vlans in OTHER_VLANS.items():
        talking.at_client.send(talking.original(vlans, b"tagged"))
        talking.at_client.send(talking.original(vlans, b"tagged", sport=7))
        talking.at_client.send(talking.original(vlans, b"", sport=7, proto=TCP))
        talking.at_client.send(talking.original(vlans, b"tagged", sport=7, proto=TCP, flags=ACK))
        talking.at_server.send(talking.reply(vlans, b"tagged"))
        talking.say(name.encode())
        for tap in talking.at_client, talking.at_server:
            assert not having(tap, b"tagged"), name
    seen = talking.at_client.seen()
    assert not any(one.quoted for one in seen)
    assert len([one for one in seen if one.ends]) == len(OTHER_VLANS) + 2
    for tap in talking.at_client, talking.at_server:
        assert not [one for one in tap.seen() if one.tci is not None]
    assert flows(shared) == 1
    assert any(row["reason"] == "vlan" and row["packets"] >= 15
               for row in shared.json("stats")["reasons"])


@SIDES
def test_priority_tags(shared, settled, client, router, server):
    """VLAN 0 is none: such frames are forwarded, untagged, from both sides."""
    talking = settled(client, router, server)
    for name, vlans in PRIORITIES.items():
        text = b"<%s>" % name.encode()
        talking.at_client.send(talking.original(vlans, text))
        talking.at_server.send(talking.reply(vlans, b"answer " + text))

        def arrived():
            return (having(talking.at_server, text) and
                    having(talking.at_client, b"answer " + text))
        w.wait(arrived, "both are through: %s" % name)
        for tap in talking.at_client, talking.at_server:
            for one in having(tap, text):
                assert one.tci is None and one.ends and one.has_right_checksum(), one
        assert all(one.ends[0] == (router, PORT) for one in having(talking.at_client, text))
    assert flows(shared) == 1


@SIDES
def test_frames_that_the_host_sends(network, shared, settled, client, router, server):
    """Into another VLAN, on a guarded device: as they are, even if they look like a
    target's answer."""
    talking = settled(client, router, server)
    with wire.Tap(network.router, "wan") as tap:
        for sport in talking.sport, 7:
            tap.send(Packet(server, client, SERVICE, sport, UDP, dmac=CLIENT_MAC, smac=WAN_MAC,
                            vlans=((Q, URGENT | 5),), payload=b"tagged %d" % sport).build())
            w.wait(lambda: having(talking.at_client, b"tagged %d" % sport), "it is there")
            one, = having(talking.at_client, b"tagged %d" % sport)
            assert one.tci == URGENT | 5
            assert one.ends == ((server, SERVICE), (client, sport))
