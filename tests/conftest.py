# SPDX-License-Identifier: GPL-2.0-only
"""What both suites share: the binaries are there, old runs are cleared away."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
if "--long" in sys.argv:
    os.environ["XDNAT_LONG"] = "1"


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="larger counts (or XDNAT_LONG=1)")


@pytest.fixture(scope="session", autouse=True)
def clean_slate():
    import world
    if os.geteuid():
        pytest.exit("these tests need root", returncode=1)
    if not os.access(world.XDNAT, os.X_OK):
        pytest.exit("%s is not built: run make" % world.XDNAT, returncode=1)
    world.remove_leftovers()
    yield
