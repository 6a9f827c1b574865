# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark works: every row is there and every packet was right. How fast it
was says nobody here."""
import json
import os
import re
import signal
import subprocess

import pytest
import world as w
from bpf import ROOT

ESTABLISHED = {"v%s %s %s" % (version, proto, direction) for version in "46"
               for proto in ("udp", "tcp") for direction in ("original", "reply")}
LIVE = {"v4 udp", "v4 tcp", "v6 udp", "v6 tcp"}
VERDICTS = {"ok", "over", "under", "crooked", "invalid", "-"}


def generators():
    """Ids of the benchmark's generators that the kernel holds, of all runs."""
    listed = w.run("bpftool", "-j", "prog", "show").stdout
    return {program["id"] for program in json.loads(listed)
            if program.get("name") == "live_generate"}


@pytest.fixture(scope="module")
def report():
    done = w.run("make", "-s", "-C", ROOT, "bench", "BENCH_ARGS=--check", timeout=300)
    with open(os.path.join(ROOT, "build/bench-check.json")) as file:
        return done.stdout, json.load(file)


def test_each_row_is_measured_and_each_packet_was_right(report):
    """A wrong packet, in a test run or on the wire, is exit 1."""
    rows = report[1]["rows"]
    against = {floor: {row["packet"] for row in rows if row["against"] == floor}
               for floor in {row["against"] for row in rows}}
    assert ESTABLISHED <= against["Floor-P"]
    assert against["Floor-N"] == {"v4 udp", "v4 tcp", "v6 udp"}
    assert against["XDP_PASS"] == {"v4 udp", "v6 udp"}
    assert against["Floor-R"] == LIVE
    assert LIVE < against["nft DNAT"]
    assert against["itself"] == {"Floor-P", "Floor-R, v4 udp"}
    assert report[1]["packets_checked"] > 10000


def test_the_table_says_what_the_json_says(report):
    table, rows = report[0], report[1]["rows"]
    lines = [line for line in table.splitlines() if re.search(r" \d+/\d+$", line)]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows):
        assert line.startswith(row["packet"] + " ")
        assert row["section"] in table and " %s " % row["against"] in line
        assert row["verdict"] in VERDICTS and " %s " % row["verdict"] in line
        assert row["measured_in"] == "ns" or row["ours"] > 0 and row["theirs"] > 0


def test_interrupted_it_leaves_nothing():
    """What ./demo runs, which is made of the same parts, amid its frames."""
    w.run("make", "-s", "-C", ROOT, "build/tests/beside", timeout=300)
    before = generators()
    running = subprocess.Popen(["build/tests/beside"], cwd=ROOT, text=True, env=w.environment,
                               stdout=subprocess.PIPE)
    try:
        assert "xdnat" in running.stdout.readline()
        running.send_signal(signal.SIGSTOP)
        ours = generators() - before
        assert ours
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGCONT)
        assert running.wait(60) == -signal.SIGINT
    finally:
        running.kill()
        running.wait()
        running.stdout.close()
    w.wait(lambda: not ours & generators(), "the programs are gone", 60)
    assert not os.path.exists(os.path.join(w.PINS, "bench"))
    assert not os.path.exists(os.path.join(w.RUN, "bench"))
