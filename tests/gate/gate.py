#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What may not grow unseen, counted, not timed: instructions and calls of an
established packet, the program's size and what it costs the verifier, bytes a
flow. Compares with budget.json; --renew writes it, for a reviewer to see.

The path is counted by stepping through the loaded program. To show that it is the
kernel's own path, the kernel then runs the same packet: frame, verdict, flow and
counters must come out the same, to the byte."""
import contextlib
import dataclasses
import glob
import json
import os
import platform
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "prog")]

import bpf  # noqa: E402
import world  # noqa: E402
from interpret import Machine  # noqa: E402
from loaded import Program, Symbols, Unmodelled  # noqa: E402
from packets import ACK, TCP, UDP  # noqa: E402
from router import V4, V6, Router  # noqa: E402

BUDGET = os.path.join(HERE, "budget.json")
ELSEWHERE = 1.15         # with another compiler or kernel than the budget's: at most;
                         # clang 19 moves more of IPv6 to the stack and back: 258 of 227
HEADROOM = 1.15          # of the program's size and the verifier's work
OLDEST = (6, 12)         # before it, a per-CPU array lookup was a call
IN_TICK, PAST_TICK = -1000, 2  # ticks ago that a half's tick ended


class Disagreement(Exception):
    """The machine came out otherwise than the kernel."""


@dataclasses.dataclass
class Row:
    section: str
    name: str
    counts: dict      # {"instructions": 246, ...}
    trouble: str = ""  # why there are no counts
    calls: tuple = ()  # by name


class Gate:
    """Steps packets of a router through its program."""

    def __init__(self, router):
        self.router, self.symbols = router, Symbols()
        self.program = Program(router.pinned("xdnat_xdp"))

    def packets(self):
        """(name, packet, device it comes in by, device it leaves by)."""
        sport = 40000  # the same in every run
        for side, family in (V4, "IPv4"), (V6, "IPv6"):
            for proto, name in (TCP, "TCP"), (UDP, "UDP"):
                sport += 1
                original = self.router.establish(side, proto, sport=sport)
                original = original.with_(payload=b"how are you")
                reply = self.router.reply(original, side, flags=ACK, payload=b"fine")
                yield "%s %s original" % (family, name), original, "wan", "lan"
                yield "%s %s reply" % (family, name), reply, "lan", "wan"

    def machine(self, packet, ticks):
        """For a packet of a half whose tick ended so many ticks ago, by the machine's
        clock as by the kernel's."""
        self.router.age(ticks, packet)
        tick, _ = self.router.config()
        jiffies = self.router.half(packet)["until"] + ticks * tick & 0xffffffff
        return Machine(self.program, self.symbols, jiffies)

    def step(self, packet, device, out_device):
        """The machine after an established packet, compared with the kernel."""
        machine = self.machine(packet, IN_TICK)
        action = machine.run(packet.build(), self.router.ifindex[device])
        result = self.router.send(packet, device)
        for what, have, want in (
                ("verdict", action, result.action),
                ("frame", bytes(machine.frame.content), result.frame),
                ("way out", machine.out_ifindex, self.router.ifindex[out_device]),
                ("reason", "FORWARDED", result.reason),
                ("counters", machine.counters(), [struct.pack("QQ", 1, len(result.frame))]),
                *(("flow", have, found.lookup(key)) for found, key, have in machine.values())):
            if have != want:
                raise Disagreement("another %s than the kernel's:\n      %s\n  not %s" % (
                    what, shown(have), shown(want)))
        return machine

    def leaves(self, packet, device, path):
        """True if a packet that begins a tick leaves the path of an established one."""
        machine = self.machine(packet, PAST_TICK)
        with contextlib.suppress(Unmodelled):
            machine.run(packet.build(), self.router.ifindex[device])
        return machine.path != path[:len(machine.path)]

    def established(self):
        for name, packet, device, out_device in self.packets():
            row = Row("established", name, {})
            try:
                machine = self.step(packet, device, out_device)
                row.counts = {"calls": len(machine.calls), "instructions": len(machine.path)}
                row.calls = machine.calls
                if not self.leaves(packet, device, machine.path):
                    row.trouble = "a packet in its tick is not told from an established one"
            except Unmodelled as what:
                row.trouble = "not what an established packet may need: %s" % what
            except Disagreement as what:
                row.trouble = "the gate steps through it wrongly, %s" % what
            yield row

    def programs(self):
        for path in sorted(glob.glob(os.path.join(self.router.xdnat.pins, "v*", "*"))):
            if bpf.kind_and_id(path)[0] == "prog":
                name = os.path.basename(path)
                program = Program(self.router.pinned(name))
                yield Row("programs", name, {"instructions": len(program.instructions),
                                             "verified": program.verified})

    def flows(self):
        for family, flows in self.router.xdnat.json("status")["flows"].items():
            yield Row("flows", family, {"bytes": flows["bytes_per_flow"]})


def shown(value):
    return value.hex() if isinstance(value, bytes) else value


def environment():
    """What the counts depend on."""
    with open(world.XDNAT, "rb") as binary:
        clang = re.search(rb"clang version (\d+)", binary.read())
    return {"clang": clang.group(1).decode() if clang else "unknown",
            "kernel": ".".join(re.findall(r"\d+", platform.release())[:2]),
            "machine": platform.machine()}


def measure():
    world.remove_leftovers()
    router = Router.__new__(Router)
    try:
        router.__init__("gate")
        gate = Gate(router)
        return [*gate.established(), *gate.programs(), *gate.flows()]
    finally:
        if hasattr(router, "xdnat"):
            router.remove()


def limit(section, what, committed, is_same):
    if section == "programs":
        return int(committed * HEADROOM)
    if what == "instructions" and not is_same:
        return int(committed * ELSEWHERE)
    return committed


def judge(row, budget, is_same):
    """Prints a row: true if it keeps the budget."""
    cells, complaints = [], [row.trouble] if row.trouble else []
    for what, have in row.counts.items():
        committed = budget[row.section].get(row.name, {}).get(what, 0)
        most = limit(row.section, what, committed, is_same)
        cells.append("%-12s %6d of %-6d" % (what, have, most))
        if have > most:
            complaints.append("%d more %s than the budget%s" % (
                have - most, what, ": " + ", ".join(row.calls) if what == "calls" else ""))
        elif have < committed and row.section == "established" and is_same:
            complaints.append("%d %s fewer than committed: keep that" % (committed - have, what))
    print("%-5s %-19s%s" % ("FAIL" if complaints else "ok", row.name, " ".join(cells).rstrip()))
    for complaint in complaints:
        print("      " + complaint)
    return not complaints


def renew(rows, budget):
    """Writes what was counted; goals stay. False: there is nothing to be written."""
    for row in rows:
        if row.trouble or row.counts.get("calls", 0) > budget["goals"]["calls"]:
            print("FAIL  gate: not renewed: %s: %s" % (
                row.name, row.trouble or "calls " + ", ".join(row.calls)))
            return False
    budget["counted_with"] = environment()
    for section in "established", "programs":
        budget[section] = {row.name: row.counts for row in rows if row.section == section}
    with open(BUDGET, "w") as text:
        json.dump(budget, text, indent="\t")
        text.write("\n")
    return True


def main(words):
    with open(BUDGET) as text:
        budget = json.load(text)
    have = environment()
    if tuple(map(int, have["kernel"].split("."))) < OLDEST:
        print("SKIP  gate: calls are counted on kernel %d.%d and later" % OLDEST)
        return 0
    try:
        rows = measure()
    except Unmodelled as what:
        print("FAIL  gate: %s" % what)
        return 1
    if words == ["--renew"] and not renew(rows, budget):
        return 1
    is_same = have == budget["counted_with"]
    print("      counted with clang %(clang)s on %(kernel)s %(machine)s" % have)
    if not is_same:
        print("      committed with clang %(clang)s on %(kernel)s %(machine)s: elsewhere %(more)d %% "
              "more instructions will do" % dict(budget["counted_with"],
                                                 more=round(100 * ELSEWHERE) - 100))
    kept = [judge(row, budget, is_same) for row in rows]
    if all(kept):
        return 0
    print("      The budget is tests/gate/budget.json. If the change is worth it: make gate-renew,"
          "\n      and say in the commit why.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
