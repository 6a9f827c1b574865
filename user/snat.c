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

/* present: sorted by rule. */
static int sync_rule(struct store *store, const struct store_rule *rule,
		     const struct store_snat *present, size_t count)
{
	const struct store_snat *before =
		count ? bsearch(&rule->id, present, count, sizeof(*present), compare_ids) : NULL;
	struct store_snat after = {.rule = rule->id};
	int err = snat_choose(&rule->spec, &after.snat.addr);

	if (err == -EHOSTUNREACH)
		return before ? store_snat_remove(store, rule->id) : 0;
	if (err || (before && addr_equal(&before->snat.addr, &after.snat.addr)))
		return err;
	return store_snat_put(store, &after);
}

int snat_sync(struct store *store, const struct store_rule *rules, size_t count)
{
	struct store_snat *present = NULL;
	size_t present_count = 0;
	int err = store_snats(store, &present, &present_count);

	for (size_t i = 0; !err && i < count; i++)
		if (snat_is_needed(&rules[i].spec))
			err = sync_rule(store, &rules[i], present, present_count);
	free(present);
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
