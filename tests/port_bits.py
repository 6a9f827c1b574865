# SPDX-License-Identifier: GPL-2.0-only
"""The two bits a port of xdnat_ports, by ports' numbers: who goes to one of destinations or
comes from one of sources is looked at, all others are foreign."""
import dataclasses
import os
import socket
import struct

import bpf

FORM = "=1024Q"


@dataclasses.dataclass
class Bits:
    destinations: set
    sources: set

    def __ge__(self, other):
        return self.destinations >= other.destinations and self.sources >= other.sources

    def __str__(self):
        return "to %s from %s" % tuple(
            sorted(ports) if len(ports) < 20 else "%d ports" % len(ports)
            for ports in (self.destinations, self.sources))


def numbers(bitmap):
    return {socket.ntohs(64 * n + bit) for n, word in enumerate(struct.unpack(FORM, bitmap)) if word
            for bit in range(64) if word >> bit & 1}


def bitmap(ports):
    words = [0] * 1024
    for port in map(socket.htons, ports):
        words[port // 64] |= 1 << port % 64
    return struct.pack(FORM, *words)


def read(xdnat):
    descriptor = bpf.pinned(xdnat.pin("xdnat_ports"))
    value = bpf.value(descriptor, bytes(4))
    os.close(descriptor)
    return Bits(numbers(value[:8192]), numbers(value[8192:]))


def write(xdnat, destinations=(), sources=()):
    """By hand."""
    descriptor = bpf.pinned(xdnat.pin("xdnat_ports"))
    bpf.update(descriptor, bytes(4), bitmap(destinations) + bitmap(sources))
    os.close(descriptor)
