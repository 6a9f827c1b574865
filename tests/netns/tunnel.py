# SPDX-License-Identifier: GPL-2.0-only
"""A link without Ethernet between two namespaces: a tun device in each, and a thread
that carries packets from one to the other."""
import fcntl
import os
import select
import struct
import threading

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 0x0001, 0x1000
PACKET_MAX = 1 << 16


def open_tun(space, device):
    """A new tun device there, up; it lives as long as the descriptor."""
    with space.entered():
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, TUNSETIFF,
                    struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    space.ip("link", "set", device, "up")
    return descriptor


class Tunnel:
    def __init__(self, left, left_device, right, right_device):
        self.ends = [open_tun(left, left_device), open_tun(right, right_device)]
        self.stopping, self.stop_here = os.pipe()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def _carry(self):
        other = dict(zip(self.ends, reversed(self.ends)))
        while True:
            ready, _, _ = select.select([*self.ends, self.stopping], [], [])
            if self.stopping in ready:
                return
            for end in ready:
                try:
                    os.write(other[end], os.read(end, PACKET_MAX))
                except BlockingIOError:
                    pass

    def remove(self):
        os.close(self.stop_here)
        self.thread.join()
        for descriptor in (*self.ends, self.stopping):
            os.close(descriptor)
