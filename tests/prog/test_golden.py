# SPDX-License-Identifier: GPL-2.0-only
import os

import bpf
import golden


def test_golden_packets_are_those_of_the_builder():
    """The loader's self-test (R3) compares with what packets.py builds from scratch."""
    with open(os.path.join(bpf.ROOT, "user/selftest_packets.h")) as header:
        assert header.read() == golden.header()
