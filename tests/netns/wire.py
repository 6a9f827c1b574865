# SPDX-License-Identifier: GPL-2.0-only
"""Frames as they are on a device: what came in there, what is sent by hand, and whether
checksums are what they should be."""
import dataclasses
import ipaddress
import socket
import struct

import packets

ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
CSUM_NOT_READY, VLAN_VALID = 1 << 3, 1 << 4  # tp_status, packet(7)
SO_RCVBUFFORCE = 33
FRAME_MAX = 1 << 18
CHECK = {packets.TCP: 16, packets.UDP: 6}


@dataclasses.dataclass(frozen=True)
class Seen:
    """A frame, with or without Ethernet header, and what the kernel keeps beside it."""
    data: bytes
    l3: int             # where its IP header begins
    is_partial: bool    # its checksum is left to the card
    tci: int            # of its outermost tag, which is not in data; None: untagged

    def _ip(self):
        """(source, destination, protocol, segment) of IPv4 and IPv6."""
        ip = self.data[self.l3:]
        version = ip[0] >> 4 if ip else 0
        if version == 4 and len(ip) >= 20:
            end, = struct.unpack_from("!H", ip, 2)
            return ip[12:16], ip[16:20], ip[9], ip[4 * (ip[0] & 15):end]
        if version == 6 and len(ip) >= 40:
            end = 40 + struct.unpack_from("!H", ip, 4)[0]
            return ip[8:24], ip[24:40], ip[6], ip[40:end]
        return None

    @property
    def ends(self):
        """((source, port), (destination, port)) of TCP and UDP; else None."""
        ip = self._ip()
        if not ip or ip[2] not in CHECK or len(ip[3]) < 8:
            return None
        sport, dport = struct.unpack_from("!HH", ip[3])
        return ((str(ipaddress.ip_address(ip[0])), sport),
                (str(ipaddress.ip_address(ip[1])), dport))

    @property
    def quoted(self):
        """The packet that an ICMP error quotes; else None."""
        ip = self._ip()
        errors = {packets.ICMP: (3, 11, 12), packets.ICMP6: (1, 2, 3, 4)}
        if not ip or ip[3][0] not in errors.get(ip[2], ()):
            return None
        return Seen(ip[3][8:], 0, False, None)

    def has_right_header(self):
        """Its IPv4 header, that is: IPv6's has no checksum."""
        ip = self.data[self.l3:]
        return ip[0] >> 4 == 6 or packets.ones_sum(ip[:4 * (ip[0] & 15)]) == 0xffff

    @property
    def source(self):
        """Its source address, of any IP packet; else None."""
        ip = self._ip()
        return str(ipaddress.ip_address(ip[0])) if ip else None

    def has_right_checksum(self):
        """Of TCP or UDP. What is partial holds the sum of the pseudo header only."""
        src, dst, proto, segment = self._ip()
        if len(src) == 4:
            pseudo = src + dst + struct.pack("!BBH", 0, proto, len(segment))
        else:
            pseudo = src + dst + struct.pack("!IHBB", len(segment), 0, 0, proto)
        field, = struct.unpack_from("!H", segment, CHECK[proto])
        if self.is_partial:
            return (field - packets.ones_sum(pseudo)) % 0xffff == 0
        if proto == packets.UDP and not field:
            return len(src) == 4
        return packets.ones_sum(pseudo + segment) == 0xffff


class Tap:
    """Sees what comes in on a device from now on, and sends frames there."""

    def __init__(self, space, device):
        with space.entered():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.sock.bind((device, ETH_P_ALL))
        self.l3 = 14 if self.sock.getsockname()[3] == 1 else 0  # ARPHRD_ETHER
        self.sock.setblocking(False)
        self.frames = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, frame):
        self.sock.send(frame)

    def seen(self):
        """All that came in so far."""
        while True:
            try:
                data, extra, _, where = self.sock.recvmsg(FRAME_MAX, 64)
            except BlockingIOError:
                return self.frames
            if where[2] == PACKET_OUTGOING:
                continue
            status, tci = 0, None
            for level, kind, value in extra:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, = struct.unpack_from("I", value)
                    tci = struct.unpack_from("H", value, 16)[0] if status & VLAN_VALID else None
            self.frames.append(Seen(data, self.l3, bool(status & CSUM_NOT_READY), tci))

    def between(self, source, destination):
        """Of those, what went from one (address, port) to another; None: any."""
        return [one for one in self.seen() if one.ends
                and source in (None, one.ends[0]) and destination in (None, one.ends[1])]
