#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Prints user/selftest_packets.h: the loader's golden packets, built by packets.py
from scratch, so that they owe nothing to the arithmetic they judge.

    tests/golden.py > user/selftest_packets.h"""
from packets import (ACK, PSH, SYN, TCP, UDP, Packet, address, ones_add, translate)

ROUTER_OUT, ROUTER_IN = "02:00:00:00:00:01", "02:00:00:00:00:03"
CLIENT_MAC, TARGET_MAC = "02:00:00:00:00:02", "02:00:00:00:00:04"
SIDES = {"IPv4": ("198.51.100.9", "203.0.113.7", "10.0.0.5"),
         "IPv6": ("2001:db8:1::9", "2001:db8:7::7", "fd00::5")}
CLIENT_PORT, PORT, TARGET_PORT = 40000, 8080, 80


def literal(data, indent="\t\t"):
    """Bytes as a C string, 16 a line."""
    lines = ['"%s"' % "".join("\\x%02x" % byte for byte in data[n:n + 16])
             for n in range(0, len(data), 16)]
    return ("\n" + indent).join(lines)


def frame(data):
    return "{%s,\n\t\t%d}" % (literal(data), len(data))


def word(data, offset):
    return int.from_bytes(data[offset:offset + 2], "big")


def delta(before, after, offset):
    """RFC 1624: what is to be added to ~HC so that ~HC' comes out."""
    return ones_add(~word(after, offset) & 0xffff, word(before, offset))


def conversation(family, proto):
    client, listener, target = SIDES[family]
    is_v6, name = family == "IPv6", "%s %s" % (family, {TCP: "TCP", UDP: "UDP"}[proto])
    request = Packet(src=client, dst=listener, sport=CLIENT_PORT, dport=PORT, proto=proto,
                     dmac=ROUTER_OUT, smac=CLIENT_MAC, flags=PSH | ACK, ack=0x55667788,
                     tos=0x28, payload=b"GET / HTTP/1.1\r\n\r")
    answer = Packet(src=target, dst=client, sport=TARGET_PORT, dport=CLIENT_PORT, proto=proto,
                    dmac=ROUTER_OUT, smac=TARGET_MAC, flags=PSH | ACK, seq=0x55667788,
                    ack=0x01020314, ttl=63, payload=b"HTTP/1.1 200 OK\r\n")
    request_out = translate(request, dmac=TARGET_MAC, smac=ROUTER_IN, dst=target,
                            dport=TARGET_PORT)
    answer_out = translate(answer, dmac=CLIENT_MAC, smac=ROUTER_OUT, src=listener, sport=PORT)
    of_kernel = answer.with_(src=listener, sport=PORT)
    built = [one.build() for one in (request, request_out, answer, answer_out, of_kernel)]
    l4 = (54 if is_v6 else 34) + (16 if proto == TCP else 6)
    l3_delta = 0 if is_v6 else delta(built[0], built[1], 24)
    return """\t{
\t\t"%s", %d, %d,
\t\t%s, /* client */
\t\t%s, /* listener */
\t\t%s, /* target */
\t\t%d, %d, %d,
\t\t0x%04x, 0x%04x,
%s\t},
""" % (name, is_v6, proto, literal(address(client)), literal(address(listener)),
       literal(address(target)), CLIENT_PORT, PORT, TARGET_PORT, l3_delta,
       delta(built[0], built[1], l4),
       "".join("\t\t%s,\n" % frame(one) for one in built))


def single(name, packet, action, reason, out=None):
    data = packet.build()
    return '\t{\n\t\t"%s", XDP_%s, XDNAT_%s,\n\t\t%s,\n\t\t%s,\n\t},\n' % (
        name, action, reason, frame(data), frame(out.build() if out else data))


def singles():
    client, listener, target = SIDES["IPv4"]
    client6, listener6, _ = SIDES["IPv6"]
    tcp = Packet(src=client, dst=listener, sport=CLIENT_PORT + 1, dport=PORT, flags=SYN,
                 dmac=ROUTER_OUT, smac=CLIENT_MAC)
    udp = tcp.with_(proto=UDP, sport=CLIENT_PORT, payload=b"no checksum", l4_check_lie=0)
    yield single("foreign IPv4 TCP packet", tcp.with_(dport=PORT + 1), "PASS", "PASS_NO_RULE")
    yield single("foreign IPv6 UDP packet", tcp.with_(
        src=client6, dst=listener6, dport=PORT + 1, proto=UDP, payload=b"odd"),
        "PASS", "PASS_NO_RULE")
    yield single("malformed TCP packet of a rule", tcp.with_(doff_lie=4), "DROP",
                 "DROP_MALFORMED")
    yield single("packet of a rule with TTL 1", tcp.with_(ttl=1), "DROP", "DROP_TTL")
    yield single("IPv4 UDP request without checksum", udp, "TX", "FORWARDED",
                 translate(udp, dmac=TARGET_MAC, smac=ROUTER_IN, dst=target,
                           dport=TARGET_PORT))


def header():
    conversations = "".join(conversation(family, proto) for family in SIDES
                            for proto in (TCP, UDP))
    return """/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The golden packets of selftest.c. Made by tests/golden.py, which builds every
 * frame and computes every checksum from scratch: change them there.
 */
/* clang-format off */
#ifndef XDNAT_SELFTEST_PACKETS_H
#define XDNAT_SELFTEST_PACKETS_H

#include <linux/bpf.h>

#include "selftest_row.h"

static const struct conversation conversations[] = {
%s};

/* After the conversations: the last is of one of them. */
static const struct single singles[] = {
%s};

#endif
""" % (conversations, "".join(singles()))


if __name__ == "__main__":
    print(header(), end="")
