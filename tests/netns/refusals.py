# SPDX-License-Identifier: GPL-2.0-only
"""A host's wire: frames put on it by hand, and what comes in that refuses them."""
import collections
import ctypes
import ipaddress
import select
import socket
import struct
import time

import packets as p

ETH_P_ALL, SOL_PACKET, PACKET_IGNORE_OUTGOING = 3, 263, 23
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
ETHERNET, IP6 = 14, 40
TCP_FLAGS = 13
# Destination unreachable; what is too big for a way is none of it in IPv6.
UNREACHABLE4, BUT_TOO_BIG4, UNREACHABLE6 = 3, 4, 1

# Classic BPF (code, true, false, operand): ICMP, ICMPv6 and TCP with RST, no more.
ONLY_REFUSALS = (
    (0x28, 0, 0, 12),                           # A = ethertype
    (0x15, 0, 6, 0x0800),
    (0x30, 0, 0, ETHERNET + 9),                 # A = protocol
    (0x15, 10, 0, p.ICMP),
    (0x15, 0, 10, p.TCP),
    (0xb1, 0, 0, ETHERNET),                     # X = bytes of the IPv4 header
    (0x50, 0, 0, ETHERNET + TCP_FLAGS),         # A = flags behind it
    (0x45, 6, 7, p.RST),
    (0x15, 0, 6, 0x86dd),
    (0x30, 0, 0, ETHERNET + 6),                 # A = next header
    (0x15, 3, 0, p.ICMP6),
    (0x15, 0, 3, p.TCP),
    (0x30, 0, 0, ETHERNET + IP6 + TCP_FLAGS),
    (0x45, 0, 1, p.RST),
    (0x06, 0, 0, 0xffff),                       # take it
    (0x06, 0, 0, 0))

# kind: "reset" or "unreachable"; source: who says so; port, client_port: about what.
Refusal = collections.namedtuple("Refusal", "kind source port client_port")


def refusal(frame):
    """What the frame refuses, or None."""
    is_v6 = frame[12:14] == b"\x86\xdd"
    ip = frame[ETHERNET:]
    proto = ip[6 if is_v6 else 9]
    source = str(ipaddress.ip_address(ip[8:24] if is_v6 else ip[12:16]))
    l4 = ip[IP6 if is_v6 else (ip[0] & 15) * 4:]
    if proto == p.TCP:
        return Refusal("reset", source, *struct.unpack_from("!HH", l4))
    kind, code = l4[:2]
    if kind != (UNREACHABLE6 if is_v6 else UNREACHABLE4) or not is_v6 and code == BUT_TOO_BIG4:
        return None
    quoted = l4[8:]
    client_port, port = struct.unpack_from("!HH", quoted[IP6 if is_v6 else (quoted[0] & 15) * 4:])
    return Refusal("unreachable", source, port, client_port)


class Wire:
    """A host's device."""

    def __init__(self, space, device):
        with space.entered():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        steps = ctypes.create_string_buffer(
            b"".join(struct.pack("HBBI", *step) for step in ONLY_REFUSALS))
        self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack(
            "HL", len(ONLY_REFUSALS), ctypes.addressof(steps)))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        with space.entered():
            self.sock.bind((device, ETH_P_ALL))

    def close(self):
        self.sock.close()

    def send(self, *sent):
        """Packets, or frames as they are."""
        for one in sent:
            self.sock.send(one.build() if isinstance(one, p.Packet) else one)

    def waiting(self, seconds=0):
        """The refusals that have come in."""
        while select.select([self.sock], [], [], seconds)[0]:
            one = refusal(self.sock.recv(4096))
            if one:
                yield one

    def refusals(self, last, seconds=20):
        """All that come in up to one that last() is true of."""
        found, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            for one in self.waiting(0.1):
                found.append(one)
                if last(one):
                    return found
        raise AssertionError("it did not come within %g s, but %s" % (seconds, found))
