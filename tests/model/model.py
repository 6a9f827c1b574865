#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The flow table's protocol, checked exhaustively by spin: a line a row. First what must
hold, in scenarios; then each rule, broken, for which an error must be found, or the
check would see nothing. Exit status 0: all as it must be."""
import os
import re
import subprocess
import sys
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
MEGABYTES = 900
SECONDS = 120  # a row; on one idle core it takes less than four

# The actors of flow_table.pml: packets, by key, and ends of the key's flow.
C, D, R, S, END_C, END_D, END_R, END_S, ANY = range(1, 10)
STARTS = {
    0: "an empty table",
    1: "an embryo",
    2: "a confirmed flow",
    3: "a confirmed flow, its reply beyond its home",
    4: "an embryo, its original beyond its home",
    5: "an embryo that has lost its tuple",
    6: "a claim that rests",
    7: "an answered flow whose reply was replaced",
    8: "a confirmed flow and half an embryo",
    9: "an answered flow that has lost its tuple",
    10: "an answered flow whose reply is dead and still there",
    11: "a half-open flow",
    12: "a half-open flow, its reply beyond its home",
}
NAMES = {C: "C", D: "D", R: "answer to R", S: "answer to S", END_C: "end of C", END_D: "end of D",
         END_R: "end of R", END_S: "end of S"}
THREE = [(0, C, C, D), (1, R, C, D), (1, R, D, END_C), (1, C, C, END_C), (2, C, R, END_C),
         (7, C, R, END_C), (7, C, D, R), (11, C, D, R), (11, C, D, END_C)]

CLAIMER, ENDER, WRITER, SECOND, READER = (1 << bit for bit in range(5))
SLOT = [
    ("one half's fields: handed over, ended, read", CLAIMER | ENDER | READER),
    ("one half's fields: handed over, hop written, read", CLAIMER | WRITER | READER),
    ("one hop's fields: two writers, a reader", WRITER | SECOND | READER),
    ("no hop in another's slot: handed over, ended, two writers",
     CLAIMER | ENDER | WRITER | SECOND),
]
HANDED_OVER, READ, HOPS = (who for _, who in (SLOT[3], SLOT[1], SLOT[2]))

# Rules, as the models number them, and where breaking them is seen.
SLOT_RULES = [
    (1, "no claim while a hop is written", HANDED_OVER),
    (2, "a claim changes the owner", READ),
    (3, "a reader looks at the word again", READ),
    (4, "... after the key, too", READ),
    (5, "the end of a hop gives it another number", HOPS),
    (6, "a hop is written while it is odd", HANDED_OVER),
    (7, "a reader minds an odd hop", HOPS),
    (8, "a claim writes when the slot is hidden", READ),
    (9, "a hop is made odd by comparing the word", HANDED_OVER),
    (10, "a reader looks at the word before it copies", READ),
]
TABLE_RULES = [
    (1, "insert has the home's lock", 0),
    (2, "insert looks beyond the home", 1),
    (3, "a hidden slot with the key counts", 0),
    (4, "a claim compares the word", 1),
    (5, "no claim while a hop is written", 1),
    (6, "a replaced embryo's entry goes before its key", 1),
    (7, "a half beyond its home has an entry", 4),
    (8, "an entry goes before its slot is free", 2),
    (9, "a make that fails gives its reply back", 0),
    (10, "... but not one that it adopted", 0),
    (11, "an embryo's hit looks for its partner", 0),
    (12, "what leads elsewhere is no partner", 0),
    (13, "no assured half is replaced", 2),
    (14, "the lock is given back", 0),
    (15, "no release while a hop is written", 1),
    (16, "a release compares the word", 1),
    (17, "a partner that is dead is missing", 10),
    (18, "who has lost its tuple ends, answered or not", 9),
    (19, "what the kernel's hash refuses is given back", 0),
    (20, "no half is visible before both have a place", 0),
    (21, "no half is made anew by one that has ended", 2),
    (22, "no confirmed half is without its partner", 12),
    (23, "a half has its tag before it is visible", 0),
    (24, "what has no tag is free", 1),
]

Row = namedtuple("Row", "what model environment is_broken")


def rows():
    for what, who in SLOT:
        yield Row("slot: " + what, "slot", {"WHO": who}, False)
    for model, homes in ("one_home", "one home of two slots"), ("two_homes", "two homes of one"):
        for start, what in STARTS.items():
            yield Row("table, %s: any two on %s" % (homes, what), model,
                      {"START": start, "FIRST": ANY, "SECOND": ANY}, False)
    for start, *actors in THREE:
        yield Row("table: %s on %s" % (", ".join(map(NAMES.get, actors)), STARTS[start]),
                  "one_home", dict(zip(("START", "FIRST", "SECOND", "THIRD"), (start, *actors))),
                  False)
    for number, what, who in SLOT_RULES:
        yield Row("slot, if broken it is seen: " + what, "slot",
                  {"WHO": who, "BROKEN": number}, True)
    for number, what, start in TABLE_RULES:
        yield Row("table, if broken it is seen: " + what, "one_home",
                  {"START": start, "FIRST": ANY, "SECOND": ANY, "BROKEN": number}, True)


def build(directory, name, source, defines=()):
    """spin's searcher of a model, as directory/name/pan."""
    place = os.path.join(directory, name)
    os.makedirs(place, exist_ok=True)
    subprocess.run(["spin", "-a"] + ["-D" + word for word in defines] +
                   [os.path.join(HERE, source)], cwd=place, check=True, stdout=subprocess.DEVNULL)
    # Optimised it would take a minute to be compiled, and save seconds.
    subprocess.run(["gcc", "-w", "-O0", "-DSAFETY", "-DNOCLAIM", "-DMEMLIM=%d" % MEGABYTES,
                    "-o", "pan", "pan.c"], cwd=place, check=True)


def search(directory, row):
    """What spin finds: None, or the error; and how many states it saw."""
    environment = dict(os.environ, **{key: str(value) for key, value in row.environment.items()})
    try:
        told = subprocess.run(["./pan", "-m100000", "-w18"], text=True, timeout=SECONDS,
                              cwd=os.path.join(directory, row.model), env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    except subprocess.TimeoutExpired:
        return "it took longer than %d s" % SECONDS, 0
    states = re.search(r"^ *(\d+) states, stored", told, re.M)
    error = re.search(r"^pan:1: (.*?) \(at depth", told, re.M)
    if error:
        return error.group(1), int(states.group(1)) if states else 0
    if not states or not re.search(r"errors: 0$", told, re.M) or "Search not completed" in told \
            or "max search depth too small" in told:
        return "the search was not completed", 0
    return None, int(states.group(1))


def judge(directory, row):
    error, states = search(directory, row)
    is_seen = error is not None and re.match(r"assertion violated|invalid end state", error)
    is_kept = bool(is_seen) if row.is_broken else error is None
    print("%-5s %-84s %8d states" % ("ok" if is_kept else "FAIL", row.what, states), flush=True)
    if not is_kept:
        print("      %s\n      again: cd %s && %s ./pan -m100000 -w18 && %s ./pan -C" % (
            error or "nothing was found", os.path.join(directory, row.model),
            *2 * (" ".join("%s=%s" % each for each in row.environment.items()),)))
    return is_kept


def main(directory):
    directory = os.path.abspath(directory)
    build(directory, "slot", "slot.pml")
    build(directory, "one_home", "flow_table.pml")
    build(directory, "two_homes", "flow_table.pml", ("HOMES=2", "HOME_SLOTS=1"))
    return 0 if all([judge(directory, row) for row in rows()]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "build/model"))
