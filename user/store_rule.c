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

struct rule_reading {
	const struct store *store;
	struct store_rule *rules;
	size_t count, capacity;
};

static int grow(struct rule_reading *reading)
{
	size_t capacity = reading->capacity ? 2 * reading->capacity : 16;
	struct store_rule *rules;

	if (reading->count < reading->capacity)
		return 0;
	rules = realloc(reading->rules, capacity * sizeof(*rules));
	if (!rules)
		return fail(-ENOMEM, "no memory");
	reading->rules = rules;
	reading->capacity = capacity;
	return 0;
}

static int read_rule(const void *key, const void *value, void *context)
{
	struct rule_reading *reading = context;
	const struct xdnat_spec *spec = value;
	struct store_rule *rule;
	int err = grow(reading);

	if (err)
		return err;
	rule = &reading->rules[reading->count];
	memcpy(&rule->id, key, sizeof(rule->id));
	if (bpf_map_lookup_elem(reading->store->maps[STORE_RULES], &rule->id, &rule->rule))
		return 0; /* being removed */
	err = spec_parse_line(spec->text, &rule->spec);
	if (err)
		return fail_while(err, "rule %u in the map", rule->id);
	reading->count++;
	return 0;
}

static int compare_rules(const void *left, const void *right)
{
	const struct store_rule *l = left, *r = right;

	return spec_compare(&l->spec, &r->spec);
}

int store_rules(const struct store *store, struct store_rule **rules, size_t *count)
{
	struct store_entry_sizes sizes = {sizeof(uint32_t), sizeof(struct xdnat_spec)};
	struct rule_reading reading = {.store = store};
	int err = store_map_each(store->maps[STORE_SPECS], sizes, read_rule, &reading);

	*rules = NULL;
	*count = 0;
	if (err) {
		free(reading.rules);
		return err;
	}
	if (reading.count)
		qsort(reading.rules, reading.count, sizeof(*reading.rules), compare_rules);
	*rules = reading.rules;
	*count = reading.count;
	return 0;
}

int store_rule_add(struct store *store, const struct spec *spec, uint32_t *id)
{
	struct xdnat_rule rule = {
		.target = spec->target,
		.target_port = htons(spec->target_port_host),
		.is_v6 = !addr_is_v4(&spec->target),
	};
	struct xdnat_config config;
	struct xdnat_spec text = {};
	int err;

	err = store_config(store, &config);
	if (err)
		return err;
	*id = config.next_rule_id++;
	err = store_config_write(store, &config);
	if (err)
		return err;
	spec_format(spec, text.text);
	err = bpf_map_update_elem(store->maps[STORE_RULES], id, &rule, BPF_NOEXIST);
	if (!err)
		err = bpf_map_update_elem(store->maps[STORE_SPECS], id, &text, BPF_NOEXIST);
	if (!err)
		return 0;
	bpf_map_delete_elem(store->maps[STORE_RULES], id);
	if (err == -E2BIG)
		return fail(-ENOSPC, "there are %u rules already, the most there can be",
			    XDNAT_RULES_MAX);
	return fail(err, "cannot write the rule: %s", strerror(-err));
}

int store_rule_remove(struct store *store, uint32_t id)
{
	int err = bpf_map_delete_elem(store->maps[STORE_SPECS], &id);

	bpf_map_delete_elem(store->maps[STORE_RULES], &id);
	return err ? fail(err, "cannot remove the rule: %s", strerror(-err)) : 0;
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
	return err ? fail(err, "cannot write a listener: %s", strerror(-err)) : 0;
}

int store_listener_remove(struct store *store, const struct xdnat_listener *key)
{
	struct xdnat_listener active = in_active_set(store, key);
	int err = bpf_map_delete_elem(store->maps[STORE_LISTENERS], &active);

	return err && err != -ENOENT ? fail(err, "cannot remove a listener: %s", strerror(-err)) : 0;
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

	return err ? fail(err, "cannot write interface %s: %s", interface->interface.name,
			  strerror(-err)) :
		     0;
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
	size_t entry = array.sizes.key_bytes + array.sizes.value_bytes;

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
