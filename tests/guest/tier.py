#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Other kernels: tests/guest/guest boots Debian's, and there run the prog and netns
cases, and those of tests/guest, with what each compiler makes of the product. Every
case that is collected here must run there: one that did not has failed, by name.
What cannot be had here (QEMU, a kernel, a compiler) is skipped, loudly, by name.

tier.py [--seconds N] [--fit] [--kernel 6.1] [--compiler clang-14]
                         no longer than that in all; --fit: cases for which no time was left
                         are skipped, by count. The last line is the counts."""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GUEST = os.path.join(HERE, "guest")
CACHE = os.path.join(ROOT, "build/guest")
# Who runs what on the oldest kernel that is promised and on Debian 13's: everything with
# one compiler, and with the other one what depends most on the compiler.
KERNELS = {"6.1": {"clang-14": "oldest", "clang-19": "datapath"},
           "6.12": {"clang-19": "newest", "clang-14": "datapath"}}
COMPILERS = "clang-14", "clang-19"
ALL = ["tests/guest", "tests/netns/test_shared.py", "tests/prog"]
PATHS = {"oldest": ALL, "newest": ALL, "datapath": ["tests/guest/test_verifier.py", "tests/prog"]}
NEEDS = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "xz": "xz-utils",
         "modprobe": "kmod", "wg": "wireguard-tools"}
APT = "apt-get", "-q", "-o", "Acquire::http::Timeout=30", "-o", "DPkg::Lock::Timeout=60"
APT_SECONDS = 300
SLOW = "8"     # times as long as here: what a wait of the tests may take there
SHOWN = 20     # names of failed cases of a run
CASE_SECONDS = 180   # what a case may take there before, in or after its test
BOOT_SECONDS = 60    # what it takes until the first case begins
BOOTS = 3            # times that a kernel is booted for what has not begun in it
# Cases that no guest runs, and why; those of the first kind count as skipped.
ONLY_HERE = {
    r"netns/test_shared.py::test_shared_load_where_the_kernel_cannot$":
        "for kernels on which libxdp's dispatcher does not run",
    r"prog/test_state.py::test_pickups_of_a_tick\b":
        "sends 5200 packets in a second, which takes an emulated processor minutes",
    r"prog/test_claims.py::": "is about two processors: a guest has one",
}
# A load and its network take an emulated processor 20 s: these cases have one each.
LOADS_OF_POLICY = (r"prog/test_policy.py::test_(full_table|what_stands_in|unloaded_way|"
                   r"rule_removed|next_hop_is|replies_outlive|expired_flow)")
LOADS_OF_STATE = (r"prog/test_state.py::test_(flow_expires_by_itself|halves_left_dead_are|"
                  r"half_just_dead)")
PARSING, LISTS = r"prog/test_headers.py::", r"prog/test_(source|ranges).py::"
# What a run does not repeat, and who has it: counted, too.
ELSEWHERE = {
    "oldest": dict.fromkeys([PARSING, LISTS, LOADS_OF_STATE], "on 6.12 with clang-19"),
    "newest": {LOADS_OF_POLICY: "on 6.1 with clang-14"},
    "datapath": dict.fromkeys([PARSING, LISTS, LOADS_OF_POLICY, LOADS_OF_STATE],
                              "with the kernel's other compiler, or on the other kernel"),
}


class Tally:
    """Prints what became of something and counts it; knows which guests run. Several
    threads use one."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lock = threading.RLock()  # end_all() may interrupt who has it
        self.guests = []
        self.skips_late = False

    def start(self, words, said):
        guest = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said,
                                 stderr=subprocess.STDOUT, env=environment(), process_group=0)
        self.guests.append(guest)
        return guest

    def end(self, guest):
        """With all that it started."""
        if guest.poll() is None:
            os.killpg(guest.pid, signal.SIGKILL)

    def end_all(self, *_):
        for guest in self.guests:
            self.end(guest)
        self.fail("guest: it was ended by a signal")
        self.finish()
        os._exit(1)

    def finish(self):
        print("%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped),
              flush=True)

    def _say(self, word, text, count=None, cases=0):
        with self.lock:
            print("%-5s %s" % (word, text), flush=True)
            if count:
                setattr(self, count, getattr(self, count) + cases)

    def note(self, text):
        self._say("", text)

    def ok(self, text, cases):
        self._say("ok", text, "passed", cases)

    def fail(self, text, cases=1):
        self._say("FAIL", text, "failed", cases)

    def skip(self, text, cases=1):
        self._say("SKIP", text, "skipped", cases)


def command(*words, seconds, **options):
    """(exit code, what it said); None for the code if it took longer than that. What it
    started may go on then: nobody waits for it."""
    with tempfile.TemporaryFile("w+") as said:
        try:
            code = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=said, timeout=seconds,
                                  stderr=subprocess.STDOUT, **options).returncode
        except subprocess.TimeoutExpired:
            code = None
        said.seek(0)
        return code, said.read()


def install(*packages):
    """True if apt installed them."""
    return command(*APT, "install", "-y", "--no-install-recommends", *packages,
                   seconds=APT_SECONDS)[0] == 0


def kernel_package(series):
    """Name of the newest image of a series (6.1.0-56, 6.12.107+deb12), signed or not."""
    names = command("apt-cache", "pkgnames", "linux-image-%s." % series, seconds=60)[1].split()
    for suffix in "", "-unsigned":
        pattern = r"linux-image-[0-9.]+(-[0-9]+|\+[a-z0-9]+)?-amd64" + suffix
        found = [name for name in names if re.fullmatch(pattern, name)]
        if found:
            return max(found, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
    return None


def environment(**more):
    return {**os.environ, "GUEST_CACHE": CACHE, "PYTHONDONTWRITEBYTECODE": "1", **more}


def pytest(paths):
    return "/usr/bin/python3 -m pytest -q --color=no --tb=short -p cases %s" % " ".join(paths)


def read_cases(path):
    """{case: {"outcome": ..., "why": ...}}: the worst that was told of it."""
    order = "collected", "begun", "passed", "skipped", "failed"
    cases = {}
    with open(path) as lines:
        for line in lines:
            if line.endswith("\n"):
                told = json.loads(line)
                have = cases.get(told["case"], told)
                cases[told["case"]] = max(have, told, key=lambda one: order.index(one["outcome"]))
    return cases


class Run:
    """One kernel with one compiler's product."""

    def __init__(self, series, package, compiler):
        self.package, self.compiler = package, compiler
        self.share = KERNELS[series][compiler]
        self.paths = PATHS[self.share]
        self.name = "%s %s" % (series, compiler)
        self.out = os.path.join(CACHE, "out-%s-%s" % (series, compiler))

    def collect(self, tally):
        """What has to run there: written down for the plugin, too."""
        path = os.path.join(self.out, "here")
        open(path, "w").close()
        command("sh", "-c", pytest(self.paths) + " --collect-only", seconds=120, cwd=ROOT,
                env=environment(XDNAT_CASES=path, PYTHONPATH=HERE))
        wanted, left = [], collections.Counter()
        for case in read_cases(path):
            elsewhere = reason(ELSEWHERE.get(self.share, {}), case)
            if reason(ONLY_HERE, case):
                tally.skip("%s: %s: %s" % (self.name, case, reason(ONLY_HERE, case)))
            elif elsewhere:
                left[case.split("::")[0], elsewhere] += 1
            else:
                wanted.append(case)
        for (file, why), count in left.items():
            tally.note("%s: not the %d of %s: %s" % (self.name, count, file, why))
        return wanted

    def boot(self, tally, wanted, seconds):
        """What became of them there, and the last that was said there."""
        path = os.path.join(self.out, "there")
        open(path, "w").close()
        with open(os.path.join(self.out, "wanted"), "w") as file:
            file.writelines(case + "\n" for case in wanted)
        words = " ".join([
            "XDNAT_CASES=" + path, "XDNAT_WANTED=" + os.path.join(self.out, "wanted"),
            "PYTHONPATH=" + HERE, "XDNAT_GUEST=" + self.compiler,
            "XDNAT_SLOW=" + SLOW, "XDNAT_BINARY=%s/build/%s/xdnat" % (ROOT, self.compiler),
            "XDNAT_CASE_SECONDS=%d" % CASE_SECONDS, pytest(self.paths)])
        said = self.watch(tally, path, [
            GUEST, "-t", ROOT, "-o", self.out, "-s", str(int(seconds)), self.package, words])
        return read_cases(path), said

    def watch(self, tally, path, words):
        """Runs a guest to its end; one in which no case begins any more is ended. What it
        said."""
        with tempfile.TemporaryFile("w+") as said:
            guest = tally.start(words, said)
            size, since = 0, time.monotonic()
            while guest.poll() is None:
                time.sleep(1)
                if os.path.getsize(path) != size:
                    size, since = os.path.getsize(path), time.monotonic()
                elif time.monotonic() - since > 3 * CASE_SECONDS + BOOT_SECONDS:
                    tally.end(guest)
            said.seek(0)
            return said.read()

    def run(self, tally, deadline):
        """A guest that ended early is booted anew for what has not begun in it."""
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)
        wanted = left = self.collect(tally)
        if not wanted:
            tally.fail("%s: nothing was collected" % self.name)
        began, there, heard = time.monotonic(), {}, ""
        for _ in range(BOOTS):
            seconds = deadline - time.monotonic()
            if not left or seconds < BOOT_SECONDS:
                break
            told, said = self.boot(tally, left, seconds)
            there.update(told)
            heard += said
            left = [case for case in left if case not in told]
            if not told:
                break
        if tally.skips_late and deadline - time.monotonic() < BOOT_SECONDS:
            wanted = self.leave_late(tally, wanted, there)
        self.judge(tally, wanted, there, heard, time.monotonic() - began)

    def leave_late(self, tally, wanted, there):
        """There was no time for some: the others, if there was time for any."""
        ended = [case for case in wanted
                 if there.get(case, {}).get("outcome", "begun") not in ("collected", "begun")]
        if not ended and there:
            return wanted
        for case in set(wanted) - set(ended):
            there.pop(case, None)
        tally.skip("%s: NO TIME WAS LEFT FOR %d OF %d" % (
            self.name, len(wanted) - len(ended), len(wanted)), len(wanted) - len(ended))
        return ended

    def judge(self, tally, wanted, there, said, seconds):
        """Whatever is not wanted can only be what failed to be collected there."""
        passed, failed = collections.Counter(), []
        for case in dict.fromkeys([*wanted, *there]):
            told = there.get(case, {"outcome": "collected"})
            if told["outcome"] == "passed":
                passed[layer(case)] += 1
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
        wanted = collections.Counter(map(layer, wanted))
        tally.ok("%s (%s): ran %s; %d s" % (
            self.name, self.package,
            ", ".join("%d of %d %s" % (passed[one], wanted[one], one) for one in sorted(wanted)),
            seconds), sum(passed.values()))


def reason(reasons, case):
    return next((reasons[pattern] for pattern in reasons if re.match(pattern, case)), None)


def layer(case):
    return case.split("/")[0]


def what_happened(told):
    if told["outcome"] == "failed":
        return "failed", told["why"]
    if told["outcome"] == "skipped":
        return "skipped there: " + told["why"], ""
    return {"collected": "did not run there", "begun": "began there and did not end"}[
        told["outcome"]], ""


def build(tally, compilers):
    """Those of them whose product could be built."""
    built = []
    for compiler in compilers:
        if not shutil.which(compiler) and not install(compiler):
            tally.skip("guest: %s CANNOT BE INSTALLED HERE" % compiler)
            continue
        code, said = command("make", "-s", "-j2", "B=build/" + compiler, "CLANG=" + compiler,
                             "all", seconds=600, cwd=ROOT)
        if code == 0:
            built.append(compiler)
        else:
            tally.fail("guest: %s does not build it:\n%s" % (compiler, said[-2000:]))
    return built


def lane(tally, deadline, series, compilers):
    """All runs of a kernel, one after the other."""
    package = kernel_package(series)
    code, said = command(GUEST, package, seconds=2 * APT_SECONDS,
                         env=environment()) if package else (1, "apt knows no such package")
    if code != 0:
        tally.skip("guest: KERNEL %s WAS NOT TESTED: %s: %s" % (
            series, package or "linux-image-%s*-amd64" % series, said.strip() or "took too long"))
        return
    for compiler in (one for one in KERNELS[series] if one in compilers):
        Run(series, package, compiler).run(tally, deadline)


def tier(tally, options):
    deadline = time.monotonic() + options.seconds
    command(*APT, "update", seconds=APT_SECONDS)
    lacking = [package for word, package in NEEDS.items() if not shutil.which(word)]
    if lacking and not install(*lacking):
        tally.skip("guest: NO OTHER KERNEL WAS TESTED: apt cannot install %s" % " ".join(lacking))
        return
    os.makedirs(CACHE, exist_ok=True)
    compilers = build(tally, options.compiler or COMPILERS)
    for name, paths in PATHS.items():
        tally.note("%s: %s" % (name, " ".join(paths)))
    kernels = options.kernel or KERNELS
    with concurrent.futures.ThreadPoolExecutor(len(kernels)) as pool:
        for done in [pool.submit(lane, tally, deadline, series, compilers) for series in kernels]:
            done.result()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--fit", action="store_true",
                        help="what does not fit in that time is skipped, else it has failed")
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("--compiler", action="append", choices=COMPILERS)
    tally = Tally()
    signal.signal(signal.SIGTERM, tally.end_all)
    options = parser.parse_args()
    tally.skips_late = options.fit
    tier(tally, options)
    tally.finish()
    return tally.failed != 0


if __name__ == "__main__":
    sys.exit(main())
