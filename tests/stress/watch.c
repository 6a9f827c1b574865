// SPDX-License-Identifier: GPL-2.0-only
#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lanes.h"
#include "rules.h"

#define MOVE_SECONDS 0.05 /* neighbours move so often */
#define FORCED_OF    2	  /* passes: in one of them a flow is ended by force */
#define EMBRYOS_MAX  (XDNAT_SLOTS / 2)

static int compare_keys(const void *left, const void *right)
{
	return memcmp(&((const struct slot *)left)->key, &((const struct slot *)right)->key,
		      sizeof(struct xdnat_key6));
}

/* Has the slot not changed hands since it was read? */
static bool is_still(const struct table *table, const struct slot *slot)
{
	return slot_identity(table_word(table, slot->place)) == slot_identity(slot->word);
}

/* The first was read before the second: it was there all the while if it still is. */
static void count_duplicates(struct watch *watch, const struct table *table, struct slot *slots,
			     uint32_t count)
{
	qsort(slots, count, sizeof(*slots), compare_keys);
	for (uint32_t i = 1; i < count; i++)
		if (!compare_keys(&slots[i - 1], &slots[i]) && is_still(table, &slots[i - 1]) &&
		    is_still(table, &slots[i]))
			watch->duplicates++;
}

/* A slot that is an embryo's before and after was that meanwhile. (A hidden one may be that
 * of an assured half that goes.) */
static void count_quotas(struct watch *watch, const struct table *table)
{
	for (uint32_t first = 0; first < table_slots(table); first += XDNAT_SLOTS) {
		uint64_t words[XDNAT_SLOTS];
		uint32_t embryos = 0;

		for (uint32_t i = 0; i < XDNAT_SLOTS; i++)
			words[i] = table_word(table, first + i);
		for (uint32_t i = 0; i < XDNAT_SLOTS; i++) {
			uint64_t word = table_word(table, first + i);

			embryos += slot_is_visible(word) && slot_is_embryo(words[i]) &&
				   slot_is_embryo(word) && !((words[i] ^ word) & XDNAT_OWNER_MASK);
		}
		watch->over_quotas += embryos > EMBRYOS_MAX;
	}
}

static void count_misplaced(struct watch *watch, const struct table *table,
			    const struct slot *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t bucket = place_bucket(slots[i].place);

		if (bucket < table->homes && table_home(table, &slots[i].key) != bucket)
			watch->misplaced++;
	}
}

/* The sweep: the program says what has expired. Now and then somebody kills a flow. */
static int end_some(struct watch *watch, const struct table *table, const struct slot *slots,
		    uint32_t count)
{
	uint64_t random = world_random(&watch->random);
	uint32_t forced = UINT32_MAX;
	int err = 0;

	if (watch->is_forcing && count && random % FORCED_OF == 0)
		forced = (random >> 8) % count;
	for (uint32_t i = 0; !err && i < count; i++) {
		uint32_t force = XDNAT_END_EXPIRED;

		if (rule_is_kept(slots[i].rule))
			continue;
		if (i == forced)
			force = random >> 40 & 1 ? XDNAT_END_ANY : XDNAT_END_WHOLLY;
		err = world_end(watch->world, table->is_v6, &slots[i].key, force);
		watch->requests++;
	}
	return err;
}

static int pass(struct watch *watch, const struct table *table, struct slot *slots)
{
	uint32_t count = 0;

	for (uint32_t place = 0; place < table_slots(table); place++)
		count += table_read(table, place, &slots[count]);
	count_misplaced(watch, table, slots, count);
	count_duplicates(watch, table, slots, count);
	count_quotas(watch, table);
	watch->passes++;
	return end_some(watch, table, slots, count);
}

static void *watch_run(void *argument)
{
	struct watch *watch = argument;
	const struct table *tables = watch->world->tables;
	struct slot *slots = calloc(table_slots(&tables[0]) + 1, sizeof(*slots));
	double moves = seconds_now() + MOVE_SECONDS;

	if (!slots)
		watch->err = -ENOMEM;
	while (!watch->err && !__atomic_load_n(&watch->is_over, __ATOMIC_ACQUIRE)) {
		for (int i = 0; !watch->err && i < WORLD_FAMILIES; i++)
			watch->err = pass(watch, &tables[i], slots);
		if (!watch->err && seconds_now() >= moves) {
			watch->err = world_move_neighbours();
			moves = seconds_now() + MOVE_SECONDS;
		}
	}
	free(slots);
	return NULL;
}

int watch_start(struct watch *watch)
{
	return -pthread_create(&watch->thread, NULL, watch_run, watch);
}

int watch_stop(struct watch *watch)
{
	__atomic_store_n(&watch->is_over, true, __ATOMIC_RELEASE);
	pthread_join(watch->thread, NULL);
	return watch->err;
}
