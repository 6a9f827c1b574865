// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's listeners: the set in force, and the other one, in which many
 * changes are prepared.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "fail.h"
#include "store_maps.h"

_Static_assert(sizeof(struct store_listener) == sizeof(struct xdnat_listener) + sizeof(uint32_t),
	       "entries are store_listeners");

/* Both sets. */
static int read_all(const struct store *store, struct store_listener **listeners, size_t *count)
{
	struct store_array array = {
		.sizes = {sizeof(struct xdnat_listener), sizeof(uint32_t)},
	};
	int err = store_map_read(store->maps[STORE_LISTENERS], &array);

	*listeners = (void *)array.entries;
	*count = array.count;
	return err;
}

/* Keeps those of one set, under keys of set 0. */
static size_t keep_set(struct store_listener *listeners, size_t count, uint8_t set)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (listeners[i].key.set != set)
			continue;
		listeners[kept] = listeners[i];
		listeners[kept++].key.set = 0;
	}
	return kept;
}

int store_listeners(const struct store *store, struct store_listener **listeners, size_t *count)
{
	struct xdnat_config config;
	int err, tries = 0;

	*listeners = NULL;
	*count = 0;
	do {
		free(*listeners);
		*listeners = NULL;
		err = store_config(store, &config);
		if (!err)
			err = read_all(store, listeners, count);
		if (!err)
			err = store_read_again(store, config.generation, ++tries);
	} while (err > 0);
	if (!err)
		*count = keep_set(*listeners, *count, config.active_set);
	return err;
}

int store_listeners_prepare(struct store *store, const struct store_listener *listeners,
			    size_t count)
{
	struct xdnat_listener *keys = calloc(count + 1, sizeof(*keys));
	uint32_t *values = calloc(count + 1, sizeof(*values));
	struct xdnat_config config;
	int err = keys && values ? store_config(store, &config) : fail(-ENOMEM, "no memory");

	for (size_t i = 0; !err && i < count; i++) {
		keys[i] = listeners[i].key;
		keys[i].set = !config.active_set;
		values[i] = listeners[i].rule;
	}
	if (!err)
		err = store_map_write(store->maps[STORE_LISTENERS], keys, values, count);
	free(keys);
	free(values);
	return err;
}

int store_listeners_stale(const struct store *store, const struct xdnat_config *config,
			  struct store_stale *stale)
{
	struct store_listener *all = NULL;
	size_t count = 0;
	int err = read_all(store, &all, &count);

	for (size_t i = 0; !err && i < count; i++)
		if (all[i].key.set != config->active_set)
			err = store_stale_add(stale, &all[i].key);
	free(all);
	return err;
}
