#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""stack.py DIR: does Linux 6.1 have the stack for the programs pinned there? Its verifier
rounds each function's up to 32 bytes, newer ones to fewer: who asks these alone sees the
programs refused on 6.1 only. A row for each program: the longest chain of calls."""
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import bpf  # noqa: E402
from loaded import CALL, LD_IMM64, Program  # noqa: E402

ROUNDED, MOST, FRAMES = 32, 512, 8  # MAX_BPF_STACK, MAX_CALL_FRAMES
FRAME, OUR_CALL, OUR_FUNCTION = 10, 1, 4  # R10, BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC
LOAD, STORE, STORE_REGISTER = 1, 2, 3  # classes
MOVE, ADD = 0xbf, 0x07


def depth_of(this, after):
    """Bytes below the frame's end that an instruction touches or, with that after it, points
    at. With what the verifier itself puts there for bpf_loop(), which 6.1 does not count."""
    kind = this.code & 7
    if (kind == LOAD and this.src == FRAME or
            kind in (STORE, STORE_REGISTER) and this.dst == FRAME):
        return -this.off
    if this.code == MOVE and this.src == FRAME and after.code == ADD and after.dst == this.dst:
        return -after.imm
    return 0


def callee(place, this):
    """Where the function begins that an instruction calls or points at, or None."""
    if this.code == CALL and this.src == OUR_CALL:
        return place + 1 + this.off
    if this.code == LD_IMM64 and this.src == OUR_FUNCTION:
        return place + 1 + this.imm
    return None


def functions(code):
    """{where one begins: (bytes of stack, those that it calls)}"""
    calls = {place: callee(place, this) for place, this in enumerate(code)}
    starts = sorted({0, *(start for start in calls.values() if start is not None)})
    found = {}
    for start, end in zip(starts, [*starts[1:], len(code)]):
        found[start] = (max(map(depth_of, code[start:end], [*code[start + 1:end], code[end - 1]])),
                        {calls[n] for n in range(start, end)} - {None})
    return found


def deepest(found, start=0):
    """(bytes as 6.1 counts them, functions) of the worst chain from that one on."""
    stack, called = found[start]
    below = [deepest(found, one) for one in called] or [(0, 0)]
    rounded = max(stack + ROUNDED - 1, ROUNDED) // ROUNDED * ROUNDED
    return rounded + max(one for one, _ in below), 1 + max(frames for _, frames in below)


def main(directory):
    kept = True
    for name in sorted(os.listdir(directory)):
        code = Program(bpf.pinned(os.path.join(directory, name))).instructions
        stack, frames = deepest(functions(code))
        fits = stack <= MOST and frames <= FRAMES
        kept = kept and fits
        print("      %-15s stack %d of %d, functions %d of %d" % (
            name, stack, MOST, frames, FRAMES))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
