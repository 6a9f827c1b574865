/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One family's flow table, read in its memory as the tools may read it, by code of the
 * test's own. IPv4 addresses are in the first words, as in a request to end a flow.
 */
#ifndef STRESS_TABLE_H
#define STRESS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xdnat_abi.h"

struct table {
	bool is_v6;
	uint32_t homes, overflow; /* buckets */
	const __u64 *seeds;
	int index; /* descriptor of the kernel hash of what is in the overflow */
	void *slots;
	size_t slots_bytes;
	struct xdnat_bucket *buckets;
	size_t buckets_bytes;
};

struct slot {
	uint64_t word;
	struct xdnat_key6 key;
	struct xdnat_key6 leaving;
	uint32_t place;
	uint32_t rule;
	uint8_t direction;
};

/* flows, buckets, index: the maps' descriptors. table: the rest is filled in. 0 or
 * -errno. */
int table_map(struct table *table, int flows, int buckets, int index);
void table_unmap(struct table *table);

uint32_t table_slots(const struct table *table);
uint64_t table_word(const struct table *table, uint32_t place);
/* A copy of what is there, of one half. False: it kept changing, or is hidden or free. */
bool table_read(const struct table *table, uint32_t place, struct slot *slot);
/* The same without asking whether it is visible; nothing writes the table. */
void table_copy(const struct table *table, uint32_t place, struct slot *slot);
/* The visible half of that key; all are looked at. */
bool table_find(const struct table *table, const struct xdnat_key6 *key, struct slot *slot);
/* What the packets of the other direction look like. */
struct xdnat_key6 key_reversed(const struct xdnat_key6 *key);
uint32_t table_home(const struct table *table, const struct xdnat_key6 *key);
uint8_t table_tag(const struct table *table, const struct xdnat_key6 *key);
/* Where the index says that the key is. False: it knows none. */
bool table_indexed(const struct table *table, const struct xdnat_key6 *key, uint32_t *place);
uint32_t table_index_entries(const struct table *table);

static inline bool slot_is_visible(uint64_t word)
{
	return (xdnat_state(word) & (XDNAT_TAKEN | XDNAT_HIDDEN)) == XDNAT_TAKEN;
}

static inline bool slot_is_embryo(uint64_t word)
{
	return (xdnat_state(word) & (XDNAT_TAKEN | XDNAT_ASSURED | XDNAT_DEAD)) == XDNAT_TAKEN;
}

/* What stays the same while a slot is the same half's. */
static inline uint64_t slot_identity(uint64_t word)
{
	return (word & XDNAT_OWNER_MASK) | slot_is_visible(word);
}

static inline uint32_t place_bucket(uint32_t place)
{
	return place / XDNAT_SLOTS;
}

#endif
