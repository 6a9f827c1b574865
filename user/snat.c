// SPDX-License-Identifier: GPL-2.0-only
#include "snat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "netlink.h"
#include "snat_port.h"

bool snat_is_needed(const struct spec *spec)
{
	return spec->enabled && (spec->is_masqueraded || spec->has_hairpin);
}

int snat_choose(const struct spec *spec, struct xdnat_addr *addr)
{
	static const struct xdnat_addr none;

	if (!addr_equal(&spec->snat, &none)) {
		*addr = spec->snat;
		return 0;
	}
	return netlink_route_source(&spec->target, addr);
}

static int compare_ids(const void *id, const void *snat)
{
	uint32_t l = *(const uint32_t *)id, r = ((const struct store_snat *)snat)->rule;

	return (l > r) - (l < r);
}

/* What the store has, sorted by rule. */
struct present {
	struct store_snat *items;
	size_t count;
};

/* chosen: what snat_choose() said, with its address. */
static int sync_rule(struct store *store, uint32_t rule, int chosen, const struct xdnat_addr *addr,
		     const struct present *present)
{
	const struct store_snat *before = present->count
						  ? bsearch(&rule, present->items, present->count,
							    sizeof(*present->items), compare_ids)
						  : NULL;
	const struct store_snat after = {.rule = rule, .snat.addr = *addr};

	if (chosen == -EHOSTUNREACH)
		return before ? store_snat_remove(store, rule) : 0;
	if (chosen || (before && addr_equal(&before->snat.addr, addr)))
		return chosen;
	return store_snat_put(store, &after);
}

/* By what their address depends on. */
static int compare_choices(const void *left, const void *right)
{
	const struct spec *l = &(*(const struct store_rule *const *)left)->spec;
	const struct spec *r = &(*(const struct store_rule *const *)right)->spec;

	return memcmp(&l->target, &r->target, sizeof(l->target))
		       ?: memcmp(&l->snat, &r->snat, sizeof(l->snat));
}

/* The kernel is asked once for each target, however many rules have it. */
static int sync_rules(struct store *store, const struct store_rule *rules, size_t count,
		      const struct present *present)
{
	const struct store_rule **needing = calloc(count ?: 1, sizeof(*needing));
	int err = needing ? 0 : fail(-ENOMEM, "no memory for the rules"), chosen = 0;
	struct xdnat_addr addr = {};
	size_t listed = 0;

	for (size_t i = 0; !err && i < count; i++)
		if (snat_is_needed(&rules[i].spec))
			needing[listed++] = &rules[i];
	if (listed)
		qsort(needing, listed, sizeof(*needing), compare_choices);
	for (size_t i = 0; !err && i < listed; i++) {
		if (!i || compare_choices(&needing[i - 1], &needing[i]))
			chosen = snat_choose(&needing[i]->spec, &addr);
		err = sync_rule(store, needing[i]->id, chosen, &addr, present);
	}
	free(needing);
	return err;
}

int snat_sync(struct store *store, const struct store_rule *rules, size_t count)
{
	struct present present = {};
	int err = store_snats(store, &present.items, &present.count);

	if (!err)
		err = sync_rules(store, rules, count, &present);
	free(present.items);
	return err ? err : snat_port_sync(store, rules, count);
}

int snat_follow(struct store *store)
{
	struct store_rule *rules = NULL;
	size_t count;
	int err = store_rules(store, &rules, &count);

	if (!err)
		err = snat_sync(store, rules, count);
	free(rules);
	return err;
}
