# SPDX-License-Identifier: GPL-2.0-only
"""A program as the kernel runs it: its instructions after the verifier has
rewritten them (bpf_prog_info.xlated_prog_insns), its maps, and the names of the
kernel functions that it calls."""
import collections
import ctypes
import os
import struct

import bpf

MAP_GET_FD_BY_ID, GET_INFO = 14, 15
HASH, ARRAY, PERCPU_ARRAY = 1, 2, 6
LD_IMM64, CALL, EXIT = 0x18, 0x85, 0x95
JIFFIES64 = 118  # bpf_jiffies64()

Instruction = collections.namedtuple("Instruction", "code dst src off imm")


class Unmodelled(Exception):
    """What the gate does not know how to step through, by name."""


def info(descriptor, size, content=b""):
    """A descriptor's struct bpf_prog_info or bpf_map_info."""
    buffer = ctypes.create_string_buffer(content, size)
    bpf.bpf(GET_INFO, struct.pack("IIQ", descriptor, size, bpf.pointer(buffer)))
    return buffer.raw


class Symbols:
    """The kernel's addresses that a program holds."""

    def __init__(self):
        self.names, self.call_base, self.jiffies = {}, 0, jiffies_address()
        with open("/proc/kallsyms") as lines:
            for line in lines:
                address, _, name = line.split()[:3]
                self.names.setdefault(int(address, 16), name)
                if name == "__bpf_call_base":
                    self.call_base = int(address, 16)
        if not self.call_base:
            raise Unmodelled("/proc/kallsyms without addresses: "
                             "sysctl -w kernel.kptr_restrict=1")

    def called(self, imm):
        """The function of a call's immediate: relative to __bpf_call_base."""
        address = self.call_base + imm & (1 << 64) - 1
        return self.names.get(address, "a function at %#x" % address)


def jiffies_address():
    """Where the kernel has its jiffies, which not every kallsyms says: what the
    verifier makes of a call of bpf_jiffies64()."""
    descriptor = bpf.load_xdp(struct.pack("<BBhiBBhi", CALL, 0, 0, JIFFIES64, EXIT, 0, 0, 0),
                              "jiffies")
    try:
        program = Program(descriptor)
    finally:
        os.close(descriptor)
    if program.instructions[0].code != LD_IMM64:
        raise Unmodelled("this kernel calls bpf_jiffies64(): is its BPF compiler off?")
    return program.wide(0)


class Map:
    def __init__(self, number):
        self.descriptor = bpf.bpf(MAP_GET_FD_BY_ID, struct.pack("I", number))[0]
        content = info(self.descriptor, 80)
        self.kind, _, self.key_size, self.value_size, self.entries = struct.unpack_from(
            "5I", content)
        self.name = content[24:40].split(b"\0")[0].decode()

    def __del__(self):
        os.close(self.descriptor)

    def lookup(self, key):
        try:
            return bpf.lookup(self.descriptor, key, self.value_size)
        except FileNotFoundError:
            return None


class Program:
    """Offsets: struct bpf_prog_info."""
    INFO_BYTES = 232

    def __init__(self, descriptor):
        content = info(descriptor, self.INFO_BYTES)
        size, = struct.unpack_from("I", content, 20)
        self.verified, = struct.unpack_from("I", content, 216)
        code = ctypes.create_string_buffer(size)
        info(descriptor, self.INFO_BYTES, struct.pack("20xI8xQ", size, bpf.pointer(code)))
        self.instructions = [
            Instruction(opcode, registers & 15, registers >> 4, off, imm)
            for opcode, registers, off, imm in struct.iter_unpack("<BBhi", code.raw)]
        if not any(self.instructions):
            raise Unmodelled("the kernel does not show its instructions")
        self.maps = {}

    def wide(self, place):
        """The 64-bit immediate of the LD_IMM64 at that place."""
        low, high = (self.instructions[place + n].imm & 0xffffffff for n in (0, 1))
        return high << 32 | low

    def map(self, number):
        if number not in self.maps:
            self.maps[number] = Map(number)
        return self.maps[number]
