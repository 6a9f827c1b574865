#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Other kernels: tests/guest/guest boots Debian's, and there run the prog and netns
cases, and those of tests/guest, with what each compiler makes of the product. Every
case that is collected here must run there: one that did not has failed, by name.
What cannot be had here (QEMU, a kernel, a compiler) is skipped, loudly, by name.

tier.py [--seconds N] [--kernel 6.1] [--compiler clang-14]
                         no longer than that in all. The last line is the counts."""
import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, "build/guest")
KERNELS = "6.1", "6.12"  # the oldest that is promised; the one Debian 13 has
COMPILERS = "clang-14", "clang-19"
NEEDS = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "xz": "xz-utils",
         "modprobe": "kmod", "wg": "wireguard-tools"}
APT = "apt-get", "-q", "-o", "Acquire::http::Timeout=30", "-o", "DPkg::Lock::Timeout=60"
APT_SECONDS = 300
SLOW = "8"     # times as long as here: what a wait of the tests may take there
SHOWN = 20     # names of failed cases of a run
NETNS = ()
# Cases that no guest runs: for kernels like the one here.
ONLY_HERE = {
    "netns/test_shared.py::test_shared_load_where_the_kernel_cannot":
        "for kernels on which libxdp's dispatcher does not run",
}
Counts = collections.namedtuple("Counts", "passed failed skipped")


class Tally:
    """Prints what became of something and counts it. Several threads use one."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lock = threading.Lock()

    def _say(self, word, text):
        with self.lock:
            print("%-5s %s" % (word, text), flush=True)

    def note(self, text):
        self._say("", text)

    def ok(self, text, cases):
        self._say("ok", text)
        self.passed += cases

    def fail(self, text, cases=1):
        self._say("FAIL", text)
        self.failed += cases

    def skip(self, text, cases=1):
        self._say("SKIP", text)
        self.skipped += cases


def command(*words, seconds, **options):
    """Its end, or None and no longer than that."""
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=seconds, **options)
    except subprocess.TimeoutExpired:
        return None


def install(*packages):
    """True if apt installed them."""
    command(*APT, "update", seconds=APT_SECONDS)
    done = command(*APT, "install", "-y", "--no-install-recommends", *packages,
                   seconds=APT_SECONDS)
    return done is not None and done.returncode == 0


def kernel_package(series):
    """Name of the newest image of a series (6.1.0-56, 6.12.107+deb12), signed or not."""
    for suffix in "", "-unsigned":
        names = command("apt-cache", "pkgnames", "linux-image-%s." % series, seconds=60)
        pattern = r"linux-image-[0-9.]+(-[0-9]+|\+[a-z0-9]+)?-amd64" + suffix
        found = [name for name in (names.stdout.split() if names else ())
                 if re.fullmatch(pattern, name)]
        if found:
            return max(found, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
    return None


class Guest:
    """A kernel to be booted; prepare() says what is wrong with it, or None."""

    def __init__(self, series):
        self.series, self.package = series, None

    def command(self, *words):
        return [os.path.join(HERE, "guest"), *words[:-1], self.package, *words[-1:]]

    def prepare(self):
        self.package = kernel_package(self.series)
        if not self.package:
            return "apt knows no linux-image-%s*-amd64" % self.series
        done = command(os.path.join(HERE, "guest"), self.package, seconds=2 * APT_SECONDS,
                       env=environment())
        if done is None:
            return "%s did not arrive within %d s" % (self.package, 2 * APT_SECONDS)
        return done.stdout.strip() if done.returncode else None


def environment(**more):
    return {**os.environ, "GUEST_CACHE": CACHE, "PYTHONDONTWRITEBYTECODE": "1", **more}


def pytest(paths):
    return "/usr/bin/python3 -m pytest -q --color=no -p cases %s" % " ".join(paths)


def read_cases(path):
    """{case: {"outcome": ..., "why": ...}}: the worst that was told of it."""
    order = "collected", "begun", "passed", "skipped", "failed"
    cases = {}
    with open(path) as lines:
        for line in lines:
            with_newline, told = line.endswith("\n"), None
            if with_newline:
                told = json.loads(line)
                have = cases.get(told["case"], told)
                cases[told["case"]] = max(have, told, key=lambda t: order.index(t["outcome"]))
    return cases


class Run:
    """One kernel with one compiler's product."""

    def __init__(self, guest, compiler, paths):
        self.guest, self.compiler, self.paths = guest, compiler, paths
        self.name = "%s %s" % (guest.series, compiler)
        self.out = os.path.join(CACHE, "out-%s-%s" % (guest.series, compiler))

    def collect(self):
        """What would run here, as read_cases() has it."""
        path = os.path.join(self.out, "here")
        open(path, "w").close()
        command("sh", "-c", pytest(self.paths) + " --collect-only", seconds=120, cwd=ROOT,
                env=environment(XDNAT_CASES=path, PYTHONPATH=HERE))
        return read_cases(path)

    def boot(self, seconds):
        """What became of them there, and the last that was said there."""
        path = os.path.join(self.out, "there")
        open(path, "w").close()
        words = " ".join([
            "XDNAT_CASES=" + path, "PYTHONPATH=" + HERE, "XDNAT_GUEST=" + self.compiler,
            "XDNAT_SLOW=" + SLOW, "XDNAT_BINARY=%s/build/%s/xdnat" % (ROOT, self.compiler),
            pytest(self.paths)])
        done = command(*self.guest.command("-t", ROOT, "-o", self.out, "-s", str(int(seconds)),
                                           words), seconds=seconds + 60, env=environment())
        return read_cases(path), done.stdout if done else "it was ended after %d s" % seconds

    def run(self, tally, deadline):
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)
        here = self.collect()
        if not here:
            tally.fail("%s: nothing was collected" % self.name)
        began = time.monotonic()
        there, said = self.boot(max(30, deadline - began))
        self.judge(tally, here, there, said, time.monotonic() - began)

    def judge(self, tally, here, there, said, seconds):
        """A case is here's, or one that only failed to be collected there."""
        passed, failed = collections.Counter(), []
        for case in here | there:
            told = there.get(case, {"outcome": "collected"})
            excuse = next((ONLY_HERE[one] for one in ONLY_HERE if case.startswith(one)), None)
            if told["outcome"] == "passed":
                passed[layer(case)] += 1
            elif told["outcome"] == "skipped" and excuse:
                tally.skip("%s: %s: %s" % (self.name, case, excuse))
            else:
                failed.append((case, *what_happened(told)))
        for case, what, why in failed[:SHOWN]:
            tally.fail("%s: %s: %s" % (self.name, case, what))
            for line in why.splitlines()[-12:]:
                tally.note("  " + line)
        if len(failed) > SHOWN:
            tally.fail("%s: and %d more" % (self.name, len(failed) - SHOWN), len(failed) - SHOWN)
        if failed:
            for line in said.splitlines()[-15:]:
                tally.note("  the guest said: " + line)
        wanted = collections.Counter(layer(case) for case in here)
        tally.ok("%s (%s): ran %s; %d s" % (
            self.name, self.guest.package,
            ", ".join("%d of %d %s" % (passed[one], wanted[one], one) for one in sorted(wanted)),
            seconds), sum(passed.values()))


def layer(case):
    return case.split("/")[0]


def what_happened(told):
    if told["outcome"] == "failed":
        return "failed", told["why"]
    if told["outcome"] == "skipped":
        return "skipped there: " + told["why"], ""
    return {"collected": "did not run there", "begun": "began there and did not end"}[
        told["outcome"]], ""


def build(compiler):
    """What is wrong with that compiler's product, or None."""
    if not shutil.which(compiler) and not install(compiler):
        return "it cannot be installed here", True
    done = command("make", "-s", "-j2", "B=build/" + compiler, "CLANG=" + compiler, "all",
                   seconds=600, cwd=ROOT)
    return (None, False) if done and not done.returncode else (
        done.stdout[-2000:] if done else "make took too long", False)


def lane(tally, deadline, series, compilers):
    """All runs of a kernel, one after the other."""
    guest = Guest(series)
    trouble = guest.prepare()
    if trouble:
        tally.skip("guest: KERNEL %s WAS NOT TESTED: %s" % (series, trouble))
        return
    for compiler in compilers:
        paths = ["tests/prog", "tests/guest"]
        paths += ["tests/netns/%s.py" % name for name in NETNS]
        Run(guest, compiler, paths).run(tally, deadline)


def tier(tally, options):
    deadline = time.monotonic() + options.seconds
    lacking = [package for word, package in NEEDS.items() if not shutil.which(word)]
    if lacking and not install(*lacking):
        tally.skip("guest: NO OTHER KERNEL WAS TESTED: apt cannot install %s" % " ".join(lacking))
        return
    os.makedirs(CACHE, exist_ok=True)
    compilers = []
    for compiler in options.compiler or COMPILERS:
        trouble, is_missing = build(compiler)
        if is_missing:
            tally.skip("guest: %s: %s" % (compiler, trouble))
        elif trouble:
            tally.fail("guest: %s does not build it: %s" % (compiler, trouble))
        else:
            compilers.append(compiler)
    elsewhere = sorted(os.path.basename(path)[:-3]
                       for path in glob.glob(os.path.join(ROOT, "tests/netns/test_*.py")))
    tally.note("netns there: %s" % " ".join(NETNS))
    tally.note("only here: %s" % " ".join(name for name in elsewhere if name not in NETNS))
    kernels = options.kernel or KERNELS
    with concurrent.futures.ThreadPoolExecutor(len(kernels)) as pool:
        for done in [pool.submit(lane, tally, deadline, series, compilers) for series in kernels]:
            done.result()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("--compiler", action="append", choices=COMPILERS)
    tally = Tally()
    tier(tally, parser.parse_args())
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return tally.failed != 0


if __name__ == "__main__":
    sys.exit(main())
