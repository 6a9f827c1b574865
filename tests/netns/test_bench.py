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
FILLED = {"v%s udp, %d %%" % (version, percent) for version in "46"
          for percent in (1, 50, 85, 95, 100)}
HOOKS = {"v%s udp, tc %s" % (version, hook) for version in "46" for hook in ("ingress", "egress")}
LIVE = {"v4 udp", "v4 tcp", "v6 udp", "v6 tcp"}
VERDICTS = {"ok", "over", "under", "crooked", "invalid", "-"}


def generators():
    """Ids of the benchmark's generators that the kernel holds, of all runs."""
    listed = w.run("bpftool", "-j", "prog", "show").stdout
    return {program["id"] for program in json.loads(listed)
            if program.get("name") == "live_generate"}


def rows_against(rows):
    return {floor: {row["packet"] for row in rows if row["against"] == floor}
            for floor in {row["against"] for row in rows}}


@pytest.fixture(scope="module")
def report():
    done = w.run("make", "-s", "-C", ROOT, "bench", "BENCH_ARGS=--check", timeout=300)
    with open(os.path.join(ROOT, "build/bench-check.json")) as file:
        return done.stdout, json.load(file)


def test_each_row_is_measured_and_each_packet_was_right(report):
    """A wrong packet, in a test run or on the wire, is exit 1."""
    against = rows_against(report[1]["rows"])
    assert ESTABLISHED | FILLED == against["Floor-P"]
    assert against["Floor-N"] == {"v4 udp", "v4 tcp", "v6 udp"}
    assert against["XDP_PASS"] == {"v4 udp, XDP", "v6 udp, XDP"}
    assert against["empty tc"] == HOOKS
    assert against["v4, ours"] == {"v6 udp original"}
    assert against["10 rules"] == {"v4 udp original", "v4 udp, new flow"}
    assert against["quiet"] == {"v4 udp original", "v6 udp original"}
    assert against["Floor-R"] == LIVE
    assert LIVE < against["nft DNAT"]
    assert {"Floor-P", "Floor-R, v4 udp"} < against["itself"]
    assert report[1]["packets_checked"] > 10000


def test_the_flow_table_is_measured_against_the_kernel_hash(report):
    """The same packets, the same rounds; a verdict on each row, and on all."""
    rows = [row for row in report[1]["rows"] if row["against"] == "kernel hash"]
    of_time = [row for row in rows if row["measured_in"] == "ns"]
    assert {row["packet"] for row in of_time} == ESTABLISHED | FILLED
    notes = [note for note in report[1]["notes"] if note.startswith("Flow table / kernel hash, ")]
    assert len(notes) == len(of_time)
    for row, note in zip(of_time, notes):
        assert ", %s, %d flows: %.2f " % (row["packet"], row["flows"], row["value"]) in note
        assert re.search(", (faster|slower|as fast|invalid)$", note)
    verdict = [note for note in report[1]["notes"] if note.startswith("Verdict: ")]
    assert len(verdict) == 1 and " of %d rows" % len(of_time) in verdict[0]
    assert {row["packet"]: row["goal"] for row in rows if row["measured_in"] == "bytes"} == {
        "v4 flow table": 400, "v4 kernel hash": 352, "v6 flow table": 600, "v6 kernel hash": 512}


def test_new_flows_are_counted_beside_nft(report):
    rows = [row for row in report[1]["rows"] if row["section"].startswith("New flows: live")]
    assert [(row["packet"], row["against"], row["goal"]) for row in rows] == [
        ("v4 udp", "nft DNAT", 5), ("v6 udp", "nft DNAT", 5)]
    assert any(note.startswith("Of all frames of new flows ") for note in report[1]["notes"])


def test_what_misses_its_goal_is_said_once_more(report):
    """And by how much: a row that is over or under, no other."""
    missed = ["Missed: %s against %s, %d flows: %.2f" % (
        row["packet"], row["against"], row["flows"], row["value"])
        for row in report[1]["rows"] if row["verdict"] in ("over", "under")]
    notes = [note for note in report[1]["notes"] if note.startswith("Missed: ")]
    assert len(notes) == len(missed)
    for note, row in zip(notes, missed):
        assert note.startswith(row)
    assert report[1]["notes"][-1].startswith("Goals missed: %d of " % len(missed))


def test_each_road_has_its_row_beside_what_it_must_equal(report):
    """tc with default offloads, masquerade, `*`, source lists, one interface."""
    rows = report[1]["rows"]
    against = rows_against(rows)
    assert {"v4 bulk tcp", "v6 bulk tcp"} < against["nft DNAT"]
    assert against["one rule"] == {"v4 udp, 1000 rules and *"}
    assert against["1 prefix"] == {"v4 udp, 10000 prefixes", "v6 udp, 10000 prefixes"}
    assert against["XDP_TX"] == LIVE
    of_programs = {row["packet"] for row in rows
                   if row["against"] == "preserve" and row["measured_in"] == "ns"}
    assert of_programs == {"v4 udp original", "v4 udp reply", "v6 udp original", "v6 udp reply"}
    assert against["preserve"] == LIVE | of_programs


def test_the_table_says_what_the_json_says(report):
    table, rows = report[0], report[1]["rows"]
    lines = [line for line in table.splitlines() if re.search(r" \d+/\d+$", line)]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows):
        assert line.startswith(row["packet"] + " ")
        assert row["section"] in table and " %s " % row["against"] in line
        assert row["verdict"] in VERDICTS and " %s " % row["verdict"] in line
        assert row["low"] <= row["value"] <= row["high"]
        if row["measured_in"] == "bytes":
            assert row["value"] == row["ours"] > 0
        elif row["measured_in"] != "ns":  # what is left of a time, net of another, may be noise
            assert row["ours"] > 0 and row["theirs"] > 0
            assert row["value"] == pytest.approx(row["ours"] / row["theirs"])  # of one round


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
