# SPDX-License-Identifier: GPL-2.0-only
"""Frames from scratch: every length and checksum is computed here, none is
updated, so that the oracle shares no arithmetic with what it judges.

A Packet is a description; build() turns it into bytes; translate() describes the
same packet as it must look after the forwarder. Fields that end in _lie replace
what would be computed, and survive translation, as does corruption."""
import dataclasses
import ipaddress
import struct

TCP, UDP, ICMP, ICMP6, SCTP = 6, 17, 1, 58, 132
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << n for n in range(8))
HOP_BY_HOP, ROUTING, FRAGMENT, DEST_OPTS = 0, 43, 44, 60
DF, MF = 0x4000, 0x2000


def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def checksum(data):
    return ~ones_sum(data) & 0xffff


def ones_add(left, right):
    total = left + right
    return (total & 0xffff) + (total >> 16)


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def address(text):
    return ipaddress.ip_address(text).packed


@dataclasses.dataclass(frozen=True)
class Packet:
    src: str
    dst: str
    sport: int = 0
    dport: int = 0
    proto: int = TCP
    dmac: str = "02:00:00:00:00:01"
    smac: str = "02:00:00:00:00:02"
    vlans: tuple = ()               # (tpid, tci), outermost first
    ttl: int = 64
    tos: int = 0                    # DSCP and ECN
    ident: int = 0x1234
    fragment: int = DF              # IPv4 flags and offset, the whole word
    options: bytes = b""            # IPv4, a multiple of 4
    flow_label: int = 0
    extensions: tuple = ()          # IPv6: (header type, bytes after "next header")
    seq: int = 0x01020304
    ack: int = 0
    flags: int = SYN
    window: int = 64240
    urgent: int = 0
    tcp_options: bytes = b""
    tcp_reserved: int = 0
    payload: bytes = b""
    trailer: bytes = b""            # behind the IP packet, as Ethernet padding
    l4: bytes = None                # replaces the transport header and payload
    ether_type: int = None
    version_lie: int = None
    ihl_lie: int = None
    total_lie: int = None           # IPv4 total length, IPv6 payload length
    doff_lie: int = None
    udp_length_lie: int = None
    l4_check_lie: int = None        # 0: an UDP sender that computed none
    ip_corrupt: int = 0             # added to the right checksum, one's complement
    l4_corrupt: int = 0

    @property
    def is_v6(self):
        return ":" in self.src

    def with_(self, **changes):
        return dataclasses.replace(self, **changes)

    def pseudo(self, length):
        if self.is_v6:
            return (address(self.src) + address(self.dst) +
                    struct.pack("!IHBB", length, 0, 0, self.proto))
        return (address(self.src) + address(self.dst) +
                struct.pack("!BBH", 0, self.proto, length))

    def checked(self, segment, offset):
        check = checksum(self.pseudo(len(segment)) + segment)
        if self.l4_corrupt:
            check = ones_add(check, self.l4_corrupt)
        if self.proto == UDP and check == 0:
            check = 0xffff
        if self.l4_check_lie is not None:
            check = self.l4_check_lie
        return segment[:offset] + struct.pack("!H", check) + segment[offset + 2:]

    def transport(self):
        if self.l4 is not None:
            return self.l4
        if self.proto == TCP:
            doff = 5 + len(self.tcp_options) // 4
            if self.doff_lie is not None:
                doff = self.doff_lie
            return self.checked(struct.pack(
                "!HHIIBBHHH", self.sport, self.dport, self.seq, self.ack,
                doff << 4 | self.tcp_reserved, self.flags, self.window, 0,
                self.urgent) + self.tcp_options + self.payload, 16)
        if self.proto == UDP:
            length = 8 + len(self.payload)
            if self.udp_length_lie is not None:
                length = self.udp_length_lie
            return self.checked(struct.pack("!HHHH", self.sport, self.dport, length, 0) +
                                self.payload, 6)
        if self.proto == ICMP:
            body = struct.pack("!BBHHH", 8, 0, 0, self.sport, self.dport) + self.payload
            return body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        if self.proto == ICMP6:
            return self.checked(struct.pack("!BBHHH", 128, 0, 0, self.sport, self.dport) +
                                self.payload, 2)
        return struct.pack("!HH", self.sport, self.dport) + self.payload

    def network4(self, inner):
        ihl = 5 + len(self.options) // 4 if self.ihl_lie is None else self.ihl_lie
        total = 20 + len(self.options) + len(inner)
        if self.total_lie is not None:
            total = self.total_lie
        version = 4 if self.version_lie is None else self.version_lie
        header = struct.pack("!BBHHHBBH4s4s", version << 4 | ihl, self.tos, total,
                             self.ident, self.fragment, self.ttl, self.proto, 0,
                             address(self.src), address(self.dst)) + self.options
        check = checksum(header)
        if self.ip_corrupt:
            check = ones_add(check, self.ip_corrupt)
        return header[:10] + struct.pack("!H", check) + header[12:] + inner

    def network6(self, inner):
        chain, following = b"", self.proto
        for kind, body in reversed(self.extensions):
            chain = bytes([following]) + body + chain
            following = kind
        length = len(chain) + len(inner) if self.total_lie is None else self.total_lie
        version = 6 if self.version_lie is None else self.version_lie
        return (struct.pack("!IHBB", version << 28 | self.tos << 20 | self.flow_label,
                            length, following, self.ttl) +
                address(self.src) + address(self.dst) + chain + inner)

    def ethernet(self):
        frame = mac(self.dmac) + mac(self.smac)
        for tpid, tci in self.vlans:
            frame += struct.pack("!HH", tpid, tci)
        kind = self.ether_type
        if kind is None:
            kind = 0x86dd if self.is_v6 else 0x0800
        return frame + struct.pack("!H", kind)

    def build(self):
        inner = self.transport()
        packet = self.network6(inner) if self.is_v6 else self.network4(inner)
        return self.ethernet() + packet + self.trailer


def translate(packet, *, dmac, smac, src=None, sport=None, dst=None, dport=None):
    """The packet as it must leave: new MACs, TTL one less, new source or
    destination. Nothing else differs, and nothing is updated: it is built anew."""
    return packet.with_(
        dmac=dmac, smac=smac, ttl=packet.ttl - 1,
        src=src or packet.src, dst=dst or packet.dst,
        sport=packet.sport if sport is None else sport,
        dport=packet.dport if dport is None else dport)


def pad_options(units=1):
    """Body of a hop-by-hop or destination options header without its first byte."""
    return bytes([units - 1, 1, 8 * units - 4]) + bytes(8 * units - 4)


def routing_header(kind, hops=("2001:db8::77",)):
    return (bytes([2 * len(hops), kind, len(hops)]) + bytes(4) +
            b"".join(address(hop) for hop in hops))


def fragment_header(offset, more, ident=0x55aa):
    return struct.pack("!BHI", 0, offset << 3 | more, ident)
