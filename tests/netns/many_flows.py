# SPDX-License-Identifier: GPL-2.0-only
"""Flow tables filled by hand. A real flow is the pattern: its clients' addresses and
ports are replaced, wherever a half's layout has them."""
import ctypes
import os
import re
import struct

import bpf

MAP_UPDATE_BATCH = 26
CHUNK = 65536


def clients(count):
    """(address, port) as bytes: 1,000 of each of many clients in 100.64.0.0/10."""
    for n in range(count):
        yield struct.pack("!I", 0x64400001 + n // 1000), struct.pack("!H", 2000 + n % 1000)


def places(data, part):
    return [found.start() for found in re.finditer(re.escape(part), data, re.S)]


class Pattern:
    """One half of the real flow; address and port are its client's."""

    def __init__(self, key, value, address, port):
        self.data = [bytearray(key), bytearray(value)]
        self.at = [(places(data, address), places(data, port)) for data in (key, value)]
        assert [len(one) for pair in self.at for one in pair] == [1, 1, 2, 2], self.at

    def made(self, address, port):
        for data, (addresses, ports) in zip(self.data, self.at):
            for at in addresses:
                data[at:at + 4] = address
            for at in ports:
                data[at:at + 2] = port
            yield bytes(data)


def put(descriptor, keys, values):
    batch = [ctypes.create_string_buffer(b"".join(part)) for part in (keys, values)]
    bpf.bpf(MAP_UPDATE_BATCH, struct.pack("QQQQIIQQ", 0, 0, bpf.pointer(batch[0]),
                                          bpf.pointer(batch[1]), len(keys), descriptor, 0, 0))


def fill(xdnat, client, count):
    """Writes that many IPv4 flows beside the one of client, an (address, port) of which
    neither stands anywhere else in its halves."""
    address, port = bytes(map(int, client[0].split("."))), struct.pack("!H", client[1])
    table = bpf.pinned(xdnat.pin("xdnat_flows4"))
    key_size, value_size = bpf.map_info(table, "key_size", "value_size")
    halves = [Pattern(key, bpf.lookup(table, key, value_size), address, port)
              for key in bpf.keys(table, key_size) if address in key and port in key]
    assert len(halves) == 2, "one flow, not %d halves" % len(halves)
    keys, values = [], []
    for one in clients(count):
        for half in halves:
            key, value = half.made(*one)
            keys.append(key)
            values.append(value)
        if len(keys) >= CHUNK:
            put(table, keys, values)
            keys, values = [], []
    if keys:
        put(table, keys, values)
    os.close(table)
