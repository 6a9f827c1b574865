# SPDX-License-Identifier: GPL-2.0-only
"""The halves of flows as they are stored, to be looked at and tampered with."""
import struct

import bpf
from packets import address


class Half:
    """A stored half: half["state"] = DEAD writes it back at once. Its fields: struct
    xdnat_half."""
    FIELDS = {"version": (0, "I"), "state": (4, "I"), "until": (8, "I"),
              "out_ifindex": (32, "I"), "mtu": (36, "H"), "direction": (38, "B"),
              "eth": (40, "12s"), "packets": (56, "Q")}

    def __init__(self, pinned, packet):
        """The half of the packet's tuple, whether it is in the table or not.
        pinned(name): descriptor of a map."""
        name, self.size = ("xdnat_flows6", 144) if packet.is_v6 else ("xdnat_flows4", 96)
        self.descriptor, self.pinned = pinned(name), pinned
        self.key = (address(packet.src) + address(packet.dst) +
                    struct.pack("!HHB3x", packet.sport, packet.dport, packet.proto))

    def __getitem__(self, field):
        offset, form = self.FIELDS[field]
        value = bpf.lookup(self.descriptor, self.key, self.size)
        return struct.unpack_from(form, value, len(self.key) + offset)[0]

    def __setitem__(self, field, content):
        offset, form = self.FIELDS[field]
        value = bytearray(bpf.lookup(self.descriptor, self.key, self.size))
        struct.pack_into(form, value, len(self.key) + offset, content)
        bpf.update(self.descriptor, self.key, bytes(value))

    def age(self, ticks):
        """Its last packet came so many ticks earlier."""
        tick_jiffies, = struct.unpack_from("I", bpf.value(self.pinned("xdnat_config"), bytes(4)),
                                           12)
        self["until"] = (self["until"] - ticks * tick_jiffies) & 0xffffffff

    def exists(self):
        return self.key in bpf.keys(self.descriptor, len(self.key))

    def delete(self):
        bpf.delete(self.descriptor, self.key)
