# SPDX-License-Identifier: GPL-2.0-only
"""Commands that fail or are killed at a system call of theirs, by strace."""
import re
import signal

import world as w

CALLS = "bpf,mkdir,rename,renameat2,unlink,rmdir,clone,pidfd_send_signal,write,ftruncate,sendto"
# What leaves something behind that outlives the caller. Killed at any other call it
# leaves what it would have left at the next of these.
LASTING = re.compile(r"bpf\(BPF_(MAP_(UPDATE|DELETE)|OBJ_PIN|LINK_(CREATE|UPDATE|DETACH)|"
                     r"PROG_LOAD)|sendto\(.*RTM_(NEW|DEL)(QDISC|TFILTER)|(mkdir|rename|unlink|rmdir|clone|pidfd|write|ftruncate)")


def traced(xdnat, trace, *words, inject=None):
    """Runs it under strace, which may interfere; what it starts goes its own way."""
    return xdnat.namespace.run(
        "strace", "-o", trace, "-e", "trace=" + CALLS,
        *(["-e", "inject=" + inject] if inject else []),
        w.XDNAT, "--instance", xdnat.instance, *words, check=False, timeout=120)


def calls(trace):
    """[(system call, line)] in a trace."""
    with open(trace) as lines:
        found = [re.match(r"(\w+)\(", line) for line in lines]
    with open(trace) as lines:
        return [(match.group(1), line) for match, line in zip(found, lines) if match]


def points(trace, count):
    """Where to kill: (call, n-th of its kind); count of them, or all if there is time."""
    seen, found = {}, []
    for name, line in calls(trace):
        seen[name] = seen.get(name, 0) + 1
        if LASTING.match(line):
            found.append((name, seen[name]))
    assert len(found) > count
    step = 1 if w.LONG else len(found) / count
    return [found[int(n * step)] for n in range(len(found) if w.LONG else count)]


def run_killed(xdnat, trace, point, *words):
    done = traced(xdnat, trace, *words, inject="%s:signal=SIGKILL:when=%d" % point)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL, 0), (point, done)
