# SPDX-License-Identifier: GPL-2.0-only
import in_mode
import pytest
import under_load
import world as w
from network import Network


@pytest.fixture(scope="session")
def network():
    made = Network.__new__(Network)
    try:
        made.__init__()
        yield made
    finally:
        made.remove()


@pytest.fixture
def xdnat(network):
    """The command, nothing loaded; afterwards nothing is."""
    command = w.Xdnat(network.router)
    try:
        yield command
    finally:
        command.destroy()


@pytest.fixture
def offloads(network):
    """The end hosts leave to their card what they like."""
    network.set_offloads(True)
    yield
    network.set_offloads(False)


@pytest.fixture(params=["native", "generic", "tc", "auto"])
def loaded(request, xdnat):
    """Loaded on both interfaces, in each mode."""
    if request.param in ("tc", "auto"):
        request.getfixturevalue("offloads")
    xdnat("load", "wan", "lan", "--mode", request.param)
    return xdnat


@pytest.fixture(scope="module", params=in_mode.MODES)
def loaded_once(request, network):
    """The same, once for all of a file's cases; they use it as `shared`."""
    with in_mode.loaded(network, request.param) as command:
        yield command


@pytest.fixture
def shared(loaded_once):
    """Loaded in each mode; afterwards without rules and flows."""
    yield loaded_once
    loaded_once("rule", "flush", "--yes", "--flows", "kill")


@pytest.fixture
def tc(xdnat, offloads):
    xdnat("load", "wan", "lan", "--mode", "tc")
    return xdnat


@pytest.fixture
def native(xdnat):
    xdnat("load", "wan", "lan", "--mode", "native")
    return xdnat


@pytest.fixture
def service(network):
    """service(space, loop, port): a socket served by a thread, ended afterwards."""
    running = []

    def start(*words, **options):
        running.append(w.serve(*words, **options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def queues(network):
    """queues(): what was dropped since, and by which queue."""
    with under_load.queues_counted(network) as dropped:
        yield dropped
