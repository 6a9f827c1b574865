// SPDX-License-Identifier: GPL-2.0-only
#include "audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define EMBRYOS_MAX (XDNAT_SLOTS / 2)

struct faults {
	uint32_t duplicates;
	uint32_t alone; /* confirmed halves without a partner */
	uint32_t hidden;
	uint32_t odd; /* hops that nobody finished writing */
	uint32_t locked;
	uint32_t tags;	     /* slots that have another than their key's, or one though free */
	uint32_t overflowed; /* homes that miscount */
	uint32_t index;	     /* halves in the overflow that are not found */
	uint32_t entries;    /* index entries too many or too few */
	uint32_t misplaced;
	uint32_t quotas;
};

static bool is_taken(const struct slot *slot)
{
	return xdnat_state(slot->word) & XDNAT_TAKEN;
}

static bool is_same(const struct xdnat_key6 *left, const struct xdnat_key6 *right)
{
	return !memcmp(left, right, sizeof(*left));
}

static bool has_partner(const struct slot *slots, uint32_t count, const struct slot *slot)
{
	struct xdnat_key6 key = key_reversed(&slot->leaving);
	struct xdnat_key6 leaving = key_reversed(&slot->key);

	for (uint32_t i = 0; i < count; i++)
		if (slot_is_visible(slots[i].word) && is_same(&slots[i].key, &key) &&
		    is_same(&slots[i].leaving, &leaving))
			return true;
	return false;
}

static bool is_duplicate(const struct slot *slots, const struct slot *slot)
{
	for (; slots < slot; slots++)
		if (is_taken(slots) && is_same(&slots->key, &slot->key))
			return true;
	return false;
}

static void audit_slot(const struct table *table, const struct slot *slots, const struct slot *slot,
		       struct faults *faults)
{
	uint32_t count = table_slots(table), place, bucket = place_bucket(slot->place);
	uint32_t state = xdnat_state(slot->word);

	faults->odd += xdnat_is_hop_written(slot->word);
	if (!is_taken(slot))
		return;
	faults->hidden += (state & XDNAT_HIDDEN) != 0;
	faults->duplicates += is_duplicate(slots, slot);
	if ((state & XDNAT_CONFIRMED) && !(state & XDNAT_DEAD))
		faults->alone += !has_partner(slots, count, slot);
	if (bucket < table->homes)
		faults->misplaced += table_home(table, &slot->key) != bucket;
	else
		faults->index += !table_indexed(table, &slot->key, &place) || place != slot->place;
}

/* Of a home: halves of its that are elsewhere. */
static uint32_t count_elsewhere(const struct table *table, const struct slot *slots, uint32_t home)
{
	uint32_t elsewhere = 0;

	for (uint32_t i = table->homes * XDNAT_SLOTS; i < table_slots(table); i++)
		elsewhere += is_taken(&slots[i]) && table_home(table, &slots[i].key) == home;
	return elsewhere;
}

static void audit_bucket(const struct table *table, const struct slot *all, uint32_t number,
			 struct faults *faults)
{
	const struct xdnat_bucket *bucket = &table->buckets[number];
	const struct slot *slots = &all[number * XDNAT_SLOTS];
	uint32_t embryos = 0;

	for (uint32_t i = 0; i < XDNAT_SLOTS; i++) {
		uint8_t tag = is_taken(&slots[i]) ? table_tag(table, &slots[i].key) : 0;

		faults->tags += bucket->tag[i] != tag;
		embryos += slot_is_embryo(slots[i].word);
	}
	faults->locked += bucket->lock != 0;
	faults->quotas += embryos > EMBRYOS_MAX;
	if (number < table->homes)
		faults->overflowed += bucket->overflowed != count_elsewhere(table, all, number);
}

static int audit_table(const struct table *table, struct faults *faults)
{
	uint32_t count = table_slots(table), beyond = 0;
	struct slot *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		table_copy(table, i, &slots[i]);
	for (uint32_t i = 0; i < count; i++) {
		audit_slot(table, slots, &slots[i], faults);
		beyond += i >= table->homes * XDNAT_SLOTS && is_taken(&slots[i]);
	}
	for (uint32_t i = 0; i < table->homes + table->overflow; i++)
		audit_bucket(table, slots, i, faults);
	faults->entries += table_index_entries(table) != beyond;
	free(slots);
	return 0;
}

int audit(const struct world *world)
{
	struct faults faults = {};
	int err = 0;

	for (int i = 0; !err && i < WORLD_FAMILIES; i++)
		err = audit_table(&world->tables[i], &faults);
	if (err)
		return err;
	check(!faults.duplicates && !faults.misplaced,
	      "at rest no tuple is there twice (%u), all are where they belong (%u not)",
	      faults.duplicates, faults.misplaced);
	check(!faults.alone, "at rest every confirmed half has its partner (%u have not)",
	      faults.alone);
	check(!faults.hidden && !faults.odd && !faults.locked,
	      "at rest nothing is hidden (%u), being written (%u) or locked (%u)", faults.hidden,
	      faults.odd, faults.locked);
	check(!faults.tags && !faults.overflowed,
	      "tags tell what is taken, by which key (%u do not), buckets what is elsewhere (%u "
	      "do not)",
	      faults.tags, faults.overflowed);
	check(!faults.index && !faults.entries,
	      "the overflow's index has each half (%u missing) and nothing else (%u do)",
	      faults.index, faults.entries);
	check(!faults.quotas, "at most half of a bucket are embryos (%u have more)", faults.quotas);
	return 0;
}

uint32_t audit_taken(const struct world *world)
{
	uint32_t taken = 0;

	for (int i = 0; i < WORLD_FAMILIES; i++) {
		const struct table *table = &world->tables[i];

		for (uint32_t place = 0; place < table_slots(table); place++)
			taken += (xdnat_state(table_word(table, place)) & XDNAT_TAKEN) != 0;
	}
	return taken;
}
