// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changing the store's rules: prepared where nobody sees it, committed by one write
 * of xdnat_config, what it replaced removed when no packet can look at it any more.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "store_maps.h"

/* Longer than any packet is under way in a program. */
#define GRACE_MS 100

static void spec_fill(struct xdnat_spec *value, const struct store_rule *rule)
{
	*value = (struct xdnat_spec){.rule = rule->id};
	spec_format(&rule->spec, value->text);
}

static void row_fill(struct xdnat_rule *value, const struct store_rule *rule)
{
	const struct spec *spec = &rule->spec;

	*value = (struct xdnat_rule){
		.target = spec->target,
		.id = rule->id,
		.flags = (spec->is_local ? XDNAT_RULE_LOCAL : 0) |
			 (spec->is_masqueraded ? XDNAT_RULE_MASQUERADE : 0) |
			 (spec->has_hairpin ? XDNAT_RULE_HAIRPIN : 0) |
			 (*spec->allow ? XDNAT_RULE_ALLOWS : 0) |
			 (*spec->deny ? XDNAT_RULE_DENIES : 0),
		.mss_host = spec->mss_host,
	};
	if (spec->target_ports.first_host == spec->target_ports.last_host)
		value->target_port = htons(spec->target_ports.first_host);
	else
		value->port_offset_host = spec->target_ports.first_host - spec->ports.first_host;
}

/* Numbers of what is new, taken for good: flows may outlive a change that failed. */
static int take_ids(struct store *store, struct store_rule *rules, size_t count,
		    struct xdnat_config config)
{
	if (config.next_id > UINT32_MAX - 2 * count)
		return fail(-ENOSPC,
			    "this instance has used up its rule numbers; type: xdnat unload "
			    "--all, and load it anew");
	for (size_t i = 0; i < count; i++) {
		rules[i].key = config.next_id++;
		if (!rules[i].id)
			rules[i].id = config.next_id++;
	}
	return store_config_write(store, &config);
}

/* Rows of rules that were there before stay as they are, with their totals. */
static int write_rows(struct store *store, const struct store_rule *rules, size_t count,
		      uint32_t first_id)
{
	struct xdnat_rule *values = calloc(count + 1, sizeof(*values));
	uint32_t *keys = calloc(count + 1, sizeof(*keys));
	size_t fresh = 0;
	int err = values && keys ? 0 : fail(-ENOMEM, "no memory for %zu rules", count);

	for (size_t i = 0; !err && i < count; i++) {
		if (rules[i].id < first_id)
			continue;
		keys[fresh] = rules[i].id;
		row_fill(&values[fresh++], &rules[i]);
	}
	if (!err)
		err = store_map_write(store->maps[STORE_RULES], keys, values, fresh);
	free(values);
	free(keys);
	return err;
}

static int write_specs(struct store *store, const struct store_rule *rules, size_t count,
		       uint32_t since, uint32_t until)
{
	struct xdnat_spec *values = calloc(count + 1, sizeof(*values));
	uint32_t *keys = calloc(count + 1, sizeof(*keys));
	int err = values && keys ? 0 : fail(-ENOMEM, "no memory for %zu rules", count);

	for (size_t i = 0; !err && i < count; i++) {
		keys[i] = rules[i].key;
		spec_fill(&values[i], &rules[i]);
		values[i].since = since;
		values[i].until = until;
	}
	if (!err)
		err = store_map_write(store->maps[STORE_SPECS], keys, values, count);
	free(values);
	free(keys);
	return err;
}

int store_change_add(struct store *store, struct store_rule *rules, size_t count)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (err || !count)
		return err;
	err = take_ids(store, rules, count, config);
	if (!err)
		err = write_rows(store, rules, count, config.next_id);
	return err ? err : write_specs(store, rules, count, config.generation + 1, 0);
}

int store_change_remove(struct store *store, const struct store_rule *rules, size_t count)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (err || !count)
		return err;
	return write_specs(store, rules, count, 0, config.generation + 1);
}

int store_change_commit(struct store *store, bool is_swap)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (err)
		return err;
	config.generation++;
	config.active_set ^= is_swap;
	return store_config_write(store, &config);
}

int store_stale_add(struct store_stale *stale, const void *key)
{
	if (stale->count == stale->room) {
		size_t room = stale->room ? 2 * stale->room : 64;
		void *keys = reallocarray(stale->keys, room, stale->key_bytes);

		if (!keys)
			return fail(-ENOMEM, "no memory");
		stale->keys = keys;
		stale->room = room;
	}
	memcpy((char *)stale->keys + stale->count++ * stale->key_bytes, key, stale->key_bytes);
	return 0;
}

/* What is to be removed, and marks of changes that were not committed. */
struct leftovers {
	struct store_stale listeners, ranges, prefixes, specs, rows;
	struct store_stale marked; /* specs with an end that has not come */
};

static int compare_words(const void *left, const void *right)
{
	const uint32_t *l = left, *r = right;

	return (*l > *r) - (*l < *r);
}

/* Sorts specs' entries into the ones that hold (their rules' ids into named, the
 * marked ones noted) and those that do not. */
static int sort_specs(const struct store_rule_maps *maps, uint32_t generation,
		      struct leftovers *leftovers, struct store_stale *named)
{
	size_t entry_bytes = store_entry_bytes(&maps->specs.sizes);
	int err = 0;

	for (size_t i = 0; !err && i < maps->specs.count; i++) {
		const char *entry = maps->specs.entries + i * entry_bytes;
		const struct xdnat_spec *spec = (const void *)(entry + sizeof(uint32_t));

		if (!store_spec_holds(spec, generation)) {
			err = store_stale_add(&leftovers->specs, entry);
			continue;
		}
		err = store_stale_add(named, &spec->rule);
		if (!err && spec->until)
			err = store_stale_add(&leftovers->marked, entry);
	}
	return err;
}

static int find_leftovers(const struct store *store, const struct xdnat_config *config,
			  struct leftovers *leftovers)
{
	struct store_stale named = {.key_bytes = sizeof(uint32_t)};
	struct store_rule_maps maps = {};
	int err = store_rule_maps_read(store, &maps);

	if (!err)
		err = sort_specs(&maps, config->generation, leftovers, &named);
	if (named.count)
		qsort(named.keys, named.count, named.key_bytes, compare_words);
	for (size_t i = 0; !err && i < maps.rows.count; i++) {
		const char *row = maps.rows.entries + i * store_entry_bytes(&maps.rows.sizes);

		if (!named.count ||
		    !bsearch(row, named.keys, named.count, named.key_bytes, compare_words))
			err = store_stale_add(&leftovers->rows, row);
	}
	if (!err)
		err = store_listeners_stale(store, config, &leftovers->listeners);
	if (!err)
		err = store_ranges_stale(store, config, &leftovers->ranges);
	if (!err)
		err = store_prefixes_stale(store, config, &maps.specs, &leftovers->prefixes);
	store_rule_maps_free(&maps);
	free(named.keys);
	return err;
}

/* Every packet that was under way when it was called has left the programs. */
static void wait_for_packets(void)
{
	const struct timespec pause = {.tv_nsec = GRACE_MS * 1000000L};

	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&pause, NULL); /* refused where processors run without a tick */
}

static int unmark(struct store *store, const struct store_stale *marked)
{
	const uint32_t *keys = marked->keys;
	struct xdnat_spec spec;
	int err = 0;

	for (size_t i = 0; !err && i < marked->count; i++) {
		err = bpf_map_lookup_elem(store->maps[STORE_SPECS], &keys[i], &spec);
		spec.until = 0;
		if (!err)
			err = bpf_map_update_elem(store->maps[STORE_SPECS], &keys[i], &spec,
						  BPF_EXIST);
	}
	return err ? fail_kernel(err, "cannot write a rule") : 0;
}

static int remove_leftovers(struct store *store, const struct leftovers *leftovers)
{
	int err = unmark(store, &leftovers->marked);

	if (leftovers->listeners.count || leftovers->ranges.count || leftovers->prefixes.count ||
	    leftovers->specs.count || leftovers->rows.count)
		wait_for_packets();
	if (!err)
		err = store_map_delete(store->maps[STORE_LISTENERS], &leftovers->listeners);
	/* By the specs' numbers they are found: they go before them. */
	if (!err)
		err = store_map_delete(store->maps[STORE_PREFIXES], &leftovers->prefixes);
	if (!err)
		err = store_map_delete(store->maps[STORE_RANGES], &leftovers->ranges);
	if (!err)
		err = store_map_delete(store->maps[STORE_SPECS], &leftovers->specs);
	if (!err)
		err = store_map_delete(store->maps[STORE_RULES], &leftovers->rows);
	if (!err)
		err = store_map_delete(store->maps[STORE_SNAT], &leftovers->rows);
	return err;
}

int store_change_settle(struct store *store)
{
	struct leftovers leftovers = {
		.listeners.key_bytes = sizeof(struct xdnat_listener),
		.ranges.key_bytes = sizeof(struct xdnat_range),
		.prefixes.key_bytes = sizeof(struct xdnat_prefix),
		.specs.key_bytes = sizeof(uint32_t),
		.rows.key_bytes = sizeof(uint32_t),
		.marked.key_bytes = sizeof(uint32_t),
	};
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (!err)
		err = find_leftovers(store, &config, &leftovers);
	if (!err)
		err = remove_leftovers(store, &leftovers);
	free(leftovers.listeners.keys);
	free(leftovers.ranges.keys);
	free(leftovers.prefixes.keys);
	free(leftovers.specs.keys);
	free(leftovers.rows.keys);
	free(leftovers.marked.keys);
	return err;
}
