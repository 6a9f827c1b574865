# SPDX-License-Identifier: GPL-2.0-only
"""The two bits a port of xdnat_ports, by ports' numbers: who goes to one of destinations or
comes from one of sources is looked at, all others are foreign."""
import dataclasses
import os
import socket

import bpf


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
    return {socket.ntohs(8 * n + bit) for n, byte in enumerate(bitmap) if byte
            for bit in range(8) if byte >> bit & 1}


def bitmap(ports):
    content = bytearray(8192)
    for port in map(socket.htons, ports):
        content[port // 8] |= 1 << port % 8
    return bytes(content)


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
