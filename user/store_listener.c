// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's listeners and ranges: the set in force, and the other one, in which many
 * changes are prepared.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "store_maps.h"

_Static_assert(sizeof(struct store_listener) == sizeof(struct xdnat_listener) + sizeof(uint32_t),
	       "entries are store_listeners");
_Static_assert(sizeof(struct store_range) == sizeof(struct xdnat_range) + sizeof(uint32_t),
	       "entries are store_ranges");

/* A map of which each key is of one set or the other. */
struct halved {
	int map;
	struct store_entry_sizes sizes;
	size_t set_offset;
};

static const struct halved listeners_map = {
	.map = STORE_LISTENERS,
	.sizes = {sizeof(struct xdnat_listener), sizeof(uint32_t)},
	.set_offset = offsetof(struct xdnat_listener, set),
};
static const struct halved ranges_map = {
	.map = STORE_RANGES,
	.sizes = {sizeof(struct xdnat_range), sizeof(uint32_t)},
	.set_offset = offsetof(struct xdnat_range, set),
};

/* Both sets. */
static int read_all(const struct store *store, const struct halved *halved,
		    struct store_array *array)
{
	*array = (struct store_array){.sizes = halved->sizes};
	return store_map_read(store->maps[halved->map], array);
}

/* Keeps those of one set, under keys of set 0. */
static size_t keep_set(const struct halved *halved, const struct store_array *array, uint8_t set)
{
	size_t entry_bytes = store_entry_bytes(&halved->sizes), kept = 0;

	for (size_t i = 0; i < array->count; i++) {
		char *entry = array->entries + i * entry_bytes;

		if ((uint8_t)entry[halved->set_offset] != set)
			continue;
		entry[halved->set_offset] = 0;
		memmove(array->entries + kept++ * entry_bytes, entry, entry_bytes);
	}
	return kept;
}

static int read_active(const struct store *store, const struct halved *halved, void **entries,
		       size_t *count)
{
	struct store_array array = {};
	struct xdnat_config config;
	int err, tries = 0;

	do {
		free(array.entries);
		array.entries = NULL;
		err = store_config(store, &config);
		if (!err)
			err = read_all(store, halved, &array);
		/* A trie's entries that go while they are read interrupt it: they were
		 * replaced, and that came with a generation. */
		if (err == -EINTR)
			err = store_read_again(store, config.generation - 1, ++tries);
		else if (!err)
			err = store_read_again(store, config.generation, ++tries);
	} while (err > 0);
	*entries = array.entries;
	*count = err ? 0 : keep_set(halved, &array, config.active_set);
	return err;
}

int store_listeners(const struct store *store, struct store_listener **listeners, size_t *count)
{
	return read_active(store, &listeners_map, (void **)listeners, count);
}

int store_ranges(const struct store *store, struct store_range **ranges, size_t *count)
{
	return read_active(store, &ranges_map, (void **)ranges, count);
}

static int prepare(struct store *store, const struct halved *halved, const void *entries,
		   size_t count)
{
	size_t key_bytes = halved->sizes.key_bytes, value_bytes = halved->sizes.value_bytes;
	char *keys = calloc(count + 1, key_bytes), *values = calloc(count + 1, value_bytes);
	struct xdnat_config config;
	int err = keys && values ? store_config(store, &config) : fail(-ENOMEM, "no memory");

	for (size_t i = 0; !err && i < count; i++) {
		const char *entry = (const char *)entries + i * store_entry_bytes(&halved->sizes);

		memcpy(keys + i * key_bytes, entry, key_bytes);
		keys[i * key_bytes + halved->set_offset] = !config.active_set;
		memcpy(values + i * value_bytes, entry + key_bytes, value_bytes);
	}
	if (!err)
		err = store_map_write(store->maps[halved->map], keys, values, count);
	free(keys);
	free(values);
	return err;
}

int store_listeners_prepare(struct store *store, const struct store_listener *listeners,
			    size_t count)
{
	return prepare(store, &listeners_map, listeners, count);
}

/* The bit is that of a set which nobody looks at before the swap. */
int store_ranges_prepare(struct store *store, const struct store_range *ranges, size_t count)
{
	struct xdnat_config config;
	uint32_t bit;
	int err = prepare(store, &ranges_map, ranges, count);

	if (!err)
		err = store_config(store, &config);
	if (err)
		return err;
	bit = 1u << !config.active_set;
	config.has_ranges = count ? config.has_ranges | bit : config.has_ranges & ~bit;
	return store_config_write(store, &config);
}

static int list_stale(const struct store *store, const struct xdnat_config *config,
		      const struct halved *halved, struct store_stale *stale)
{
	size_t entry_bytes = store_entry_bytes(&halved->sizes);
	struct store_array all;
	int err = read_all(store, halved, &all);

	for (size_t i = 0; !err && i < all.count; i++) {
		const char *entry = all.entries + i * entry_bytes;

		if ((uint8_t)entry[halved->set_offset] != config->active_set)
			err = store_stale_add(stale, entry);
	}
	free(all.entries);
	return err;
}

int store_listeners_stale(const struct store *store, const struct xdnat_config *config,
			  struct store_stale *stale)
{
	return list_stale(store, config, &listeners_map, stale);
}

int store_ranges_stale(const struct store *store, const struct xdnat_config *config,
		       struct store_stale *stale)
{
	return list_stale(store, config, &ranges_map, stale);
}
