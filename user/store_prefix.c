// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's source lists. They are numbered by their rule's key, which is another
 * whenever the rule says something else: so lists never change, and what a rule's
 * lists are is decided by the set in force, with its listeners, at one blow.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "store_maps.h"

/* Prefixes read in one system call. */
#define PREFIX_BATCH 1024

/* Stands before all prefixes of the lists in the trie's order, leaves first, zeros
 * before ones: from here on they are read. */
static struct xdnat_prefix first_key(uint32_t number)
{
	return (struct xdnat_prefix){
		.prefix_bits = XDNAT_PREFIX_BITS + XDNAT_ADDR_BITS,
		.id = number,
		.list = XDNAT_LISTS,
	};
}

static struct xdnat_prefix lists_key(uint32_t rule, uint8_t set)
{
	return (struct xdnat_prefix){
		.prefix_bits = XDNAT_PREFIX_BITS,
		.id = rule,
		.list = XDNAT_LISTS,
		.set = set,
	};
}

static size_t fill_keys(struct xdnat_prefix *keys, uint32_t number, uint8_t list,
			const struct source_list *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		keys[i] = (struct xdnat_prefix){
			.prefix_bits = XDNAT_PREFIX_BITS + sources->prefixes[i].bits,
			.id = number,
			.list = list,
			.addr = sources->prefixes[i].addr,
		};
	return sources->count;
}

int store_prefixes_add(struct store *store, uint32_t number, const struct store_sources *sources)
{
	size_t count = 1 + sources->allow.count + sources->deny.count;
	struct xdnat_prefix *keys = calloc(count, sizeof(*keys));
	uint32_t *values = calloc(count, sizeof(*values));
	int err = keys && values ? 0 : fail(-ENOMEM, "no memory for %zu prefixes", count);

	if (!err) {
		keys[0] = first_key(number);
		count = 1;
		count += fill_keys(keys + count, number, XDNAT_ALLOWED, &sources->allow);
		count += fill_keys(keys + count, number, XDNAT_DENIED, &sources->deny);
		err = store_map_write(store->maps[STORE_PREFIXES], keys, values, count);
	}
	free(keys);
	free(values);
	return err == -ENOSPC
		       ? fail(err,
			      "there is room for %u prefixes in all, lists counted that new ones "
			      "replace; without those, disable the rule first: xdnat rule disable "
			      "NAME",
			      XDNAT_PREFIXES_MAX)
		       : err;
}

static bool has_lists(const struct store_rule *rule)
{
	return rule->spec.enabled && spec_has_sources(&rule->spec);
}

int store_lists_differ(const struct store *store, const struct store_rule *rules, size_t count,
		       bool *differ)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	*differ = false;
	for (size_t i = 0; !err && !*differ && i < count; i++) {
		struct xdnat_prefix key = lists_key(rules[i].id, config.active_set);
		uint32_t number;

		if (has_lists(&rules[i]))
			*differ = bpf_map_lookup_elem(store->maps[STORE_PREFIXES], &key, &number) ||
				  number != rules[i].key;
	}
	return err;
}

int store_lists_prepare(struct store *store, const struct store_rule *rules, size_t count)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	for (size_t i = 0; !err && i < count; i++) {
		struct xdnat_prefix key = lists_key(rules[i].id, !config.active_set);

		if (has_lists(&rules[i]))
			err = store_map_write(store->maps[STORE_PREFIXES], &key, &rules[i].key, 1);
	}
	return err;
}

/* Notes the prefixes of the lists and, last, what they begin with. */
static int find_prefixes(int map, uint32_t number, struct store_stale *stale)
{
	struct xdnat_prefix first = first_key(number), at = first, *keys;
	uint32_t *values, read;
	bool is_over = bpf_map_lookup_elem(map, &first, &read);
	int err = 0;

	if (is_over) /* the rule had none, or was disabled */
		return 0;
	keys = calloc(PREFIX_BATCH, sizeof(*keys));
	values = calloc(PREFIX_BATCH, sizeof(*values));
	if (!keys || !values)
		err = fail(-ENOMEM, "no memory for %d prefixes", PREFIX_BATCH);
	while (!err && !is_over) {
		read = PREFIX_BATCH;
		err = bpf_map_lookup_batch(map, &at, &at, keys, values, &read, NULL);
		is_over = err == -ENOENT;
		if (err)
			err = is_over ? 0 : fail_kernel(err, "cannot read a map");
		for (uint32_t i = 0; !err && i < read; i++) {
			is_over |= keys[i].id != number;
			if (keys[i].id == number)
				err = store_stale_add(stale, &keys[i]);
		}
	}
	free(keys);
	free(values);
	return err ? err : store_stale_add(stale, &first);
}

/* Notes what is left of the lists of a spec that does not hold; the set in force may
 * name them still if its rule had no listener. */
static int find_lists(int map, const struct xdnat_spec *spec, uint32_t number, uint8_t set,
		      struct store_stale *stale)
{
	struct xdnat_prefix lists = lists_key(spec->rule, set);
	uint32_t named;
	int err = 0;

	if (!bpf_map_lookup_elem(map, &lists, &named) && named == number)
		err = store_stale_add(stale, &lists);
	return err ? err : find_prefixes(map, number, stale);
}

/* A spec's text; what only looks so, in a comment, costs two questions. */
static bool names_sources(const struct xdnat_spec *spec)
{
	return strstr(spec->text, " allow=") || strstr(spec->text, " deny=");
}

int store_prefixes_stale(const struct store *store, const struct xdnat_config *config,
			 const struct store_array *specs, struct store_stale *stale)
{
	size_t entry_bytes = store_entry_bytes(&specs->sizes);
	int err = 0;

	for (size_t i = 0; !err && i < specs->count; i++) {
		const char *entry = specs->entries + i * entry_bytes;
		const struct xdnat_spec *spec = (const void *)(entry + sizeof(uint32_t));
		struct xdnat_prefix lists = lists_key(spec->rule, !config->active_set);
		uint32_t number;

		if (!names_sources(spec))
			continue;
		memcpy(&number, entry, sizeof(number));
		err = store_stale_add(stale, &lists);
		if (!err && !store_spec_holds(spec, config->generation))
			err = find_lists(store->maps[STORE_PREFIXES], spec, number,
					 config->active_set, stale);
	}
	return err;
}
