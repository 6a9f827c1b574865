# SPDX-License-Identifier: GPL-2.0-only
"""These cases need devices and modules that the kernel of the test machine lacks:
tier.py runs them in a guest, with the rooms of the other suites."""
import os
import sys

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path += [os.path.join(TESTS, suite) for suite in ("netns", "prog", "gate")]

import netns.conftest  # noqa: E402
from network import Network  # noqa: E402

xdnat, service = netns.conftest.xdnat, netns.conftest.service


def pytest_collection_modifyitems(config, items):
    if not os.environ.get("XDNAT_GUEST") and not config.option.collectonly:
        for item in items:
            if item.nodeid.startswith("guest/"):
                item.add_marker(pytest.mark.skip(reason="for a guest: ./test guest"))


@pytest.fixture(scope="session")
def network():
    """Of its own: the other suite's may be there, too."""
    made = Network.__new__(Network)
    try:
        made.__init__("g")
        yield made
    finally:
        made.remove()
