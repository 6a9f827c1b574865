# SPDX-License-Identifier: GPL-2.0-only
"""What the programs cost the verifier of this kernel, with what this compiler made."""
import json
import os

import gate
import pytest
from loaded import Program
from router import Router

with open(gate.BUDGET) as text:
    COMMITTED = {name: row["verified"] for name, row in json.load(text)["programs"].items()}


# How much more another kernel's verifier, and another compiler's program, may take.
ELSEWHERE = 1.5


@pytest.fixture(scope="module")
def router():
    made = Router.__new__(Router)
    try:
        made.__init__("v")
        yield made
    finally:
        if hasattr(made, "xdnat"):
            made.remove()


@pytest.mark.parametrize("name", COMMITTED)
def test_verifier_stays_within_the_budget(router, name):
    """Instructions that it looked at, of those committed with another kernel or compiler."""
    most = int(COMMITTED[name] * ELSEWHERE)
    have = Program(router.pinned(name)).verified
    print("%s: %d of %d" % (name, have, most))
    assert 0 < have <= most, os.environ.get("XDNAT_GUEST")
