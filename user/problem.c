// SPDX-License-Identifier: GPL-2.0-only
/*
 * Judging an instance and its rules: sysctls, routes, neighbours, interfaces,
 * drops. Says what is wrong and what to type; prints nothing.
 */
#include "problem.h"

#include <inttypes.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "attach.h"
#include "attach_own.h"
#include "confirm.h"
#include "fail.h"
#include "interface.h"
#include "netlink.h"
#include "problem_listener.h"
#include "reason.h"
#include "snat.h"

/* Each rule costs two netlink questions; the screen is for people anyway. */
#define RULES_JUDGED 256
/* A client's first tries: fewer may still be answered. */
#define SILENT_PACKETS 3

static void add(json_t *problems, const char *word, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add(json_t *problems, const char *word, const char *format, ...)
{
	char line[PROBLEM_LINE_BYTES];
	va_list arguments;
	json_t *other;
	size_t i;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	json_array_foreach(problems, i,
			   other) if (strcmp(json_string_value(json_object_get(other, "text")),
					     line) == 0) return;
	json_array_append_new(problems, json_pack("{s:s, s:s}", "problem", word, "text", line));
}

int problem_view_read(const struct store *store, struct problem_view *view)
{
	int err;

	view->store = store;
	err = store_listeners(store, &view->set.listeners, &view->set.listener_count);
	if (!err)
		err = store_ranges(store, &view->set.ranges, &view->set.range_count);
	if (err)
		return err;
	return store_interfaces(store, &view->interfaces, &view->interface_count);
}

void problem_view_free(struct problem_view *view)
{
	free(view->interfaces);
	listener_set_release(&view->set);
}

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
		add(problems, "forwarding_off",
		    "IPv4 forwarding is off, nothing is forwarded; type: "
		    "sysctl -w net.ipv4.ip_forward=1");
	if (is_v6 && is_sysctl_off("/proc/sys/net/ipv6/conf/all/forwarding"))
		add(problems, "forwarding_off",
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
	add(problems, "no_neighbour",
	    "%s does not answer (%s) on %s; packets to it are lost until it does (no_neighbour)",
	    addr_format(&hop->next, false, next), addr_is_v4(&hop->next) ? "ARP" : "ND", interface);
}

static void judge_target(const struct problem_view *view, const struct xdnat_addr *target,
			 json_t *problems)
{
	char interface[IF_NAMESIZE];
	char text[ADDR_TEXT_BYTES];
	struct netlink_hop hop = {};

	addr_format(target, false, text);
	if (netlink_route(target, &hop)) {
		add(problems, "no_route", "%s; packets to it are dropped (no_route)", fail_text());
		return;
	}
	interface_name(hop.ifindex, interface);
	if (!has_row(view, hop.ifindex, true))
		add(problems, "not_loaded",
		    "replies of %s come in by %s, where xdnat is not loaded; type: xdnat load %s",
		    text, interface, interface);
	judge_neighbour(&hop, interface, problems);
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

/* The interface that BIND names or that has its address; 0: none or many. */
static uint32_t bound_interface(const struct spec *spec)
{
	struct netlink_address *addresses = NULL;
	uint32_t ifindex = 0;
	size_t count = 0;
	size_t i;

	if (spec->bind == SPEC_BIND_INTERFACE)
		return if_nametoindex(spec->bind_interface);
	if (spec->bind != SPEC_BIND_ADDRESS || netlink_addresses(&addresses, &count))
		return 0;
	for (i = 0; i < count && !ifindex; i++)
		if (addr_equal(&addresses[i].addr, &spec->bind_addr))
			ifindex = addresses[i].ifindex;
	free(addresses);
	return ifindex;
}

static void judge_bind(const struct problem_view *view, const struct spec *spec, json_t *problems)
{
	uint32_t ifindex = bound_interface(spec);
	char name[IF_NAMESIZE];

	if (!ifindex || is_loaded(view, ifindex))
		return;
	if (strcmp(interface_name(ifindex, name), "lo") == 0)
		add(problems, "not_loaded",
		    "rule %s is for packets that arrive on lo, where xdnat cannot be loaded",
		    spec->name);
	else
		add(problems, "not_loaded",
		    "rule %s is for clients of %s, where xdnat is not loaded; type: xdnat load %s",
		    spec->name, name, name);
}

static bool is_ours(const struct xdnat_addr *addr)
{
	struct netlink_address *addresses = NULL;
	bool found = false;
	size_t count = 0;
	size_t i;

	if (netlink_addresses(&addresses, &count))
		return true; /* not known: nothing is said */
	for (i = 0; i < count && !found; i++)
		found = addr_equal(&addresses[i].addr, addr);
	free(addresses);
	return found;
}

/* What the target is to see as the source, and from which port. */
static void judge_source(const struct problem_view *view, const struct spec *spec, json_t *problems)
{
	char text[ADDR_TEXT_BYTES];
	struct xdnat_config config;
	struct xdnat_addr addr;

	if (!snat_is_needed(spec))
		return;
	if (snat_choose(spec, &addr))
		add(problems, "no_source",
		    "rule %s has no address to masquerade with: %s; give it one: snat=ADDRESS",
		    spec->name, fail_text());
	else if (!is_ours(&addr))
		add(problems, "foreign_source",
		    "rule %s masquerades with %s, which no interface here has: answers to it do "
		    "not come back; give the rule another: snat=ADDRESS",
		    spec->name, addr_format(&addr, false, text));
	if (!store_config(view->store, &config) && !config.snat_ports)
		add(problems, "no_port",
		    "there is no port to masquerade from: this host uses all of them itself "
		    "(sysctl net.ipv4.ip_local_port_range); type: xdnat load --snat-ports A-B");
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
		add(problems, word, "%s", line);
	judge_bind(view, &rule->spec, problems);
	if (!rule->spec.is_local)
		judge_target(view, &rule->spec.target, problems);
	judge_source(view, &rule->spec, problems);
}

/* The fault that is most often made: the target's replies go elsewhere. */
static void judge_silence(const struct store_rule *rule, const struct rule_totals *totals,
			  json_t *problems)
{
	char target[SPEC_LISTENER_BYTES];

	if (!rule->spec.enabled || totals->packets[XDNAT_ORIGINAL] < SILENT_PACKETS ||
	    totals->packets[XDNAT_REPLY])
		return;
	spec_format_target(&rule->spec, target);
	add(problems, "silent_target",
	    "rule %s: %" PRIu64 " packets went to %s and none came back: does it listen there, and "
	    "do its replies come back through this host (ip route get, typed there)?",
	    rule->spec.name, totals->packets[XDNAT_ORIGINAL], target);
}

static void judge_confirm(const struct instance *instance, json_t *problems)
{
	if (confirm_need_none(instance))
		add(problems, "unconfirmed",
		    "the load has not been confirmed and will be undone; type: xdnat confirm");
}

/* One that is loaded and not attached. With no other program in the way, the daemon
 * attaches it within a second. */
static void judge_interface(const struct instance *instance, const struct store_interface *row,
			    json_t *problems)
{
	struct attach_own own = attach_own_read(instance->pin_dir);
	const char *name = row->interface.name;
	struct netlink_link link;

	if (netlink_link(name, &link))
		add(problems, "not_attached",
		    "%s is gone; xdnatd attaches to it once there is an interface of that name; if "
		    "there will be none, type: xdnat unload %s",
		    name, name);
	else if (row->interface.mode != XDNAT_MODE_TC && link.xdp_prog_id &&
		 !attach_own_has_id(&own, link.xdp_prog_id))
		add(problems, "not_attached",
		    "%s forwards nothing: another XDP program (id %" PRIu32 ") is on it, and "
		    "xdnatd tries again every second; to look at it: bpftool net show dev %s",
		    name, link.xdp_prog_id, name);
	else
		add(problems, "not_attached",
		    "%s forwards nothing: it is loaded but not attached; xdnatd tries again every "
		    "second, and to see why it cannot, type: xdnat load %s",
		    name, name);
}

static void judge_interfaces(const struct instance *instance, const struct problem_view *view,
			     json_t *problems)
{
	const struct store_interface *row;
	size_t i;

	for (i = 0; i < view->interface_count; i++) {
		row = &view->interfaces[i];
		if (attach_is_attached(instance, row))
			continue;
		judge_interface(instance, row, problems);
	}
}

static void judge_daemon(const struct instance *instance, json_t *problems)
{
	if (!instance_daemon(instance))
		add(problems, "no_daemon",
		    "xdnatd is not running: addresses and neighbours are not followed, ended "
		    "flows not freed; type: xdnat load");
}

/* Packets dropped since load, one record a reason. */
static int judge_counters(const struct store *store, json_t *problems)
{
	struct store_counters counters;
	uint64_t packets;
	int reason;
	int err;

	err = store_counters(store, &counters);
	if (err)
		return err;
	for (reason = XDNAT_FIRST_DROP; reason < XDNAT_REASON_MAX; reason++) {
		packets = store_reason_pkts(&counters, reason);
		if (packets)
			add(problems, reason_name(reason),
			    "%" PRIu64 " packets dropped since load, %s: %s", packets,
			    reason_name(reason), reason_help(reason));
	}
	return 0;
}

int problem_of_instance(const struct instance *instance, const struct store *store,
			const struct rule_set *set, json_t *problems)
{
	struct problem_view view = {};
	size_t i;
	int err;

	err = problem_view_read(store, &view);
	if (err)
		goto out;
	judge_confirm(instance, problems);
	judge_daemon(instance, problems);
	judge_interfaces(instance, &view, problems);
	if (interface_need_netns(instance, store))
		add(problems, "other_netns", "rules are not judged: %s", fail_text());
	else
		for (i = 0; i < set->count && i < RULES_JUDGED; i++)
			problem_of_rule(&view, &set->rules[i], problems);
	for (i = 0; set->totals && i < set->count; i++)
		judge_silence(&set->rules[i], &set->totals[i], problems);
	err = judge_counters(store, problems);
out:
	problem_view_free(&view);
	return err;
}
