# SPDX-License-Identifier: GPL-2.0-only
"""Devices without Ethernet headers: a tun on the way to the target, one that clients
come in by, and both. tc is all there is on them."""
import socket

import in_mode
import pytest
import talk
import tunnel
import wire
import world as w
from network import CLIENT, CLIENT6, ROUTER, ROUTER6, SERVER, SERVER6, bracket

PORT, SERVICE, MEGABYTES = 8080, 80, 1
# Addresses on the tunnels: the router's end, the other one.
INSIDE, INSIDE6 = ("10.8.0.1", "10.8.0.2"), ("fd08::1", "fd08::2")
OUTSIDE, OUTSIDE6 = ("198.51.100.1", "198.51.100.9"), ("2001:db8:2::1", "2001:db8:2::9")
TO_TUN = pytest.mark.parametrize("client, router, target", [
    (CLIENT, ROUTER, INSIDE[1]), (CLIENT6, ROUTER6, INSIDE6[1])], ids=["v4", "v6"])
FROM_TUN = pytest.mark.parametrize("client, router, target", [
    (OUTSIDE[1], OUTSIDE[0], SERVER), (OUTSIDE6[1], OUTSIDE6[0], SERVER6),
    (OUTSIDE[1], OUTSIDE[0], INSIDE[1]), (OUTSIDE6[1], OUTSIDE6[0], INSIDE6[1]),
    (OUTSIDE[1], OUTSIDE[0], "local"), (OUTSIDE6[1], OUTSIDE6[0], "local")],
    ids=["v4", "v6", "to-tun-v4", "to-tun-v6", "to-local-v4", "to-local-v6"])


def give(space, device, *addresses):
    for one, bits in zip(addresses, (24, 64)):
        space.ip("addr", "add", "%s/%d" % (one, bits), "dev", device,
                 *(["nodad"] if ":" in one else []))


@pytest.fixture(scope="module")
def tunnels(network):
    """tun-in leads to the server, which answers by where it was asked; tun-out to the
    client."""
    made = []
    try:
        for end, device, v4, v6 in ((network.server, "tun-in", INSIDE, INSIDE6),
                                    (network.client, "tun-out", OUTSIDE, OUTSIDE6)):
            made.append(tunnel.Tunnel(network.router, device, end, "tun0"))
            give(network.router, device, v4[0], v6[0])
            give(end, "tun0", v4[1], v6[1])
        for family, (_, ours) in (("-4", INSIDE), ("-6", INSIDE6)):
            network.server.ip(family, "route", "add", "default", "dev", "tun0", "table", "8")
            network.server.ip(family, "rule", "add", "from", ours, "lookup", "8")
        yield
    finally:
        for one in made:
            one.remove()
        for family in "-4", "-6":
            network.server.run("ip", family, "rule", "del", "lookup", "8", check=False)


def loaded_on(network, device, mode):
    command = w.Xdnat(network.router)
    network.set_offloads(mode in ("tc", "auto"))
    try:
        command("load", device, "--mode", mode, *in_mode.SMALL)
        yield command
    finally:
        command.destroy()
        network.set_offloads(False)


@pytest.fixture(scope="module", params=["native", "generic", "tc", "auto"])
def on_wan(request, network, tunnels):
    yield from loaded_on(network, "wan", request.param)


@pytest.fixture(scope="module", params=["tc", "auto"])
def on_tun(request, network, tunnels):
    yield from loaded_on(network, "tun-out", request.param)


def converse(network, xdnat, service, client, router, target):
    """TCP and UDP through a rule: who is seen, bulk both ways, all sizes."""
    space = network.router if target == "local" else network.server
    served = router if target == "local" else target
    transfer, told = talk.BothWays(MEGABYTES), []

    def serve(connection, peer):
        told.append(peer[0])
        transfer.serve(connection, peer)

    xdnat("rule", "add", "%s:%d:%s:%d/tcp+udp" % (bracket(router), PORT, bracket(target),
                                                  SERVICE))
    service(space, talk.accepting(serve), SERVICE, served)
    service(space, talk.udp_echo, SERVICE, served, kind=socket.SOCK_DGRAM)
    with talk.dial(network.client, router, PORT) as sock:
        transfer.run(sock)
    assert told == [client]
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    with network.client.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect((router, PORT))
        for size in 0, 1, 2, 3, 511, 512, 1400:
            sock.send(b"x" * size)
            seen, _, data = sock.recv(65536).split(b" ", 2)
            assert (seen.decode(), data) == (client, b"x" * size)
    xdnat("rule", "flush", "--yes", "--flows", "kill")


@TO_TUN
def test_target_behind_a_tun(network, on_wan, service, client, router, target):
    """It gets tc filters for the target's sake; packets there begin with IP."""
    with wire.Tap(network.server, "tun0") as tap:
        converse(network, on_wan, service, client, router, target)
        seen = [one for one in tap.seen() if one.ends and one.ends[1] == (target, SERVICE)]
        assert len(seen) > 20 and all(one.has_right_checksum() for one in seen)


@FROM_TUN
def test_clients_behind_a_tun(network, on_tun, service, client, router, target):
    """To a device with Ethernet, which gets its header; to another tun; to this host."""
    row, = on_tun.rows("tun-out")
    assert row["mode"] == "tc" and row["attached"], row
    with wire.Tap(network.client, "tun0") as tap:
        converse(network, on_tun, service, client, router, target)
        seen = [one for one in tap.seen() if one.ends and one.ends[0][0] != client]
        assert {one.ends[0] for one in seen} == {(router, PORT)}
        assert len(seen) > 20 and all(one.has_right_checksum() for one in seen)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_no_xdp_on_a_tun(network, on_tun, mode):
    """T132: refused with 7, and nothing changes."""
    assert "--mode tc" in on_tun.refused(7, "load", "tun-in", "--mode", mode)
    assert "xdp" not in network.router.ip("link", "show", "tun-in")
    assert not [row for row in on_tun.rows("tun-in") if not row["target_side"]]
