// SPDX-License-Identifier: GPL-2.0-only
#include "problem_listener.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"

/* What must have an address for the rule to listen. */
static const char *wanted_interface(const struct listener_world *world, const struct spec *spec)
{
	size_t i;

	if (spec->bind == SPEC_BIND_INTERFACE)
		return "its interface does not have";
	for (i = 0; spec->bind == SPEC_BIND_DEFAULT && i < world->default_count; i++)
		if (spec_families(spec) & (world->defaults[i].is_v6 ? SPEC_V6 : SPEC_V4) &&
		    listener_is_loaded(world, world->defaults[i].ifindex))
			return "no loaded interface with the default route has";
	return "no loaded interface has";
}

static bool is_listener_taken(const struct problem_view *view, const struct store_listener *wanted)
{
	size_t i;

	for (i = 0; i < view->set.listener_count; i++)
		if (memcmp(&view->set.listeners[i].key, &wanted->key, sizeof(wanted->key)) == 0)
			return true;
	return false;
}

/* True if another rule has that port of that address. */
static bool is_port_taken(const struct problem_view *view, const struct xdnat_range *wanted)
{
	const struct xdnat_range *key;
	uint32_t differ;
	size_t i;

	for (i = 0; i < view->set.range_count; i++) {
		key = &view->set.ranges[i].key;
		differ = ntohs(key->port) ^ ntohs(wanted->port);
		if (view->set.ranges[i].rule && key->proto == wanted->proto &&
		    addr_equal(&key->addr, &wanted->addr) &&
		    !(differ >> (XDNAT_RANGE_BITS + 16 - key->prefix_bits)))
			return true;
	}
	return false;
}

/* True if other rules have what this one would like: each listener, or of ranges where
 * each prefix begins. */
static bool are_taken(const struct problem_view *view, const struct listener_set *wanted)
{
	size_t i;

	for (i = 0; i < wanted->listener_count; i++)
		if (!is_listener_taken(view, &wanted->listeners[i]) &&
		    !is_port_taken(view, &(struct xdnat_range){
						 .proto = wanted->listeners[i].key.proto,
						 .addr = wanted->listeners[i].key.addr,
						 .port = wanted->listeners[i].key.port,
					 }))
			return false;
	for (i = 0; i < wanted->range_count; i++)
		if (wanted->ranges[i].rule && !is_port_taken(view, &wanted->ranges[i].key))
			return false;
	return true;
}

static const char *family_name(const struct spec *spec)
{
	static const char *const names[] = {
		[SPEC_V4] = "IPv4", [SPEC_V6] = "IPv6", [SPEC_V4 | SPEC_V6] = "IPv4 or IPv6"};

	return names[spec_families(spec)];
}

const char *problem_listener(const struct problem_view *view, const struct store_rule *rule,
			     char *line)
{
	const char *name = rule->spec.name, *word = NULL;
	struct listener_world world = {};
	struct listener_set wanted = {};

	if (listener_world_read(view->store, rule, 1, &world) ||
	    listener_expand(rule, 1, &world, &wanted))
		goto out;
	word = "no_address";
	if (!wanted.listener_count && !wanted.range_count) {
		snprintf(line, PROBLEM_LINE_BYTES,
			 "rule %s listens nowhere at present: %s an %s address (link-local ones do "
			 "not count); it follows once there is one",
			 name, wanted_interface(&world, &rule->spec), family_name(&rule->spec));
	} else if (are_taken(view, &wanted)) {
		snprintf(line, PROBLEM_LINE_BYTES,
			 "rule %s listens nowhere at present: rules bound more closely have its "
			 "addresses and ports",
			 name);
	} else {
		word = "no_listener";
		snprintf(line, PROBLEM_LINE_BYTES,
			 "rule %s is not in force: a command was interrupted, or addresses have "
			 "just changed; type: xdnat load",
			 name);
	}
out:
	listener_set_release(&wanted);
	listener_world_release(&world);
	return word;
}
