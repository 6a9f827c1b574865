// SPDX-License-Identifier: GPL-2.0-only
#include "table.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define READ_TRIES 100

static void *map_memory(int map, size_t bytes, size_t *mapped)
{
	size_t page = sysconf(_SC_PAGESIZE);

	*mapped = (bytes + page - 1) / page * page;
	return mmap(NULL, *mapped, PROT_READ, MAP_SHARED, map, 0);
}

int table_map(struct table *table, int flows, int buckets, int index)
{
	size_t count = table->homes + table->overflow;
	size_t bucket_bytes =
		table->is_v6 ? sizeof(struct xdnat_bucket6) : sizeof(struct xdnat_bucket4);

	table->index = index;
	table->slots = map_memory(flows, count * bucket_bytes, &table->slots_bytes);
	if (table->slots == MAP_FAILED)
		return -errno;
	table->buckets =
		map_memory(buckets, count * sizeof(*table->buckets), &table->buckets_bytes);
	return table->buckets == MAP_FAILED ? -errno : 0;
}

void table_unmap(struct table *table)
{
	munmap(table->slots, table->slots_bytes);
	munmap(table->buckets, table->buckets_bytes);
}

uint32_t table_slots(const struct table *table)
{
	return (table->homes + table->overflow) * XDNAT_SLOTS;
}

static const struct xdnat_half *half_at(const struct table *table, uint32_t place)
{
	if (table->is_v6)
		return &((const struct xdnat_half6 *)table->slots)[place].half;
	return &((const struct xdnat_half4 *)table->slots)[place].half;
}

uint64_t table_word(const struct table *table, uint32_t place)
{
	return __atomic_load_n(&half_at(table, place)->word, __ATOMIC_ACQUIRE);
}

static void copy4(const struct xdnat_half4 *half, struct slot *slot)
{
	slot->key = (struct xdnat_key6){
		.src = {half->key.src},
		.dst = {half->key.dst},
		.ports = half->key.ports,
		.proto = half->key.proto,
	};
	slot->leaving = (struct xdnat_key6){
		.src = {half->src},
		.dst = {half->dst},
		.ports = half->half.ports,
		.proto = half->key.proto,
	};
}

static void copy6(const struct xdnat_half6 *half, struct slot *slot)
{
	slot->key = half->key;
	slot->leaving = (struct xdnat_key6){
		.ports = half->half.ports,
		.proto = half->key.proto,
	};
	memcpy(slot->leaving.src, half->src, sizeof(half->src));
	memcpy(slot->leaving.dst, half->dst, sizeof(half->dst));
}

void table_copy(const struct table *table, uint32_t place, struct slot *slot)
{
	const struct xdnat_half *half = half_at(table, place);

	*slot = (struct slot){
		.word = table_word(table, place),
		.place = place,
		.rule = half->rule,
		.direction = half->direction,
	};
	if (table->is_v6)
		copy6(&((const struct xdnat_half6 *)table->slots)[place], slot);
	else
		copy4(&((const struct xdnat_half4 *)table->slots)[place], slot);
}

bool table_read(const struct table *table, uint32_t place, struct slot *slot)
{
	for (int i = 0; i < READ_TRIES; i++) {
		table_copy(table, place, slot);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!slot_is_visible(slot->word))
			return false;
		if (slot_identity(table_word(table, place)) == slot_identity(slot->word))
			return true;
	}
	return false;
}

bool table_find(const struct table *table, const struct xdnat_key6 *key, struct slot *slot)
{
	for (uint32_t place = 0; place < table_slots(table); place++)
		if (table_read(table, place, slot) && !memcmp(&slot->key, key, sizeof(*key)))
			return true;
	return false;
}

struct xdnat_key6 key_reversed(const struct xdnat_key6 *key)
{
	struct xdnat_key6 back = {
		.ports = {.sport = key->ports.dport, .dport = key->ports.sport},
		.proto = key->proto,
	};

	memcpy(back.src, key->dst, sizeof(back.src));
	memcpy(back.dst, key->src, sizeof(back.dst));
	return back;
}

static struct xdnat_key4 key4_of(const struct xdnat_key6 *key)
{
	return (struct xdnat_key4){
		.src = key->src[0],
		.dst = key->dst[0],
		.ports = key->ports,
		.proto = key->proto,
	};
}

static uint64_t home_of(const struct table *table, const struct xdnat_key6 *key)
{
	struct xdnat_key4 key4 = key4_of(key);
	uint64_t hash = table->is_v6 ? xdnat_key6_hash(key, table->seeds)
				     : xdnat_key4_hash(&key4, table->seeds);

	return xdnat_home(hash, table->homes);
}

uint32_t table_home(const struct table *table, const struct xdnat_key6 *key)
{
	return xdnat_home_bucket(home_of(table, key));
}

uint8_t table_tag(const struct table *table, const struct xdnat_key6 *key)
{
	return xdnat_home_tag(home_of(table, key));
}

bool table_indexed(const struct table *table, const struct xdnat_key6 *key, uint32_t *place)
{
	struct xdnat_key4 key4 = key4_of(key);

	return !bpf_map_lookup_elem(table->index,
				    table->is_v6 ? (const void *)key : (const void *)&key4, place);
}

uint32_t table_index_entries(const struct table *table)
{
	struct xdnat_key6 key, *last = NULL;
	uint32_t entries = 0;

	while (!bpf_map_get_next_key(table->index, last, &key)) {
		entries++;
		last = &key;
	}
	return entries;
}
