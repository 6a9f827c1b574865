# SPDX-License-Identifier: GPL-2.0-only
"""What a machine or another user may have done to the places that xdnat lives in: one
clear line, an exit code, and nothing half done."""
import contextlib
import os
import shutil
import stat
import struct
import tempfile

import bpf
import pytest
import world as w
from network import SERVER

BPFFS = "/sys/fs/bpf"
NOBODY = 65534
MAP_CREATE = 0
ARRAY, HASH, LRU_HASH = 2, 1, 9
MMAPABLE = 1 << 10
COMMANDS = (["status"], ["rule", "list"], ["rule", "add", "81:%s" % SERVER], ["flow", "list"],
            ["stats"], ["load", "wan"], ["unload", "wan"], ["confirm"])


def one_line(done, code, *words):
    """It ended with that code and one line that has these words."""
    assert done.returncode == code, (done.returncode, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("xdnat: "), done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def traces(xdnat):
    return [path for path in (xdnat.pins, xdnat.run_dir) if os.path.lexists(path)]


class Elsewhere:
    """xdnat in a mount namespace of its own, in which a script has run before."""

    def __init__(self, xdnat):
        self.xdnat = xdnat

    def __call__(self, script, *words):
        after = '%s\nexec "$@"' % script
        return self.xdnat.namespace.run(
            "unshare", "-m", "sh", "-ec", after, "sh", w.XDNAT, "--instance",
            self.xdnat.instance, *words, check=False)


@pytest.fixture
def elsewhere(xdnat):
    return Elsewhere(xdnat)


# Places that are not there, or take nothing


@pytest.mark.parametrize("words, code", [(["load", "wan"], 7), (["status"], 3),
                                         (["rule", "add", "81:%s" % SERVER], 3)])
def test_no_bpffs(xdnat, elsewhere, words, code):
    """T159: it would end with the mount namespace, so it is not mounted there."""
    one_line(elsewhere("umount -l %s" % BPFFS, *words), code, "BPF file system", "nsenter")
    assert not traces(xdnat)


def test_read_only_bpffs(network, xdnat, elsewhere):
    """T159: load says so and does nothing; who only reads is served."""
    script = "mount -o remount,bind,ro %s" % BPFFS
    one_line(elsewhere(script, "load", "wan"), 7, "read-only", "remount,rw")
    assert not traces(xdnat)
    xdnat("load", "wan")
    assert elsewhere(script, "status").returncode == 0
    one_line(elsewhere("umount -l {0}; mount -t bpf -o ro none {0}".format(BPFFS), "load", "wan"),
             7, "read-only")


RUNS = {
    "read-only": ("mount -t tmpfs -o ro,mode=755 none /run", 1, "Read-only file system"),
    "full": ("mount -t tmpfs -o mode=755,nr_inodes=1 none /run", 1, "No space left"),
    "a link": ("mount -t tmpfs -o mode=755 none /run; ln -s /tmp /run/xdnat", 7,
               "rm -r /run/xdnat"),
    "a user's": ("mount -t tmpfs -o mode=755 none /run; mkdir /run/xdnat; chown 1000 /run/xdnat",
                 7, "user 1000"),
    "open to all": ("mount -t tmpfs -o mode=755 none /run; mkdir -m 777 /run/xdnat", 7, "chmod"),
    "missing": ("""mount -t tmpfs none /mnt
                   for top in /*/; do
                       top=${top%/}
                       case $top in
                       /mnt | /run) ;;
                       *) if [ -L $top ]; then cp -P $top /mnt
                          else mkdir /mnt$top; mount --rbind $top /mnt$top; fi ;;
                       esac
                   done
                   set -- chroot /mnt "$@" """, 1, "no /run"),
}


@pytest.mark.parametrize("what", RUNS)
def test_run_directory(xdnat, elsewhere, what):
    """T159: load leaves nothing half done."""
    script, code, text = RUNS[what]
    one_line(elsewhere(script, "load", "wan"), code, text)
    assert not traces(xdnat)


@pytest.mark.parametrize("what", ["full", "gone", "foreign"])
def test_rules_file_cannot_be_written(xdnat, elsewhere, what):
    """T159: the rule is in force; the warning is about the file."""
    xdnat("load", "wan", "lan")
    tmpfs = "mount -t tmpfs -o mode=700,size=4k none %s; " % xdnat.run_dir
    script = {"full": tmpfs + "dd if=/dev/zero of=%s/fill bs=4k count=1 2>&- || :" % xdnat.run_dir,
              "gone": "mount -t tmpfs -o ro none /run",
              "foreign": tmpfs + "chown 1000 %s" % xdnat.run_dir}[what]
    done = elsewhere(script, "rule", "add", "8080:%s:80" % SERVER)
    one_line(done, 0, "warning", "in force", xdnat.run_dir)
    assert "8080" in xdnat("rule", "list", "--format=commands").stdout
    assert elsewhere(script, "rule", "del", "8080/tcp").returncode == 0
    assert not xdnat.json("rule", "list")["rules"]


def test_cleared_run_directory(xdnat):
    """Somebody has tidied /run up: it is made again, as private as before."""
    xdnat("load", "wan", "--no-daemon")
    shutil.rmtree(xdnat.run_dir)
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    assert os.listdir(xdnat.run_dir) == ["rules"]
    assert stat.S_IMODE(os.stat(xdnat.run_dir).st_mode) == 0o700


def memory_group():
    """A control group with a memory limit: (directory, file of the limit) or None."""
    for top, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                       ("/sys/fs/cgroup", "memory.max")):
        path = os.path.join(top, w.name("m"))
        with contextlib.suppress(OSError):
            os.mkdir(path)
            if os.path.exists(os.path.join(path, limit)):
                return path, os.path.join(path, limit)
            os.rmdir(path)
    return None


@pytest.fixture
def limited(xdnat):
    """limited(limit, *words): xdnat with no more memory than that."""
    group = memory_group()
    if not group:
        pytest.skip("no control group with a memory limit can be made here")

    def run(limit, *words):
        with open(group[1], "w") as file:
            file.write(limit)
        return xdnat.namespace.run(
            "sh", "-ec", 'echo $$ > "$1"/cgroup.procs; shift; exec "$@"', "sh", group[0],
            w.XDNAT, "--instance", xdnat.instance, *words, check=False)
    yield run
    xdnat.destroy()
    w.wait(lambda: not os.path.exists(group[0]) or not os.rmdir(group[0]), "it is empty", 10)


def test_memory_limit(xdnat, limited):
    """Said before the kernel ends the process for it."""
    one_line(limited("40M", "load", "wan"), 1, "memory limit")
    one_line(limited("150M", "load", "wan", "--flows", "16777216"), 1, "at most --flows")
    assert not traces(xdnat)
    assert limited("150M", "load", "wan", "--flows", "1000", "--no-daemon").returncode == 0


# Pins that are not ours


def make_map(kind, key, value, entries, flags=0):
    return bpf.bpf(MAP_CREATE, struct.pack("IIIII", kind, key, value, entries, flags))[0]


def sizes(path):
    """Type, key size, value size and number of elements of a pinned map."""
    descriptor = bpf.pinned(path)
    try:
        return bpf.map_info(descriptor, "map_type", "key_size", "value_size", "max_entries")
    finally:
        os.close(descriptor)


def plant(xdnat, name, descriptor):
    os.unlink(xdnat.pin(name))
    bpf.pin(descriptor, xdnat.pin(name))
    os.close(descriptor)


def plant_type(xdnat):
    _, key, value, entries = sizes(xdnat.pin("xdnat_rules"))
    plant(xdnat, "xdnat_rules", make_map(LRU_HASH, key, value, entries))
    return "xdnat_rules"


def plant_key(xdnat):
    _, key, value, entries = sizes(xdnat.pin("xdnat_listeners"))
    plant(xdnat, "xdnat_listeners", make_map(HASH, key + 4, value, entries))
    return "xdnat_listeners"


def plant_value(xdnat):
    _, key, value, entries = sizes(xdnat.pin("xdnat_config"))
    plant(xdnat, "xdnat_config", make_map(ARRAY, key, value + 8, entries))
    return "xdnat_config"


def plant_fewer(xdnat):
    _, key, value, _ = sizes(xdnat.pin("xdnat_flows6"))
    plant(xdnat, "xdnat_flows6", make_map(ARRAY, key, value, 16, MMAPABLE))
    return "xdnat_flows6"


def plant_fewer_elsewhere(xdnat):
    _, key, value, entries = sizes(xdnat.pin("xdnat_overflow4"))
    plant(xdnat, "xdnat_overflow4", make_map(HASH, key, value, entries - 1))
    return "xdnat_overflow4"


def plant_not_to_be_mapped(xdnat):
    _, key, value, entries = sizes(xdnat.pin("xdnat_buckets4"))
    plant(xdnat, "xdnat_buckets4", make_map(ARRAY, key, value, entries))
    return "xdnat_buckets4"


def plant_read_only(xdnat):
    _, key, value, entries = sizes(xdnat.pin("xdnat_specs"))
    plant(xdnat, "xdnat_specs", make_map(HASH, key, value, entries, 1 | 1 << 7))
    return "xdnat_specs"


def plant_program_for_map(xdnat):
    plant(xdnat, "xdnat_interfaces", bpf.load_pass("xdnat_xdp"))
    return "xdnat_interfaces"


def plant_map_for_program(xdnat):
    plant(xdnat, "xdnat_xdp", make_map(HASH, 4, 4, 16))
    return "xdnat_xdp"


def plant_program_of_another_kind(xdnat):
    plant(xdnat, "xdnat_clock", bpf.load_pass("xdnat_clock"))
    return "xdnat_clock"


def plant_program_of_another_name(xdnat):
    plant(xdnat, "xdnat_xdp", bpf.load_pass("something"))
    return "xdnat_xdp"


@pytest.mark.parametrize("planted", [
    plant_type, plant_key, plant_value, plant_fewer, plant_fewer_elsewhere,
    plant_not_to_be_mapped, plant_read_only, plant_program_for_map, plant_map_for_program,
    plant_program_of_another_kind, plant_program_of_another_name])
def test_planted_pin(xdnat, planted):
    """Nothing is read through it; unload takes it away."""
    xdnat("load", "wan", "--no-daemon", "--flows", "1000")
    name = planted(xdnat)
    for words in COMMANDS[:-1]:
        one_line(xdnat(*words, check=False), 5, name, "xdnat unload --all")
    xdnat("unload", "--all")
    assert not traces(xdnat) and "xdp" not in xdnat.namespace.ip("link", "show", "wan")
    assert "clsact" not in xdnat.namespace.run("tc", "qdisc", "show").stdout


@pytest.mark.parametrize("which", ["instance", "build", "pin"])
@pytest.mark.parametrize("how", ["owner", "mode"])
def test_others_could_write_there(xdnat, which, how):
    """Whoever owns a directory could have put anything in it."""
    xdnat("load", "wan", "--no-daemon")
    path = {"instance": xdnat.pins, "build": os.path.dirname(xdnat.pin("x")),
            "pin": xdnat.pin("xdnat_flows4")}[which]
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if how == "owner":
        os.chown(path, 1000, -1)
    else:
        os.chmod(path, mode | 0o020)
    try:
        for words in COMMANDS[:6]:
            one_line(xdnat(*words, check=False), 7, path,
                     "user 1000" if how == "owner" else "chmod go-w")
    finally:
        os.chown(path, 0, -1)
        os.chmod(path, mode)
    xdnat("status")


def test_another_user_made_it_first(network, xdnat, elsewhere):
    """bpffs may be open to all: /sys/fs/bpf/xdnat itself is another's."""
    script = "umount -l {0}; mount -t bpf -o mode=1777 none {0}; mkdir -m 755 {1}; chown 1000 {1}"
    for words in ["load", "wan"], ["status"]:
        one_line(elsewhere(script.format(BPFFS, w.PINS), *words), 7, "user 1000", w.PINS)
    assert not os.path.exists(xdnat.run_dir)


def test_loaded_by_another_version(network, xdnat):
    """T156: every command names it, load attaches nothing, unload --all takes it off."""
    xdnat("load", "wan", "--mode", "native", "--no-daemon")
    router = network.router
    other = os.path.join(xdnat.pins, "v%d" % (bpf.ABI + 7))
    os.rename(os.path.dirname(xdnat.pin("x")), other)
    for words in COMMANDS[:-1] + (["load", "lan"],):
        one_line(xdnat(*words, check=False), 5, "ABI %d" % (bpf.ABI + 7), "xdnat unload --all")
    assert os.listdir(xdnat.pins) == [os.path.basename(other)]
    assert "xdp" in router.ip("link", "show", "wan")
    assert "xdp" not in router.ip("link", "show", "lan")
    assert "rxvlan" in xdnat("unload", "--all").stderr
    assert not traces(xdnat) and "xdp" not in router.ip("link", "show", "wan")
    xdnat("load", "wan")


# Who may do what


@pytest.fixture
def unprivileged(xdnat):
    """unprivileged(*words): by nobody, from a place that nobody may read."""
    top = tempfile.mkdtemp(prefix=w.name("u"))
    program = shutil.copy(w.XDNAT, top)
    os.chmod(top, 0o755)
    yield lambda *words: xdnat.namespace.run(
        "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", program,
        "--instance", xdnat.instance, *words, check=False)
    shutil.rmtree(top)


def test_not_root(xdnat, unprivileged):
    """T130: root only, and said so."""
    xdnat("load", "wan")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    before = xdnat("rule", "list").stdout
    for words in COMMANDS + ([], ["flow", "count"], ["flow", "flush", "--yes"], ["load", "lan"],
                             ["rule", "del", "8080/tcp"], ["rule", "flush", "--yes"],
                             ["unload", "--all"]):
        one_line(unprivileged(*words), 7, "root")
    assert xdnat("rule", "list").stdout == before


def test_only_root_may_look(xdnat):
    """T130: directories 0700, files 0600."""
    xdnat("load", "wan", "--confirm", "60")
    xdnat("rule", "add", "8080:%s:80" % SERVER)
    found = 0
    for top in xdnat.pins, xdnat.run_dir:
        assert stat.S_IMODE(os.stat(os.path.dirname(top)).st_mode) == 0o700
        for directory, _, files in os.walk(top):
            assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700, directory
            for name in files:
                path = os.path.join(directory, name)
                assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
                found += 1
    assert found > 12


def test_pid_file_is_no_link(xdnat, tmp_path):
    """Nothing is written where a link leads."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    xdnat("load", "wan", "--no-daemon")
    os.symlink(victim, os.path.join(xdnat.run_dir, "xdnatd.pid"))
    done = xdnat("load", check=False)
    one_line(done, 1, "xdnatd.pid")
    assert victim.read_text() == "precious"
