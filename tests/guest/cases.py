# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin: what is collected (--collect-only) or what became of each case, as JSON,
a line each in the file $XDNAT_CASES, written before the next case begins: what is there
outlives the kernel. Only the cases in the file $XDNAT_WANTED run, if there is one. None
may take longer than $XDNAT_CASE_SECONDS before, in or after its test: it fails then."""
import json
import os
import signal

import pytest

PATIENCE = int(os.environ.get("XDNAT_CASE_SECONDS", 0))  # 0: for ever
told = open(os.environ["XDNAT_CASES"], "a")


def tell(**line):
    told.write(json.dumps(line) + "\n")


def too_long(*_):
    pytest.fail("it took more than %d s" % PATIENCE)


def bounded():
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup():
    yield from bounded()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call():
    yield from bounded()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown():
    yield from bounded()


def why(report):
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    return report.longreprtext


def pytest_collection_modifyitems(items):
    if "XDNAT_WANTED" in os.environ:
        with open(os.environ["XDNAT_WANTED"]) as file:
            wanted = set(file.read().splitlines())
        items[:] = [item for item in items if item.nodeid in wanted]


def pytest_collection_finish(session):
    for item in session.items if session.config.option.collectonly else ():
        tell(case=item.nodeid, outcome="collected")


def pytest_collectreport(report):
    if report.failed:
        tell(case=report.nodeid, outcome="failed", seconds=0, why=why(report))


def pytest_runtest_logstart(nodeid):
    tell(case=nodeid, outcome="begun")
    told.flush()  # the one before, too: a write costs much in a guest


def pytest_runtest_logreport(report):
    if report.when == "call" or not report.passed:
        tell(case=report.nodeid, outcome=report.outcome, seconds=report.duration, why=why(report))


def pytest_unconfigure():
    told.flush()
