// SPDX-License-Identifier: GPL-2.0-only
#include "frame.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <stdio.h>
#include <string.h>

#define ETH_BYTES 14
#define IP4_BYTES 20
#define IP6_BYTES 40
#define UDP_BYTES 8
#define TCP_BYTES 20

static void put16(uint8_t *at, uint16_t host)
{
	at[0] = host >> 8;
	at[1] = host;
}

static uint32_t sum16(const uint8_t *bytes, uint32_t length)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	return sum;
}

/* RFC 1071 */
static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static uint8_t proto_of(const struct frame *frame)
{
	return frame->is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
}

static void build_ip4(const struct frame *frame, uint8_t *ip, uint32_t bytes)
{
	ip[0] = 0x45;
	put16(ip + 2, bytes);
	put16(ip + 6, 0x4000); /* DF */
	ip[8] = frame->ttl;
	ip[9] = proto_of(frame);
	memcpy(ip + 12, frame->src, 4);
	memcpy(ip + 16, frame->dst, 4);
	put16(ip + 10, checksum(sum16(ip, IP4_BYTES)));
}

static void build_ip6(const struct frame *frame, uint8_t *ip, uint32_t bytes)
{
	ip[0] = 0x60;
	put16(ip + 4, bytes - IP6_BYTES);
	ip[6] = proto_of(frame);
	ip[7] = frame->ttl;
	memcpy(ip + 8, frame->src, 16);
	memcpy(ip + 24, frame->dst, 16);
}

static void build_l4(const struct frame *frame, uint8_t *l4, uint32_t bytes)
{
	uint32_t address_bytes = frame->is_v6 ? 16 : 4, sum;
	uint8_t *check = l4 + (frame->is_tcp ? 16 : 6);
	uint32_t header_bytes = frame->is_tcp ? TCP_BYTES : UDP_BYTES;

	put16(l4, frame->sport_host);
	put16(l4 + 2, frame->dport_host);
	if (frame->is_tcp) {
		put16(l4 + 6, 77);
		put16(l4 + 10, 1);
		l4[12] = TCP_BYTES / 4 << 4;
		l4[13] = frame->tcp_flags;
		put16(l4 + 14, 0xffff);
	} else {
		put16(l4 + 4, bytes);
	}
	for (uint32_t i = header_bytes; i < bytes; i++)
		l4[i] = i;
	l4[bytes - 1] = frame->mark;
	sum = sum16(frame->src, address_bytes) + sum16(frame->dst, address_bytes);
	sum = checksum(sum + proto_of(frame) + bytes + sum16(l4, bytes));
	put16(check, !sum && !frame->is_tcp ? 0xffff : sum); /* RFC 768 */
}

uint32_t frame_build(const struct frame *frame, uint8_t *bytes)
{
	uint32_t frame_bytes = frame->is_v6 ? BENCH_FRAME6_BYTES : BENCH_FRAME4_BYTES;
	uint32_t ip_bytes = frame->is_v6 ? IP6_BYTES : IP4_BYTES;
	uint32_t l3_bytes = frame_bytes - ETH_BYTES;

	memset(bytes, 0, frame_bytes);
	memcpy(bytes, frame->eth_dst, 6);
	memcpy(bytes + 6, frame->eth_src, 6);
	put16(bytes + 12, frame->is_v6 ? ETH_P_IPV6 : ETH_P_IP);
	if (frame->is_v6)
		build_ip6(frame, bytes + ETH_BYTES, l3_bytes);
	else
		build_ip4(frame, bytes + ETH_BYTES, l3_bytes);
	build_l4(frame, bytes + ETH_BYTES + ip_bytes, l3_bytes - ip_bytes);
	return frame_bytes;
}

void frame_row(const struct frame *frame, const uint8_t *bytes, struct bench_row *row)
{
	const uint8_t *ip = bytes + ETH_BYTES;
	const uint8_t *l4 = ip + (frame->is_v6 ? IP6_BYTES : IP4_BYTES);

	memcpy(&row->src, ip + (frame->is_v6 ? 20 : 12), 4);
	memcpy(&row->dst, ip + (frame->is_v6 ? 36 : 16), 4);
	memcpy(&row->sport, l4, 2);
	memcpy(&row->dport, l4 + 2, 2);
	memcpy(&row->l3_check, ip + 10, 2); /* IPv6 has none and no one reads it */
	memcpy(&row->l4_check, l4 + (frame->is_tcp ? 16 : 6), 2);
}

void frame_print(const char *what, const uint8_t *bytes, uint32_t count)
{
	fprintf(stderr, "%s ", what);
	for (uint32_t i = 0; i < count; i++)
		fprintf(stderr, "%02x", bytes[i]);
	fprintf(stderr, "\n");
}
