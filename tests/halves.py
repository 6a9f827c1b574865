# SPDX-License-Identifier: GPL-2.0-only
"""The halves of flows as they are stored, to be looked at and tampered with. The tests'
own reading of include/xdnat_flow.h: slots are found by looking at all of them, not by
the hash."""
import contextlib
import mmap
import os
import re
import struct

import bpf
from packets import address

SLOTS = 8
TAKEN, HIDDEN = 0x20, 0x40
STATE_AT = 4       # of a half, in its word
DIRECTION_AT = 50  # of a half
TAGS_AT = 8        # of what is known of a bucket


@contextlib.contextmanager
def pins(xdnat):
    """pinned(name): descriptor of one of its pins, as long as this lasts."""
    descriptors = {}

    def pinned(name):
        if name not in descriptors:
            descriptors[name] = bpf.pinned(xdnat.pin(name))
        return descriptors[name]

    try:
        yield pinned
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


class Table:
    """A family's flow table, mapped. pinned(name): descriptor of a map."""

    def __init__(self, pinned, is_v6):
        family = "6" if is_v6 else "4"
        self.key_bytes, self.slot_bytes = (40, 192) if is_v6 else (16, 128)
        flows, buckets = pinned("xdnat_flows" + family), pinned("xdnat_buckets" + family)
        count, = bpf.map_info(flows, "max_entries")
        self.memory = mmap.mmap(flows, count * SLOTS * self.slot_bytes)
        self.buckets = mmap.mmap(buckets, count * 16)
        self.overflow = pinned("xdnat_overflow" + family)

    def is_visible(self, at):
        return self.memory[at + self.key_bytes + STATE_AT] & (TAKEN | HIDDEN) == TAKEN

    def places(self):
        """Where in memory the slots are that have a half."""
        for slot in range(SLOTS):
            for tag in re.finditer(rb"[^\0]", self.buckets[TAGS_AT + slot::16]):
                at = (tag.start() * SLOTS + slot) * self.slot_bytes
                if self.is_visible(at):
                    yield at

    def slots(self):
        """Whole, a copy of each."""
        for at in self.places():
            yield self.memory[at:at + self.slot_bytes]

    def keys(self):
        return [slot[:self.key_bytes] for slot in self.slots()]

    def find(self, key):
        """Where in memory the key's slot is, or None."""
        return next((at for at in self.places() if self.memory[at:at + self.key_bytes] == key),
                    None)

    def tag_at(self, at):
        """Where in buckets that slot's tag is."""
        bucket, slot = divmod(at // self.slot_bytes, SLOTS)
        return bucket * 16 + TAGS_AT + slot

    def free(self, at):
        """Of a half that is in its home bucket."""
        key = self.memory[at:at + self.key_bytes]
        assert key not in bpf.keys(self.overflow, self.key_bytes), "it is in the overflow"
        self.memory[at + self.key_bytes + STATE_AT] = 0
        self.buckets[self.tag_at(at)] = 0


class Half:
    """A stored half: half["state"] = DEAD writes it back at once. Its fields: struct
    xdnat_half; until, state and hop are parts of its word."""
    FIELDS = {"until": (0, "I"), "state": (STATE_AT, "B"), "hop": (7, "B"), "mtu": (14, "H"),
              "eth": (32, "12s"), "out_ifindex": (44, "I"), "direction": (DIRECTION_AT, "B"),
              "packets": (56, "Q")}

    def __init__(self, pinned, packet, table=None):
        """The half of the packet's tuple, whether it is in the table or not.
        pinned(name): descriptor of a map."""
        self.pinned, self.table = pinned, table or Table(pinned, packet.is_v6)
        self.key = (address(packet.src) + address(packet.dst) +
                    struct.pack("!HHB3x", packet.sport, packet.dport, packet.proto))

    def _place(self, field):
        offset, form = self.FIELDS[field]
        at = self.table.find(self.key)
        assert at is not None, "the half is not in the table"
        return at + len(self.key) + offset, form

    def __getitem__(self, field):
        at, form = self._place(field)
        content, = struct.unpack_from(form, self.table.memory, at)
        return content & ~TAKEN if field == "state" else content

    def __setitem__(self, field, content):
        at, form = self._place(field)
        struct.pack_into(form, self.table.memory, at,
                         content | TAKEN if field == "state" else content)

    def age(self, ticks):
        """Its last packet came so many ticks earlier."""
        tick_jiffies, = struct.unpack_from("I", bpf.value(self.pinned("xdnat_config"), bytes(4)),
                                           12)
        self["until"] = (self["until"] - ticks * tick_jiffies) & 0xffffffff

    def exists(self):
        return self.table.find(self.key) is not None

    def delete(self):
        self.table.free(self.table.find(self.key))
