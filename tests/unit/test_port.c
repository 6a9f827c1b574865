// SPDX-License-Identifier: GPL-2.0-only
/*
 * In which order a flow tries source ports: bounded, within the list, from a start that
 * nobody can tell without the seed, and none left out where there are few.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* those are Clang's */
#include "bpf/port.bpf.h"

#define ALL_PORTS 65536
#define FLOWS	  20000

/* Of flow number n. */
static __u32 hash_of(__u32 n, __u32 seed)
{
	const __u32 words[] = {n, n * 7, 0x0a000005};

	return port_hash(words, 3, seed);
}

static void test_tries_are_bounded(void **state)
{
	(void)state;
	for (__u32 ports = 1; ports <= ALL_PORTS; ports++) {
		assert_in_range(port_candidates(ports), 1, PORT_CANDIDATES);
		assert_true(port_candidates(ports) <= ports);
		assert_true(ports > PORT_CANDIDATES || port_candidates(ports) == ports);
	}
}

static void test_candidates_are_in_the_list(void **state)
{
	static const __u32 sizes[] = {1, 2, 3, 63, 64, 65, 127, 1000, 28232, 64512, ALL_PORTS};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (__u32 n = 0; n < 500; n++)
			for (__u32 tried = 0; tried < port_candidates(sizes[i]); tried++)
				assert_true(port_candidate(hash_of(n, 1), tried, sizes[i]) <
					    sizes[i]);
}

/* The last free one of few is found, whatever the start; also at the end of the hash's
 * range, where a sum would wrap. */
static void test_few_ports_are_all_tried(void **state)
{
	(void)state;
	for (__u32 ports = 1; ports <= PORT_CANDIDATES; ports++)
		for (__u32 n = 0; n < 200; n++) {
			__u32 hash = n < 100 ? UINT32_MAX - n : hash_of(n, 2);
			bool tried[PORT_CANDIDATES] = {};

			for (__u32 i = 0; i < port_candidates(ports); i++)
				tried[port_candidate(hash, i, ports)] = true;
			for (__u32 i = 0; i < ports; i++)
				assert_true(tried[i]);
		}
}

/* Many flows' starts cover a large list evenly: five standard deviations. */
static void test_starts_cover_the_list(void **state)
{
	enum { PORTS = 1000, MEAN = FLOWS / PORTS };
	static __u32 hits[PORTS];

	(void)state;
	memset(hits, 0, sizeof(hits));
	for (__u32 n = 0; n < FLOWS; n++)
		hits[port_candidate(hash_of(n, 3), 0, PORTS)]++;
	for (__u32 i = 0; i < PORTS; i++)
		assert_in_range(hits[i], 1, MEAN + 5 * 5);
}

/* With nine of ten taken, one flow in 850 finds none: PORT_CANDIDATES' comment. */
static void test_crowded_list_still_serves(void **state)
{
	enum { PORTS = 30000 };
	__u32 refused = 0;

	(void)state;
	for (__u32 n = 0; n < FLOWS; n++) {
		__u32 hash = hash_of(n, 4), tried = 0;

		while (tried < port_candidates(PORTS) &&
		       port_candidate(hash, tried, PORTS) % 10 != 0)
			tried++;
		refused += tried == port_candidates(PORTS);
	}
	assert_in_range(refused, FLOWS / 850 / 2, FLOWS / 850 * 2);
}

/* The same flow tries the same ports; another seed, or another flow, other ones. */
static void test_order_is_the_flows_own(void **state)
{
	__u32 same_seed = 0, same_flow = 0;

	(void)state;
	for (__u32 n = 0; n < FLOWS; n++) {
		__u32 port = port_candidate(hash_of(n, 5), 0, 28232);

		assert_int_equal(port, port_candidate(hash_of(n, 5), 0, 28232));
		same_flow += port == port_candidate(hash_of(n, 6), 0, 28232);
		same_seed += port == port_candidate(hash_of(n + 1, 5), 0, 28232);
	}
	assert_in_range(same_flow, 0, 8);
	assert_in_range(same_seed, 0, 8);
}

/* Each bit of what the order depends on changes half of the hash. */
static void test_every_bit_counts(void **state)
{
	(void)state;
	for (int bit = 0; bit < 96; bit++) {
		__u32 differing = 0;

		for (__u32 n = 0; n < 256; n++) {
			__u32 words[] = {n, n * 7, 0x0a000005};
			__u32 before = port_hash(words, 3, 7);

			words[bit / 32] ^= 1u << bit % 32;
			differing += __builtin_popcount(before ^ port_hash(words, 3, 7));
		}
		assert_in_range(differing / 256, 14, 18);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tries_are_bounded),
		cmocka_unit_test(test_candidates_are_in_the_list),
		cmocka_unit_test(test_few_ports_are_all_tried),
		cmocka_unit_test(test_starts_cover_the_list),
		cmocka_unit_test(test_crowded_list_still_serves),
		cmocka_unit_test(test_order_is_the_flows_own),
		cmocka_unit_test(test_every_bit_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
