# SPDX-License-Identifier: GPL-2.0-only
"""Flow tables filled by hand. A real flow is the pattern: its clients' addresses and
ports are replaced, wherever a half's layout has them."""
import ctypes
import os
import re
import struct

import bpf
from halves import Table, pins

PUT_BYTES, RESULT_AT = 200, 196  # struct xdnat_flow_put


def clients(count):
    """(address, port) as bytes: 1,000 of each of many clients in 100.64.0.0/10."""
    for n in range(count):
        yield struct.pack("!I", 0x64400001 + n // 1000), struct.pack("!H", 2000 + n % 1000)


def places(data, part):
    return [found.start() for found in re.finditer(re.escape(part), data, re.S)]


class Pattern:
    """One half of the real flow; address and port are its client's."""

    def __init__(self, slot, address, port):
        self.slot, self.addresses, self.ports = bytearray(slot), places(slot, address), places(
            slot, port)
        assert [len(self.addresses), len(self.ports)] == [2, 2], "not only the client's"

    def made(self, address, port):
        for at in self.addresses:
            self.slot[at:at + 4] = address
        for at in self.ports:
            self.slot[at:at + 2] = port
        return bytes(self.slot)


class Put:
    """The pinned program that puts a half into the table."""

    def __init__(self, program):
        self.context = ctypes.create_string_buffer(PUT_BYTES)
        self.attr = ctypes.create_string_buffer(bpf.syscall_run(program, self.context), 128)

    def __call__(self, slot):
        ctypes.memmove(self.context, slot, len(slot))
        failed = bpf.libc.syscall(bpf.SYSCALL, bpf.TEST_RUN, self.attr, len(self.attr))
        result = struct.unpack_from("i", self.context, RESULT_AT)[0]
        assert not failed and not result, os.strerror(-result or ctypes.get_errno())


def fill(xdnat, client, count):
    """Puts that many IPv4 flows beside the one of client, an (address, port) of which
    neither stands anywhere else in its halves."""
    address, port = bytes(map(int, client[0].split("."))), struct.pack("!H", client[1])
    with pins(xdnat) as pinned:
        halves = [Pattern(slot, address, port) for slot in Table(pinned, False).slots()
                  if address in slot and port in slot]
        assert len(halves) == 2, "one flow, not %d halves" % len(halves)
        put = Put(pinned("xdnat_flow_put"))
        for one in clients(count):
            for half in halves:
                put(half.made(*one))
