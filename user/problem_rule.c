// SPDX-License-Identifier: GPL-2.0-only
/*
 * Judging a rule: where its clients come in, where its target is and by what way back
 * answers come.
 */
#include "problem.h"

#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "netlink.h"
#include "problem_listener.h"
#include "snat.h"
#include "snat_port.h"

static bool is_sysctl_off(const char *path)
{
	FILE *file = fopen(path, "re");
	int value;

	if (!file)
		return false;
	value = fgetc(file);
	fclose(file);
	return value == '0';
}

static void judge_forwarding(bool is_v6, json_t *problems)
{
	if (!is_v6 && is_sysctl_off("/proc/sys/net/ipv4/ip_forward"))
		problem_add(problems, "forwarding_off",
			    "IPv4 forwarding is off, nothing is forwarded; type: "
			    "sysctl -w net.ipv4.ip_forward=1");
	if (is_v6 && is_sysctl_off("/proc/sys/net/ipv6/conf/all/forwarding"))
		problem_add(problems, "forwarding_off",
			    "IPv6 forwarding is off, nothing is forwarded; type: "
			    "sysctl -w net.ipv6.conf.all.forwarding=1");
}

static const char *interface_name(uint32_t ifindex, char *name)
{
	if (!if_indextoname(ifindex, name))
		snprintf(name, IF_NAMESIZE, "#%" PRIu32, ifindex);
	return name;
}

/* Loaded, or only a target's side. */
static bool has_row(const struct problem_view *view, uint32_t ifindex, bool is_side_enough)
{
	const struct store_interface *row;
	size_t i;

	for (i = 0; i < view->interface_count; i++) {
		row = &view->interfaces[i];
		if (row->ifindex == ifindex &&
		    (is_side_enough || !(row->interface.flags & XDNAT_TARGET_SIDE)))
			return true;
	}
	return false;
}

static bool is_loaded(const struct problem_view *view, uint32_t ifindex)
{
	return has_row(view, ifindex, false);
}

static void judge_neighbour(const struct netlink_hop *hop, const char *interface, json_t *problems)
{
	enum netlink_neighbour_state state = NETLINK_NEIGHBOUR_VALID;
	char next[ADDR_TEXT_BYTES];

	if (netlink_neighbour_state(hop, &state) || state != NETLINK_NEIGHBOUR_NONE)
		return;
	problem_add(problems, "no_neighbour",
		    "%s does not answer (%s) on %s; packets to it are lost until it does "
		    "(no_neighbour)",
		    addr_format(&hop->next, false, next), addr_is_v4(&hop->next) ? "ARP" : "ND",
		    interface);
}

static bool has_listener(const struct problem_view *view, uint32_t rule)
{
	size_t i;

	for (i = 0; i < view->set.listener_count; i++)
		if (view->set.listeners[i].rule == rule)
			return true;
	for (i = 0; i < view->set.range_count; i++)
		if (view->set.ranges[i].rule == rule)
			return true;
	return false;
}

static bool is_ours(const struct problem_view *view, const struct xdnat_addr *addr)
{
	size_t i;

	for (i = 0; i < view->address_count; i++)
		if (addr_equal(&view->addresses[i].addr, addr))
			return true;
	return false;
}

/* The interface that BIND names or that has its address; 0: none or many. */
static uint32_t bound_interface(const struct problem_view *view, const struct spec *spec)
{
	size_t i;

	if (spec->bind == SPEC_BIND_INTERFACE)
		return if_nametoindex(spec->bind_interface);
	for (i = 0; spec->bind == SPEC_BIND_ADDRESS && i < view->address_count; i++)
		if (addr_equal(&view->addresses[i].addr, &spec->bind_addr))
			return view->addresses[i].ifindex;
	return 0;
}

static void judge_bind(const struct problem_view *view, const struct spec *spec, json_t *problems)
{
	uint32_t ifindex = bound_interface(view, spec);
	char name[IF_NAMESIZE], text[ADDR_TEXT_BYTES];

	if (spec->bind == SPEC_BIND_ADDRESS && !is_ours(view, &spec->bind_addr))
		problem_add(problems, "foreign_address",
			    "%s is no address of this host: packets to it come only if they are "
			    "routed here",
			    addr_format(&spec->bind_addr, false, text));
	if (!ifindex || is_loaded(view, ifindex))
		return;
	if (strcmp(interface_name(ifindex, name), "lo") == 0)
		problem_add(
			problems, "not_loaded",
			"rule %s is for packets that arrive on lo, where xdnat cannot be loaded",
			spec->name);
	else
		problem_add(problems, "not_loaded",
			    "rule %s is for clients of %s, where xdnat is not loaded; type: xdnat "
			    "load %s",
			    spec->name, name, name);
}

/* Whether clients of the rule come in by the interface, as far as that can be said. */
static bool comes_in_by(const struct problem_view *view, const struct spec *spec, uint32_t ifindex)
{
	bool is_v6 = !addr_is_v4(&spec->target);
	size_t i;

	if (!is_loaded(view, ifindex))
		return false;
	if (spec->bind == SPEC_BIND_ADDRESS || spec->bind == SPEC_BIND_INTERFACE)
		return bound_interface(view, spec) == ifindex;
	for (i = 0; i < view->default_count; i++)
		if (view->defaults[i].is_v6 == is_v6 && view->defaults[i].ifindex == ifindex)
			return true;
	return false;
}

/* Who sends packets of full size is told by the MTU of its own link: a smaller one on the
 * other side is nobody's to know. */
static void judge_sizes(const struct problem_view *view, const struct spec *spec,
			uint32_t target_side, json_t *problems)
{
	const struct netlink_link *other,
		*side = netlink_link_at(target_side, view->links, view->link_count);
	size_t i;

	for (i = 0; side && i < view->link_count; i++) {
		other = &view->links[i];
		if (other->mtu == side->mtu || !comes_in_by(view, spec, other->ifindex))
			continue;
		problem_add(problems, "mtu",
			    "%s has MTU %" PRIu32 ", %s %" PRIu32 ": larger packets are dropped "
			    "(too_big); give TCP rules mss=auto",
			    other->name, other->mtu, side->name, side->mtu);
	}
}

static void judge_target(const struct problem_view *view, const struct spec *spec, json_t *problems)
{
	const struct xdnat_addr *target = &spec->target;
	char interface[IF_NAMESIZE];
	char text[ADDR_TEXT_BYTES];
	struct netlink_hop hop = {};

	addr_format(target, false, text);
	if (netlink_route(target, &hop)) {
		problem_add(problems, "no_route", "%s; packets to it are dropped (no_route)",
			    fail_text());
		return;
	}
	interface_name(hop.ifindex, interface);
	if (!has_row(view, hop.ifindex, true))
		problem_add(problems, "not_loaded",
			    "replies of %s come in by %s, where xdnat is not loaded; type: xdnat "
			    "load %s",
			    text, interface, interface);
	judge_neighbour(&hop, interface, problems);
	if (comes_in_by(view, spec, hop.ifindex) && !snat_is_needed(spec))
		problem_add(problems, "way_back",
			    "%s is reached by %s, by which clients come in, so its answers will "
			    "most likely not come back through this host: check the address, or "
			    "add mode=masquerade",
			    text, interface);
	if (spec->protos & SPEC_TCP && !spec->mss_host)
		judge_sizes(view, spec, hop.ifindex, problems);
}

/* What the target is to see as the source, and from which port. */
static void judge_source(const struct problem_view *view, const struct spec *spec, json_t *problems)
{
	char text[ADDR_TEXT_BYTES], none[SNAT_PORT_NONE_BYTES];
	struct xdnat_addr addr;

	if (!snat_is_needed(spec))
		return;
	if (snat_choose(spec, &addr))
		problem_add(
			problems, "no_source",
			"rule %s has no address to masquerade with: %s; give it one: snat=ADDRESS",
			spec->name, fail_text());
	else if (!is_ours(view, &addr))
		problem_add(problems, "foreign_source",
			    "rule %s masquerades with %s, which no interface here has: answers to "
			    "it do not come back; give the rule another: snat=ADDRESS",
			    spec->name, addr_format(&addr, false, text));
	if (snat_port_none(view->store, none))
		problem_add(problems, "no_port",
			    "there is no port to masquerade from: %s; type: xdnat load "
			    "--snat-ports A-B",
			    none);
}

void problem_of_rule(const struct problem_view *view, const struct store_rule *rule,
		     json_t *problems)
{
	char line[PROBLEM_LINE_BYTES];
	const char *word;

	if (!rule->spec.enabled)
		return;
	if (!rule->spec.is_local)
		judge_forwarding(!addr_is_v4(&rule->spec.target), problems);
	if (!has_listener(view, rule->id) && (word = problem_listener(view, rule, line)))
		problem_add(problems, word, "%s", line);
	judge_bind(view, &rule->spec, problems);
	if (!rule->spec.is_local)
		judge_target(view, &rule->spec, problems);
	judge_source(view, &rule->spec, problems);
}
