# SPDX-License-Identifier: GPL-2.0-only
"""bpf(2) by ctypes: just what the tests need, and nothing of the product."""
import ctypes
import os
import platform
import re
import struct

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SYSCALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
(MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_GET_NEXT, PROG_LOAD, OBJ_PIN, OBJ_GET, TEST_RUN,
 LOOKUP_BATCH, LINK_CREATE) = 1, 2, 3, 4, 5, 6, 7, 10, 24, 28
PASS, DROP, TX, REDIRECT = 2, 1, 3, 4
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr + bytes(max(0, 128 - len(attr))))
    result = libc.syscall(SYSCALL, command, buffer, len(buffer) - 1)
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, "bpf command %d: %s" % (command, os.strerror(errno)))
    return result, buffer.raw


def pointer(buffer):
    return ctypes.addressof(buffer)


def pinned(path):
    """Descriptor of a pinned program, map or link."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return bpf(OBJ_GET, struct.pack("QII", pointer(name), 0, 0))[0]


def kind_and_id(path):
    """("prog", 17) of a pinned object."""
    descriptor = pinned(path)
    try:
        target = os.readlink("/proc/self/fd/%d" % descriptor)
        kind = re.search(r"bpf[-_](prog|map|link)", target).group(1)
        with open("/proc/self/fdinfo/%d" % descriptor) as lines:
            number = re.search(r"^%s_id:\s*(\d+)" % kind, lines.read(), re.M).group(1)
        return kind, int(number)
    finally:
        os.close(descriptor)


def map_info(descriptor, *names):
    """Numbers of a map: "map_type", "key_size", "value_size", "max_entries"."""
    with open("/proc/self/fdinfo/%d" % descriptor) as lines:
        text = lines.read()
    return [int(re.search(r"^%s:\s*(\d+)" % name, text, re.M).group(1)) for name in names]


def _run_xdp(program, frame, ifindex, queue, repeat):
    data = ctypes.create_string_buffer(frame, len(frame))
    room = len(frame) + 256
    out = ctypes.create_string_buffer(room)
    context = ctypes.create_string_buffer(
        struct.pack("IIIIII", 0, len(frame), 0, ifindex, queue, 0), 24)
    attr = struct.pack("IIIIQQIIIIQQII", program, 0, len(frame), room, pointer(data),
                       pointer(out), repeat, 0, 24, 0, pointer(context), 0, 0, 0)
    _, attr = bpf(TEST_RUN, attr)
    _, action, _, size = struct.unpack_from("IIII", attr)
    return action, out.raw[:size], struct.unpack_from("I", attr, 36)[0]


def test_run(program, frame, ifindex, queue=0):
    """One run of an XDP program: (action, frame after)."""
    return _run_xdp(program, frame, ifindex, queue, 1)[:2]


def test_run_ns(program, frame, ifindex, repeat):
    """Nanoseconds that one of so many runs takes; only for frames that it leaves alone."""
    return _run_xdp(program, frame, ifindex, 0, repeat)[2]


def test_run_skb(program, frame, ifindex):
    """One run of a tc program at an interface: its verdict."""
    data = ctypes.create_string_buffer(frame, len(frame))
    context = ctypes.create_string_buffer(bytes(40) + struct.pack("I", ifindex), 44)
    attr = struct.pack("IIIIQQIIIIQQII", program, 0, len(frame), 0, pointer(data), 0, 1, 0, 44, 0,
                       pointer(context), 0, 0, 0)
    return struct.unpack_from("I", bpf(TEST_RUN, attr)[1], 4)[0]


def syscall_run(program, context):
    """The attr of one run of a syscall program, which may be used again."""
    return struct.pack("IIIIQQIIIIQQIII", program, 0, 0, 0, 0, 0, 0, 0, len(context), 0,
                       pointer(context), 0, 0, 0, 0)


test_run_skb.__test__ = test_run.__test__ = test_run_ns.__test__ = False


def possible_cpus():
    with open("/sys/devices/system/cpu/possible") as text:
        return int(text.read().strip().split("-")[-1].split(",")[-1]) + 1


def lookup(descriptor, key, size):
    key = ctypes.create_string_buffer(key, len(key))
    value = ctypes.create_string_buffer(size)
    bpf(MAP_LOOKUP, struct.pack("IIQQQ", descriptor, 0, pointer(key), pointer(value), 0))
    return value.raw


def lookup_all(descriptor, count, size):
    """The first values of an array, one after the other, in one call."""
    values, keys = ctypes.create_string_buffer(count * size), ctypes.create_string_buffer(count * 4)
    following = ctypes.create_string_buffer(4)
    bpf(LOOKUP_BATCH, struct.pack("QQQQIIQQ", 0, pointer(following), pointer(keys),
                                  pointer(values), count, descriptor, 0, 0))
    return values.raw


def value(descriptor, key):
    """The same, as long as the map's values are."""
    return lookup(descriptor, key, map_info(descriptor, "value_size")[0])


def update(descriptor, key, value):
    key = ctypes.create_string_buffer(key, len(key))
    value = ctypes.create_string_buffer(value, len(value))
    bpf(MAP_UPDATE, struct.pack("IIQQQ", descriptor, 0, pointer(key), pointer(value), 0))


def delete(descriptor, key):
    key = ctypes.create_string_buffer(key, len(key))
    bpf(MAP_DELETE, struct.pack("IIQ", descriptor, 0, pointer(key)))


def set_lifetimes(config, ticks):
    """Writes every lifetime in the pinned map xdnat_config: the tests' clock hook."""
    before = value(config, bytes(4))
    update(config, bytes(4), before[:28] + struct.pack("5I", *[ticks] * 5) + before[48:])


def keys(descriptor, size):
    """All keys of a map; may repeat some if it changes meanwhile."""
    found, last = [], None
    while True:
        key = ctypes.create_string_buffer(last, size) if last is not None else None
        following = ctypes.create_string_buffer(size)
        try:
            bpf(MAP_GET_NEXT, struct.pack("IIQQ", descriptor, 0, pointer(key) if key else 0,
                                          pointer(following)))
        except FileNotFoundError:
            return found
        last = following.raw
        found.append(last)


def load_xdp(code, name):
    """An XDP program of these instructions."""
    code = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("IIQQIIQII16s", 6, len(code) // 8, pointer(code), pointer(licence), 0, 0,
                       0, 0, 0, name.encode())
    return bpf(PROG_LOAD, attr)[0]


def load_pass(name="foreign_xdp"):
    """An XDP program that passes everything, as somebody else's would."""
    return load_xdp(struct.pack("BBhi", 0xb7, 0, 0, PASS) + struct.pack("BBhi", 0x95, 0, 0, 0),
                    name)


def pin(descriptor, path):
    name = ctypes.create_string_buffer(os.fsencode(path))
    bpf(OBJ_PIN, struct.pack("QII", pointer(name), descriptor, 0))


def link_xdp(program, ifindex):
    return bpf(LINK_CREATE, struct.pack("IIII", program, ifindex, 37, 0))[0]


def abi():
    """XDNAT_ABI, which is part of the pins' paths."""
    with open(os.path.join(ROOT, "include/xdnat_abi.h")) as header:
        return int(re.search(r"#define XDNAT_ABI (\d+)", header.read()).group(1))


ABI = abi()


def reasons():
    """Names of enum xdnat_reason in order, without prefix: FORWARDED, PASS_NOT_IP, …"""
    with open(os.path.join(ROOT, "include/xdnat_abi.h")) as header:
        body = re.search(r"enum xdnat_reason \{(.*?)XDNAT_REASON_MAX", header.read(), re.S)
    return re.findall(r"XDNAT_(\w+)", re.sub(r"/\*.*?\*/", "", body.group(1), flags=re.S))
