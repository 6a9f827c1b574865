// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's rules, listeners, interfaces and neighbours.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "store_maps.h"

static int compare_rules(const void *left, const void *right)
{
	const struct store_rule *l = left, *r = right;

	return spec_compare(&l->spec, &r->spec);
}

static int compare_ids(const void *left, const void *right)
{
	const uint32_t *l = left, *r = right;

	return (*l > *r) - (*l < *r);
}

/* Both maps, RULES by rising id. SPECS is read first, as RULES is written first and
 * removed last: who has a spec has the other row too, unless it is just going. */
struct rule_maps {
	struct store_array specs, rows;
	size_t row_bytes; /* of an entry: id and value */
	bool *has_spec;	  /* as rows */
};

static int read_maps(const struct store *store, struct rule_maps *maps)
{
	int err;

	*maps = (struct rule_maps){
		.specs.sizes = {sizeof(uint32_t), sizeof(struct xdnat_spec)},
		.rows.sizes = {sizeof(uint32_t), sizeof(struct xdnat_rule)},
	};
	maps->row_bytes = store_entry_bytes(&maps->rows.sizes);
	err = store_map_read(store->maps[STORE_SPECS], &maps->specs);
	if (!err)
		err = store_map_read(store->maps[STORE_RULES], &maps->rows);
	if (err)
		return err;
	maps->has_spec = calloc(maps->rows.count + 1, sizeof(*maps->has_spec));
	if (!maps->has_spec)
		return fail(-ENOMEM, "no memory for %zu rules", maps->rows.count);
	if (maps->rows.count)
		qsort(maps->rows.entries, maps->rows.count, maps->row_bytes, compare_ids);
	return 0;
}

static void free_maps(struct rule_maps *maps)
{
	free(maps->specs.entries);
	free(maps->rows.entries);
	free(maps->has_spec);
}

/* NULL if there is none, as there may be no items at all. */
static void *find_id(uint32_t id, const void *items, size_t count, size_t item_bytes)
{
	return count ? bsearch(&id, items, count, item_bytes, compare_ids) : NULL;
}

static int parse_spec(const struct store_known *known, const char *text, struct store_rule *rule)
{
	const struct store_rule *same =
		find_id(rule->id, known->rules, known->count, sizeof(*same));
	int err = 0;

	if (same)
		rule->spec = same->spec;
	else
		err = spec_parse_line(text, &rule->spec);
	return err ? fail_while(err, "rule %u in the map", rule->id) : 1;
}

/* Failing to is no loss. rules: as they were made, by whatever order. */
static void remember(struct store_known *known, const struct store_rule *rules, size_t count)
{
	struct store_rule *copy = malloc(count * sizeof(*copy) + 1);

	if (!copy)
		return;
	memcpy(copy, rules, count * sizeof(*copy));
	qsort(copy, count, sizeof(*copy), compare_ids);
	free(known->rules);
	*known = (struct store_known){.rules = copy, .count = count};
}

/* spec: an entry of SPECS. 1 if the rule is there as a whole. */
static int make_rule(const struct store_known *known, const char *spec, struct rule_maps *maps,
		     struct store_rule *rule)
{
	const char *row;

	memcpy(&rule->id, spec, sizeof(rule->id));
	row = find_id(rule->id, maps->rows.entries, maps->rows.count, maps->row_bytes);
	if (!row)
		return 0;
	maps->has_spec[(row - maps->rows.entries) / maps->row_bytes] = true;
	memcpy(&rule->rule, row + sizeof(rule->id), sizeof(rule->rule));
	return parse_spec(known, spec + sizeof(rule->id), rule);
}

/* In listener order; *rules is malloc'd. */
static int make_rules(struct store_known *known, struct rule_maps *maps, struct store_rule **rules,
		      size_t *count)
{
	size_t spec_bytes = store_entry_bytes(&maps->specs.sizes);
	struct store_rule *made = calloc(maps->specs.count + 1, sizeof(*made));
	int is_whole = 0;

	*count = 0;
	if (!made)
		return fail(-ENOMEM, "no memory for %zu rules", maps->specs.count);
	for (size_t i = 0; i < maps->specs.count && is_whole >= 0; i++) {
		is_whole =
			make_rule(known, maps->specs.entries + i * spec_bytes, maps, &made[*count]);
		*count += is_whole > 0;
	}
	if (is_whole < 0) {
		free(made);
		return is_whole;
	}
	remember(known, made, *count);
	qsort(made, *count, sizeof(*made), compare_rules);
	*rules = made;
	return 0;
}

int store_rules(const struct store *store, struct store_rule **rules, size_t *count)
{
	struct rule_maps maps;
	int err = read_maps(store, &maps);

	*rules = NULL;
	*count = 0;
	if (!err)
		err = make_rules(store->known, &maps, rules, count);
	free_maps(&maps);
	return err;
}

int store_rules_prune(struct store *store, struct store_rule **rules, size_t *count)
{
	struct rule_maps maps;
	int err = read_maps(store, &maps);

	*rules = NULL;
	*count = 0;
	if (!err)
		err = make_rules(store->known, &maps, rules, count);
	for (size_t i = 0; !err && i < maps.rows.count; i++)
		if (!maps.has_spec[i])
			bpf_map_delete_elem(store->maps[STORE_RULES],
					    maps.rows.entries + i * maps.row_bytes);
	free_maps(&maps);
	return err;
}

static int put_spec(struct store *store, uint32_t id, const struct spec *spec)
{
	struct xdnat_spec text = {};

	spec_format(spec, text.text);
	return bpf_map_update_elem(store->maps[STORE_SPECS], &id, &text, BPF_NOEXIST);
}

static int fail_write(int err)
{
	if (err == -E2BIG)
		return fail(-ENOSPC, "there are %u rules already, the most there can be",
			    XDNAT_RULES_MAX);
	return store_fail(err, "cannot write the rule");
}

int store_rule_add(struct store *store, const struct spec *spec, uint32_t *id)
{
	struct xdnat_rule rule = {
		.target = spec->target,
		.target_port = htons(spec->target_port_host),
	};
	struct xdnat_config config;
	int err;

	err = store_config(store, &config);
	if (err)
		return err;
	*id = config.next_rule_id++;
	err = store_config_write(store, &config);
	if (err)
		return err;
	rule.id = *id;
	err = bpf_map_update_elem(store->maps[STORE_RULES], id, &rule, BPF_NOEXIST);
	if (!err)
		err = put_spec(store, *id, spec);
	if (!err)
		return 0;
	bpf_map_delete_elem(store->maps[STORE_RULES], id);
	return fail_write(err);
}

int store_rule_hide(struct store *store, uint32_t id)
{
	int err = bpf_map_delete_elem(store->maps[STORE_SPECS], &id);

	return err ? store_fail(err, "cannot remove the rule") : 0;
}

int store_rule_show(struct store *store, const struct store_rule *rule)
{
	int err = put_spec(store, rule->id, &rule->spec);

	return err ? fail_write(err) : 0;
}

int store_rules_changed(struct store *store)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (err)
		return err;
	config.generation++;
	return store_config_write(store, &config);
}

int store_listeners(const struct store *store, struct store_listener **listeners, size_t *count)
{
	struct store_array array = {
		.sizes = {sizeof(struct xdnat_listener), sizeof(uint32_t)},
	};
	int err = store_map_read(store->maps[STORE_LISTENERS], &array);
	struct store_listener *listener = (void *)array.entries;

	_Static_assert(sizeof(*listener) == sizeof(struct xdnat_listener) + sizeof(uint32_t),
		       "entries are store_listeners");
	*listeners = listener;
	*count = 0;
	for (size_t i = 0; !err && i < array.count; i++) {
		if (listener[i].key.set != store->config.active_set)
			continue;
		listener[*count] = listener[i];
		listener[(*count)++].key.set = 0;
	}
	return err;
}

static struct xdnat_listener in_active_set(const struct store *store,
					   const struct xdnat_listener *key)
{
	struct xdnat_listener active = *key;

	active.set = store->config.active_set;
	return active;
}

int store_listener_put(struct store *store, const struct store_listener *listener)
{
	struct xdnat_listener key = in_active_set(store, &listener->key);
	int err = bpf_map_update_elem(store->maps[STORE_LISTENERS], &key, &listener->rule, BPF_ANY);

	if (err == -E2BIG)
		return fail(-ENOSPC, "no room for more listeners (%u)", XDNAT_LISTENERS_MAX);
	return err ? store_fail(err, "cannot write a listener") : 0;
}

int store_listener_remove(struct store *store, const struct xdnat_listener *key)
{
	struct xdnat_listener active = in_active_set(store, key);
	int err = bpf_map_delete_elem(store->maps[STORE_LISTENERS], &active);

	return err && err != -ENOENT ? store_fail(err, "cannot remove a listener") : 0;
}

static int compare_interfaces(const void *left, const void *right)
{
	const struct store_interface *l = left, *r = right;

	return (l->ifindex > r->ifindex) - (l->ifindex < r->ifindex);
}

int store_interfaces(const struct store *store, struct store_interface **interfaces, size_t *count)
{
	struct store_array array = {
		.sizes = {sizeof(uint32_t), sizeof(struct xdnat_interface)},
	};
	int err = store_map_read(store->maps[STORE_INTERFACES], &array);

	_Static_assert(sizeof(**interfaces) == sizeof(uint32_t) + sizeof(struct xdnat_interface),
		       "entries are store_interfaces");
	*interfaces = (void *)array.entries;
	*count = array.count;
	if (array.count)
		qsort(*interfaces, array.count, sizeof(**interfaces), compare_interfaces);
	return err;
}

int store_interface_put(struct store *store, const struct store_interface *interface)
{
	int err = bpf_map_update_elem(store->maps[STORE_INTERFACES], &interface->ifindex,
				      &interface->interface, BPF_ANY);

	return err ? store_fail(err, "cannot write interface %s", interface->interface.name) : 0;
}

int store_interface_remove(struct store *store, uint32_t ifindex)
{
	int err = bpf_map_delete_elem(store->maps[STORE_INTERFACES], &ifindex);

	return err && err != -ENOENT ? err : 0;
}

int store_neighbours(const struct store *store, struct xdnat_neighbour **neighbours, size_t *count)
{
	struct store_array array = {
		.sizes = {sizeof(struct xdnat_neighbour), sizeof(uint32_t)},
	};
	int err = store_map_read(store->maps[STORE_NEIGHBOURS], &array);
	size_t entry = store_entry_bytes(&array.sizes);

	*neighbours = (void *)array.entries;
	*count = array.count;
	for (size_t i = 1; !err && i < array.count; i++)
		memmove(&(*neighbours)[i], array.entries + i * entry, sizeof(**neighbours));
	return err;
}

int store_neighbour_put(struct store *store, const struct xdnat_neighbour *neighbour)
{
	uint32_t value = 0;

	return bpf_map_update_elem(store->maps[STORE_NEIGHBOURS], neighbour, &value, BPF_ANY);
}

int store_neighbour_remove(struct store *store, const struct xdnat_neighbour *neighbour)
{
	int err = bpf_map_delete_elem(store->maps[STORE_NEIGHBOURS], neighbour);

	return err == -ENOENT ? 0 : err;
}
