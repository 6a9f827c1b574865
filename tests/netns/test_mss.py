# SPDX-License-Identifier: GPL-2.0-only
"""mss=: what real stacks take for the other's largest segment. Options in any order, and
that none is added: tests/prog/test_mss.py."""
import in_mode
import pytest
from network import CLIENT, CLIENT6, ROUTER, ROUTER6, SERVER, SERVER6
from segments import RULES, add_rules, expect_mss, narrow_lan

FAMILIES = pytest.mark.parametrize("client, listener, server", [
    (CLIENT, ROUTER, SERVER), (CLIENT6, ROUTER6, SERVER6)], ids=["v4", "v6"])
PORTS = pytest.mark.parametrize("port", RULES, ids=lambda port: "+".join(RULES[port][0]) or "none")


@pytest.fixture(scope="module", params=in_mode.MODES)
def mode(request, network):
    with narrow_lan(network), in_mode.loaded(network, request.param) as xdnat:
        add_rules(xdnat)
        yield xdnat


@FAMILIES
@PORTS
def test_largest_segment(network, mode, client, listener, server, port):
    """In SYN and SYN-ACK: made smaller, never larger; auto: what the smaller MTU of both
    ways leaves."""
    expect_mss(network, client, listener, server, port)
