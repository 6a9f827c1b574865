# SPDX-License-Identifier: GPL-2.0-only
"""A relay with one interface, as a VPS before a game server: player and game are both
somewhere in the Internet, what comes in leaves by the same interface. In every mode."""
import contextlib

import in_mode
import pytest
import talk
import world as w
from talks import KINDS, closing, rule, serve

PORT, GAME_PORT = 7000, 27015
TURNS = 100
BULK_MB = 64 if w.LONG else 8
PLAYER, PLAYER6 = "198.51.100.9", "2001:db8:1::9"
GAME, GAME6 = "192.0.2.5", "2001:db8:2::5"
RELAY, RELAY6 = "203.0.113.7", "2001:db8:3::7"
HOSTS = {"player": (PLAYER, PLAYER6), "game": (GAME, GAME6), "relay": (RELAY, RELAY6)}
FAMILIES = pytest.mark.parametrize("player, relay, game", [(PLAYER, RELAY, GAME),
                                                           (PLAYER6, RELAY6, GAME6)],
                                   ids=["v4", "v6"])
PROTOS = pytest.mark.parametrize("proto", ["tcp", "udp"])


class Internet:
    """A router in the middle; each host has a network of its own, and one interface."""

    def __init__(self, stack):
        self.middle = self._space(stack, "omiddle")
        self.middle.sysctl("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1")
        for number, (name, addresses) in enumerate(HOSTS.items(), 1):
            host = self._space(stack, "o" + name)
            w.veth(self.middle, name, "02:00:00:00:%02x:01" % number, host, "eth0",
                   "02:00:00:00:%02x:02" % number)
            for address, bits in zip(addresses, (24, 64)):
                gateway = address[:-1] + "1"
                for space, device, own in ((self.middle, name, gateway), (host, "eth0", address)):
                    space.ip("addr", "add", "%s/%d" % (own, bits), "dev", device,
                             *(["nodad"] if ":" in own else []))
                host.ip("route", "add", "default", "via", gateway)
            setattr(self, name, host)
        self.relay.sysctl("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1")

    @staticmethod
    def _space(stack, suffix):
        space = w.Namespace(suffix)
        stack.callback(space.remove)
        space.sysctl("ipv6.conf.default.accept_dad=0", "ipv6.conf.default.accept_ra=0",
                     "ipv6.conf.all.accept_dad=0")
        return space


@pytest.fixture(scope="module")
def internet():
    with contextlib.ExitStack() as stack:
        yield Internet(stack)


@pytest.fixture(scope="module", params=in_mode.MODES)
def mode(request, internet):
    """(mode, command): loaded on the one interface, with a rule of each family."""
    with contextlib.ExitStack() as stack:
        for host in internet.player, internet.game:
            for feature in "tx", "txvlan":
                host.run("ethtool", "-K", "eth0", feature,
                         "off" if in_mode.sees_frames(request.param) else "on")
        if request.param == "native":
            stack.enter_context(in_mode.taking_frames(internet.middle, "relay"))
        xdnat = w.Xdnat(internet.relay, "o")
        stack.callback(xdnat.destroy)
        xdnat("load", "eth0", "--mode", request.param, *in_mode.SMALL)
        for game in GAME, GAME6:
            xdnat("rule", "add", rule("", PORT, game, GAME_PORT, "tcp+udp"), "mode=masquerade")
        yield request.param, xdnat


@FAMILIES
@PROTOS
def test_one_armed_relay(internet, mode, service, player, relay, game, proto):
    """The game sees the relay, answers come back; packets of established flows leave where
    they came in: where XDP is by XDP_TX, none of them reaches tc."""
    name, xdnat = mode
    serve(service, internet.game, GAME_PORT, proto, game)
    with closing() as begin:
        talks = [begin(internet.player, proto, player, relay, PORT) for _ in range(4)]
        assert {one.seen[0] for one in talks} == {relay}
        assert len({one.seen for one in talks}) == 4
        before = {hook: in_mode.forwarded(xdnat, hook) for hook in ("xdp", "ingress")}
        for turn in range(TURNS):
            for one in talks:
                one.exchange(b"turn %d " % turn * 50)
        left = {hook: in_mode.forwarded(xdnat, hook) - before[hook] for hook in before}
        assert sum(left.values()) >= 2 * 4 * TURNS, left
        assert left["ingress" if in_mode.sees_frames(name) else "xdp"] == 0, left


@FAMILIES
def test_bulk_through_one_arm(internet, mode, service, player, relay, game):
    """A download, data verified."""
    digests = []
    service(internet.game, talk.accepting(
        lambda connection, peer: digests.append(talk.send_bulk(connection, BULK_MB))),
        GAME_PORT, game, kind=KINDS["tcp"])
    with talk.dial(internet.player, relay, PORT) as sock:
        got = talk.receive_bulk(sock, BULK_MB << 20)
    w.wait(lambda: digests, "all is sent")
    assert digests == [got]
