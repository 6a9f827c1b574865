// SPDX-License-Identifier: GPL-2.0-only
#include "store_table.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "fail.h"

/* A slot is given to others while it is copied: again, but not for ever. */
#define COPY_TRIES 8

static const struct layout {
	size_t key_bytes, slot_bytes, word_at;
} layouts[2] = {
	{sizeof(struct xdnat_key4), sizeof(struct xdnat_half4),
	 offsetof(struct xdnat_half4, half.word)},
	{sizeof(struct xdnat_key6), sizeof(struct xdnat_half6),
	 offsetof(struct xdnat_half6, half.word)},
};

static uint32_t bucket_count(const struct store_table *table)
{
	return table->store->config.home_buckets + table->store->config.overflow_buckets;
}

static size_t buckets_bytes(const struct store_table *table)
{
	return bucket_count(table) * sizeof(struct xdnat_bucket);
}

static size_t slots_bytes(const struct store_table *table)
{
	return bucket_count(table) * XDNAT_SLOTS * layouts[table->is_v6].slot_bytes;
}

/* The kernel refuses to map more than there is. NULL with fail(). */
static const void *map_array(const struct store_table *table, int map, size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, table->store->maps[map], 0);

	if (memory != MAP_FAILED)
		return memory;
	fail_kernel(-errno, "cannot read the table of IPv%d flows", table->is_v6 ? 6 : 4);
	return NULL;
}

static bool map_buckets(struct store_table *table)
{
	if (!table->buckets)
		table->buckets =
			map_array(table, STORE_BUCKETS4 + table->is_v6, buckets_bytes(table));
	return table->buckets;
}

static bool map_slots(struct store_table *table)
{
	if (!table->slots)
		table->slots = map_array(table, STORE_FLOWS4 + table->is_v6, slots_bytes(table));
	return table->slots;
}

void store_table_unmap(struct store_table *table)
{
	if (table->slots)
		munmap((void *)table->slots, slots_bytes(table));
	if (table->buckets)
		munmap((void *)table->buckets, buckets_bytes(table));
	table->slots = NULL;
	table->buckets = NULL;
}

static const char *slot_at(const struct store_table *table, uint32_t place)
{
	return table->slots + place * layouts[table->is_v6].slot_bytes;
}

static bool is_visible(uint64_t word)
{
	return (xdnat_state(word) & (XDNAT_TAKEN | XDNAT_HIDDEN)) == XDNAT_TAKEN;
}

/* As readers do it (bpf/table.bpf.h), but that state, until and hop may change
 * meanwhile: one half's are all that is copied, if the slot has the same owner before
 * and after. */
static bool copy_slot(const char *slot, const struct layout *layout, union store_half *half)
{
	const uint64_t *word = (const uint64_t *)(slot + layout->word_at);
	uint64_t before, after;

	for (int i = 0; i < COPY_TRIES; i++) {
		before = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		if (!is_visible(before))
			return false;
		memcpy(half, slot, layout->slot_bytes);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = __atomic_load_n(word, __ATOMIC_RELAXED);
		if (!is_visible(after) || (before ^ after) & XDNAT_OWNER_MASK)
			continue;
		memcpy((char *)half + layout->word_at, &after, sizeof(after));
		return true;
	}
	return false;
}

static int bucket_each(const struct store_table *table, uint32_t bucket,
		       int (*each)(const union store_half *half, void *context), void *context)
{
	union store_half half;
	int err = 0;

	for (uint32_t slot = 0; !err && slot < XDNAT_SLOTS; slot++)
		if (copy_slot(slot_at(table, xdnat_place(bucket, slot)), &layouts[table->is_v6],
			      &half))
			err = each(&half, context);
	return err;
}

int store_table_each(struct store_table *table,
		     int (*each)(const union store_half *half, void *context), void *context)
{
	uint32_t count = bucket_count(table);
	int err = 0;

	if (!map_buckets(table))
		return -EIO;
	for (uint32_t bucket = 0; !err && bucket < count; bucket++) {
		if (!__atomic_load_n(&table->buckets[bucket].tags, __ATOMIC_RELAXED))
			continue;
		err = map_slots(table) ? bucket_each(table, bucket, each, context) : -EIO;
	}
	return err;
}

static bool slot_has(const char *slot, const struct layout *layout, const union store_half *key,
		     union store_half *half)
{
	return !memcmp(slot, key, layout->key_bytes) && copy_slot(slot, layout, half) &&
	       !memcmp(half, key, layout->key_bytes);
}

bool store_table_find(const struct store_table *table, const union store_half *key,
		      union store_half *half)
{
	const struct xdnat_config *config = &table->store->config;
	const struct layout *layout = &layouts[table->is_v6];
	uint64_t hash = table->is_v6 ? xdnat_key6_hash(&key->v6.key, config->hash_seeds)
				     : xdnat_key4_hash(&key->v4.key, config->hash_seeds);
	uint32_t home = xdnat_home_bucket(xdnat_home(hash, config->home_buckets)), place;
	int elsewhere = table->store->maps[STORE_OVERFLOW4 + table->is_v6];

	for (uint32_t slot = 0; slot < XDNAT_SLOTS; slot++)
		if (slot_has(slot_at(table, xdnat_place(home, slot)), layout, key, half))
			return true;
	if (!__atomic_load_n(&table->buckets[home].overflowed, __ATOMIC_ACQUIRE) ||
	    bpf_map_lookup_elem(elsewhere, key, &place) ||
	    place / XDNAT_SLOTS >= bucket_count(table))
		return false;
	return slot_has(slot_at(table, place), layout, key, half);
}
