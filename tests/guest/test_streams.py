# SPDX-License-Identifier: GPL-2.0-only
"""The cases of netns/test_traffic.py, natively and in tc, on one load each."""
import pytest
import world as w
from test_traffic import (test_bulk_both_ways, test_client_port_used_again_at_once,  # noqa: F401
                          test_closed_target_port, test_five_hundred_connections,
                          test_flows_lost_connection_goes_on, test_half_closed, test_http,
                          test_others_are_untouched, test_ttl_is_one_less, test_udp_echo)


@pytest.fixture(scope="module", params=["native", "tc"])
def instance(request, network):
    made = w.Xdnat(network.router, "s")
    try:
        network.set_offloads(request.param == "tc")
        made("load", "wan", "lan", "--mode", request.param)
        yield made
    finally:
        made.destroy()
        network.set_offloads(False)


@pytest.fixture
def loaded(instance):
    yield instance
    instance("rule", "flush", "--yes")
    instance("flow", "flush", "--yes")


@pytest.fixture
def native(loaded):
    """In tc, too."""
    return loaded
