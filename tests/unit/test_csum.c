// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checksums updated by difference against checksums computed from all bytes. The
 * full sums here go byte by byte and know nothing of the code under test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "bpf/csum.bpf.h"

#define REWRITES	    1000000
#define PAYLOAD_MAX	    64
#define TCP_HEADER_BYTES    20
#define UDP_HEADER_BYTES    8
#define TCP_CHECK_OFFSET    16
#define UDP_CHECK_OFFSET    6
#define IPV4_CHECK_OFFSET   10
#define IPV4_ADDRESS_OFFSET 12
#define IPV6_ADDRESS_OFFSET 8
#define HEADER_MAX	    40

struct packet {
	bool is_v6;
	uint8_t proto;
	uint8_t header[HEADER_MAX];
	size_t segment_bytes; /* transport header and payload */
	uint8_t segment[TCP_HEADER_BYTES + PAYLOAD_MAX];
};

/* What a NAT's flow keeps: folded sums of differences. */
struct deltas {
	__u16 header, addresses, ports;
};

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void random_bytes(uint8_t *bytes, size_t count)
{
	/* Runs of 0x00 and 0xff are where one's complement is interesting. */
	const uint64_t kind = random_u64() % 8;

	for (size_t i = 0; i < count; i++)
		bytes[i] = kind == 0 ? 0 : kind == 1 ? 0xff : (uint8_t)random_u64();
}

/* RFC 1071, written as the RFC says it: big-endian words, an odd byte is high. */
static uint32_t full_sum(const uint8_t *bytes, size_t count, uint32_t sum)
{
	for (size_t i = 0; i < count; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static uint16_t full_fold(uint32_t sum)
{
	while (sum > 0xffff)
		sum = sum % 0x10000 + sum / 0x10000;
	return (uint16_t)sum;
}

static size_t address_offset(const struct packet *packet)
{
	return packet->is_v6 ? IPV6_ADDRESS_OFFSET : IPV4_ADDRESS_OFFSET;
}

static size_t addresses_bytes(const struct packet *packet)
{
	return packet->is_v6 ? 32 : 8;
}

static uint8_t *segment_check(struct packet *packet)
{
	return packet->segment +
	       (packet->proto == IPPROTO_TCP ? TCP_CHECK_OFFSET : UDP_CHECK_OFFSET);
}

/* 0xffff over everything with its checksum in place: it verifies. */
static uint16_t segment_sum(const struct packet *packet)
{
	uint32_t sum = (uint32_t)packet->segment_bytes + packet->proto;

	sum = full_sum(packet->header + address_offset(packet), addresses_bytes(packet), sum);
	return full_fold(full_sum(packet->segment, packet->segment_bytes, sum));
}

static uint16_t header_sum(const struct packet *packet)
{
	return full_fold(full_sum(packet->header, 20, 0));
}

static void put_check(uint8_t *field, uint16_t check_host)
{
	field[0] = (uint8_t)(check_host >> 8);
	field[1] = (uint8_t)check_host;
}

static uint16_t get_check(const uint8_t *field)
{
	return (uint16_t)(field[0] << 8 | field[1]);
}

static void fill_checks(struct packet *packet)
{
	uint8_t *check = segment_check(packet);

	put_check(check, 0);
	put_check(check, (uint16_t)~segment_sum(packet));
	if (packet->is_v6)
		return;
	put_check(packet->header + IPV4_CHECK_OFFSET, 0);
	put_check(packet->header + IPV4_CHECK_OFFSET, (uint16_t)~header_sum(packet));
}

static struct packet random_packet(size_t payload_bytes)
{
	struct packet packet = {.is_v6 = random_u64() % 2};

	packet.proto = random_u64() % 2 ? IPPROTO_TCP : IPPROTO_UDP;
	packet.segment_bytes =
		payload_bytes + (packet.proto == IPPROTO_TCP ? TCP_HEADER_BYTES : UDP_HEADER_BYTES);
	random_bytes(packet.header, sizeof(packet.header));
	random_bytes(packet.segment, packet.segment_bytes);
	if (!packet.is_v6) {
		packet.header[8] = (uint8_t)(2 + random_u64() % 254);
		packet.header[9] = packet.proto;
	}
	fill_checks(&packet);
	return packet;
}

static __u32 diff_words(const uint8_t *from, const uint8_t *to, size_t count)
{
	__be32 old, new;
	__u32 sum = 0;

	for (size_t i = 0; i < count; i += sizeof(old)) {
		memcpy(&old, from + i, sizeof(old));
		memcpy(&new, to + i, sizeof(new));
		sum += csum_diff32(old, new);
	}
	return sum;
}

static __u32 diff_word16(const uint8_t *from, const uint8_t *to)
{
	__be16 old, new;

	memcpy(&old, from, sizeof(old));
	memcpy(&new, to, sizeof(new));
	return csum_diff16(old, new);
}

/* New addresses, ports and TTL - 1 in place; checksums untouched. */
static struct deltas rewrite_fields(struct packet *packet)
{
	const struct packet before = *packet;
	const size_t offset = address_offset(packet), bytes = addresses_bytes(packet);
	__u32 addresses, header;

	/* A masquerade changes both addresses, preserve one. */
	random_bytes(packet->header + offset, bytes / 2);
	if (random_u64() % 2)
		random_bytes(packet->header + offset + bytes / 2, bytes / 2);
	random_bytes(packet->segment, 4);
	addresses = diff_words(before.header + offset, packet->header + offset, bytes);
	header = addresses;
	if (!packet->is_v6) {
		packet->header[8]--;
		header += diff_word16(before.header + 8, packet->header + 8);
	}
	return (struct deltas){
		.header = csum_fold(header),
		.addresses = csum_fold(addresses),
		.ports = csum_fold(diff_word16(before.segment, packet->segment) +
				   diff_word16(before.segment + 2, packet->segment + 2)),
	};
}

static void apply(uint8_t *field, __u16 delta)
{
	__sum16 check;

	memcpy(&check, field, sizeof(check));
	check = csum_apply(check, delta);
	memcpy(field, &check, sizeof(check));
}

static void apply_deltas(struct packet *packet, const struct deltas *deltas)
{
	apply(segment_check(packet), csum_fold((__u32)deltas->addresses + deltas->ports));
	if (!packet->is_v6)
		apply(packet->header + IPV4_CHECK_OFFSET, deltas->header);
}

/* 0x0000 and 0xffff are the two zeros of one's complement. */
static bool same_check(uint16_t left, uint16_t right)
{
	return left % 0xffff == right % 0xffff;
}

static void check_rewrite(size_t payload_bytes)
{
	struct packet packet = random_packet(payload_bytes), recomputed;
	const struct deltas deltas = rewrite_fields(&packet);

	apply_deltas(&packet, &deltas);
	assert_int_equal(segment_sum(&packet), 0xffff);
	if (!packet.is_v6)
		assert_int_equal(header_sum(&packet), 0xffff);
	recomputed = packet;
	fill_checks(&recomputed);
	assert_true(same_check(get_check(segment_check(&packet)),
			       get_check(segment_check(&recomputed))));
	if (!packet.is_v6)
		assert_true(same_check(get_check(packet.header + IPV4_CHECK_OFFSET),
				       get_check(recomputed.header + IPV4_CHECK_OFFSET)));
}

static void test_random_rewrites(void **state)
{
	(void)state;
	for (size_t i = 0; i < REWRITES; i++)
		check_rewrite(random_u64() % (PAYLOAD_MAX + 1));
}

static void test_odd_lengths(void **state)
{
	(void)state;
	for (size_t payload_bytes = 1; payload_bytes < PAYLOAD_MAX; payload_bytes += 2)
		for (size_t i = 0; i < 100; i++)
			check_rewrite(payload_bytes);
}

/* Updating must not launder: what was corrupt stays corrupt, by the same amount. */
static void test_corruption_survives(void **state)
{
	(void)state;
	for (size_t i = 0; i < 10000; i++) {
		struct packet packet = random_packet(random_u64() % PAYLOAD_MAX);
		const uint16_t error = (uint16_t)(1 + random_u64() % 0xfffe);
		uint8_t *check = segment_check(&packet);
		struct deltas deltas;

		put_check(check, full_fold((uint32_t)get_check(check) + error));
		deltas = rewrite_fields(&packet);
		apply_deltas(&packet, &deltas);
		assert_true(same_check(segment_sum(&packet), error));
	}
}

static void test_fold(void **state)
{
	static const struct {
		__u32 sum;
		__u16 folded;
	} rows[] = {
		{0, 0},
		{0xffff, 0xffff},
		{0x10000, 1},
		{0x1ffff, 1},
		{0x1fffe, 0xffff},
		{0xffff0000, 0xffff},
		{0xffffffff, 0xffff},
		{0xfffeffff, 0xfffe},
		{0xffff0001, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(csum_fold(rows[i].sum), rows[i].folded);
}

static void test_zeros(void **state)
{
	static const struct {
		uint16_t check, from, to, updated; /* as RFCs write them */
	} rows[] = {
		{0xdd2f, 0x5555, 0x3285, 0x0000}, /* RFC 1624 section 4: not 0xffff */
		{0xffff, 0xffff, 0x0000, 0xffff}, {0x0000, 0xffff, 0x0000, 0x0000},
		{0xffff, 0x1234, 0x1234, 0x0000}, /* the other zero, the same sum */
		{0x0000, 0x1234, 0x1234, 0x0000}, {0x0001, 0x0000, 0x0001, 0x0000},
		{0x0000, 0x0000, 0x0001, 0xfffe}, {0xfffe, 0x0001, 0x0000, 0x0000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const __u16 delta = csum_fold(csum_diff16(htons(rows[i].from), htons(rows[i].to)));

		assert_int_equal(ntohs(csum_apply(htons(rows[i].check), delta)), rows[i].updated);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_random_rewrites),
		cmocka_unit_test(test_odd_lengths),
		cmocka_unit_test(test_corruption_survives),
	};

	return cmocka_run_group_tests_name("csum", tests, NULL, NULL);
}
