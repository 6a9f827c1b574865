# SPDX-License-Identifier: GPL-2.0-only
"""Many commands at the same time: each ends as it would alone, and the daemon lives."""
import os
import random
import signal
import subprocess
import threading

import world as w
from network import SERVER


def daemon_program():
    return os.path.join(os.path.dirname(w.XDNAT), "xdnatd")


def test_second_daemon(xdnat):
    """T158: it says so and leaves the first one alone."""
    xdnat("load", "wan")
    first = xdnat.daemon()
    done = xdnat.namespace.run(daemon_program(), "--instance", xdnat.instance, check=False)
    assert done.returncode == 5 and "has a daemon already" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert xdnat.daemon() == first
    os.kill(first, signal.SIGTERM)
    w.wait(lambda: not xdnat.daemon(), "it ended", 5)
    xdnat("load")
    assert xdnat.daemon() not in (None, first)


def at_once(xdnat, calls):
    """Runs them all at the same time: [(words, exit code, stdout, stderr)]."""
    running = [(words, subprocess.Popen(
        xdnat.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=w.environment)) for words in calls]
    ended = []

    def collect(words, process):
        out, err = process.communicate(timeout=120)
        ended.append((words, process.returncode, out, err))
    threads = [threading.Thread(target=collect, args=one) for one in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == len(calls)
    return ended


def test_fifty_commands_at_once(native):
    """T126: each does all of it or says why not; what the lists say fits together."""
    daemon = native.daemon()
    ports = list(range(9000, 9015))
    for port in ports[10:]:
        native("rule", "add", "%d:%s:80" % (port, SERVER))
    calls = ([["rule", "add", "%d:%s:80" % (port, SERVER)] for port in ports[:10]] +
             [["rule", "del", "%d/tcp" % port] for port in ports[10:]] +
             [["rule", "show", "%d/tcp" % port] for port in ports] +
             [["rule", "list"], ["flow", "list"], ["status"], ["stats"], ["--json"],
              ["load", "wan"], ["load"], ["flow", "count"], ["rule", "list", "--json"], []] * 2)
    random.Random(7).shuffle(calls)
    assert len(calls) == 50
    for words, code, _, err in at_once(native, calls):
        assert code == 0 or (code == 4 and words[:2] == ["rule", "show"]), (words, code, err)
        assert not code or len(err.splitlines()) == 1, err
    listed = native("rule", "list", "--format=commands").stdout
    assert [str(port) in listed for port in ports] == [True] * 10 + [False] * 5
    assert native.daemon() == daemon
    with open(os.path.join(native.run_dir, "rules")) as text:
        assert len(text.read().splitlines()) == 10


def test_load_and_unload_at_once(xdnat):
    """T126: in whatever order they come, the end is one or the other."""
    calls = [["load", "wan"], ["unload", "--all"], ["load", "lan"], ["status"], ["unload", "wan"],
             ["rule", "add", "80:%s" % SERVER], ["rule", "list"]] * (8 if w.LONG else 3)
    for words, code, out, err in at_once(xdnat, calls):
        assert code in (0, 3, 4), (words, code, out, err)
    if xdnat.is_loaded():
        assert all(one["attached"] for one in xdnat.json("status")["interfaces"])
        xdnat("unload", "--all")
    assert not os.path.lexists(xdnat.pins) and not os.path.lexists(xdnat.run_dir)


def test_many_readers(native):
    """T126: 250 readers (fewer unless --long), the daemon lives."""
    daemon = native.daemon()
    native("rule", "add", "8080:%s:80" % SERVER)
    kinds = ["rule", "list"], ["flow", "list"], ["status"], ["stats"], []
    calls = [list(kinds[n % 5]) for n in range(250 if w.LONG else 60)]
    for words, code, out, err in at_once(native, calls):
        assert code == 0, (words, code, out, err)
    assert native.daemon() == daemon
