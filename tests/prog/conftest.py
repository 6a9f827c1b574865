# SPDX-License-Identifier: GPL-2.0-only
import pytest
from router import Router


@pytest.fixture(scope="session")
def router():
    made = Router.__new__(Router)
    try:
        made.__init__()
        yield made
    finally:
        if hasattr(made, "xdnat"):
            made.remove()
