// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets of slots by their tags, in one word, against a look at each byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "bpf/tags.bpf.h"

#define WORDS 200000

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Few different ones, and free slots among them. */
static void random_tags(uint8_t *tag)
{
	uint64_t shape = random_u64(), values = random_u64();

	for (int i = 0; i < XDNAT_SLOTS; i++, shape >>= 3, values >>= 7)
		tag[i] = shape & 4 ? 0 : XDNAT_TAG_TAKEN | (values & (shape & 1 ? 0x7f : 3));
}

static uint64_t word_of(const uint8_t *tag)
{
	uint64_t tags;

	memcpy(&tags, tag, sizeof(tags));
	return tags;
}

/* The slots of the set, in turn, as the datapath goes through them. */
static uint32_t list(uint64_t set, uint32_t *slots)
{
	uint32_t count = 0;

	for (; set; set = tags_without_first(set))
		slots[count++] = tags_first(set);
	return count;
}

static void test_sets(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < WORDS; i++) {
		uint32_t free = 0, taken = 0, slots[XDNAT_SLOTS];
		uint8_t tag[XDNAT_SLOTS];

		random_tags(tag);
		assert_int_equal(list(tags_free(word_of(tag)), slots) +
					 tags_count(tags_taken(word_of(tag))),
				 XDNAT_SLOTS);
		for (uint32_t slot = 0; slot < XDNAT_SLOTS; slot++)
			if (!tag[slot])
				assert_int_equal(slots[free++], slot);
		list(tags_taken(word_of(tag)), slots);
		for (uint32_t slot = 0; slot < XDNAT_SLOTS; slot++)
			if (tag[slot])
				assert_int_equal(slots[taken++], slot);
	}
}

/* None is missed; the first is none that only looks so. */
static void test_matches(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < WORDS; i++) {
		uint32_t slots[XDNAT_SLOTS], count, at = 0;
		uint8_t tag[XDNAT_SLOTS], wanted;

		random_tags(tag);
		wanted = XDNAT_TAG_TAKEN | (i & 3);
		count = list(tags_that_are(word_of(tag), wanted), slots);
		assert_true(!count || tag[slots[0]] == wanted);
		for (uint32_t slot = 0; slot < XDNAT_SLOTS; slot++) {
			while (at < count && slots[at] < slot)
				at++;
			if (tag[slot] == wanted)
				assert_true(at < count && slots[at] == slot);
		}
	}
}

static void test_turned(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < WORDS; i++) {
		uint8_t tag[XDNAT_SLOTS], turned[XDNAT_SLOTS];
		uint64_t tags;

		random_tags(tag);
		tags = tags_from(word_of(tag), i % XDNAT_SLOTS);
		memcpy(turned, &tags, sizeof(turned));
		for (uint32_t slot = 0; slot < XDNAT_SLOTS; slot++)
			assert_int_equal(turned[slot], tag[(slot + i) % XDNAT_SLOTS]);
	}
}

/* Never that of a free slot, and all that there can be. */
static void test_of_homes(void **state)
{
	uint8_t seen[256] = {};

	(void)state;
	for (uint32_t i = 0; i < WORDS; i++)
		seen[xdnat_home_tag(xdnat_home(random_u64(), 91023))] = 1;
	for (uint32_t tag = 0; tag < 256; tag++)
		assert_int_equal(seen[tag], tag >= XDNAT_TAG_TAKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_turned),
		cmocka_unit_test(test_of_homes),
	};

	return cmocka_run_group_tests_name("tags", tests, NULL, NULL);
}
