/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which sources a rule admits: two longest-prefix lookups at most, whatever the
 * number of prefixes, and only when a flow is made. Knows no packets.
 */
#ifndef XDNAT_SOURCE_BPF_H
#define XDNAT_SOURCE_BPF_H

#include "maps.bpf.h"
#include "packet.bpf.h"

/* The number of the rule's lists; 0: none. While a set is replaced, a rule may have
 * been found in the one and be named in the other only: both are there then. */
static __always_inline __u32 source_lists(struct xdnat_prefix *key, __u32 rule)
{
	const struct xdnat_config *config = config_get();
	const __u32 *lists;

	if (!config)
		return 0;
	key->prefix_bits = XDNAT_PREFIX_BITS;
	key->id = rule;
	key->list = XDNAT_LISTS;
	key->set = config->active_set;
	lists = bpf_map_lookup_elem(&xdnat_prefixes, key);
	if (!lists) {
		key->set ^= 1;
		lists = bpf_map_lookup_elem(&xdnat_prefixes, key);
	}
	return lists ? *lists : 0;
}

/* Whether a prefix of the list holds key's address. */
static __always_inline bool source_is_in(struct xdnat_prefix *key, __u8 list)
{
	key->list = list;
	return bpf_map_lookup_elem(&xdnat_prefixes, key);
}

/* What cannot be asked is not admitted. */
static __noinline bool source_is_listed_right(const struct tuple *tuple, __u32 rule, __u32 flags)
{
	struct xdnat_prefix key = {};
	__u32 lists = source_lists(&key, rule);

	if (!lists)
		return false;
	key.prefix_bits = XDNAT_PREFIX_BITS + XDNAT_ADDR_BITS;
	key.id = lists;
	key.set = 0;
	key.addr = tuple->src;
	if ((flags & XDNAT_RULE_ALLOWS) && !source_is_in(&key, XDNAT_ALLOWED))
		return false;
	return !(flags & XDNAT_RULE_DENIES) || !source_is_in(&key, XDNAT_DENIED);
}

/* To a source that it does not admit, a rule is as if it were not there. */
static __always_inline bool source_is_admitted(const struct tuple *tuple,
					       const struct xdnat_rule *rule)
{
	__u32 flags = rule->flags;

	return !(flags & (XDNAT_RULE_ALLOWS | XDNAT_RULE_DENIES)) ||
	       source_is_listed_right(tuple, rule->id, flags);
}

#endif
