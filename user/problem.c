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
#include "confirm.h"
#include "fail.h"
#include "interface.h"
#include "listener.h"
#include "netlink.h"
#include "reason.h"

#define LINE_BYTES 512
/* Each rule costs two netlink questions; the screen is for people anyway. */
#define RULES_JUDGED 256
/* A client's first tries: fewer may still be answered. */
#define SILENT_PACKETS 3

static void add(json_t *problems, const char *word, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add(json_t *problems, const char *word, const char *format, ...)
{
	char line[LINE_BYTES];
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
	err = store_listeners(store, &view->listeners, &view->listener_count);
	if (err)
		return err;
	return store_interfaces(store, &view->interfaces, &view->interface_count);
}

void problem_view_free(struct problem_view *view)
{
	free(view->interfaces);
	free(view->listeners);
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

static bool is_loaded(const struct problem_view *view, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < view->interface_count; i++)
		if (view->interfaces[i].ifindex == ifindex)
			return true;
	return false;
}

static void judge_neighbour(const struct netlink_hop *hop, const char *interface, json_t *problems)
{
	enum netlink_neighbour_state state = NETLINK_NEIGHBOUR_VALID;
	char next[ADDR_TEXT_BYTES];

	if (netlink_neighbour_state(hop, &state) || state != NETLINK_NEIGHBOUR_NONE)
		return;
	add(problems, "no_neighbour",
	    "%s does not answer (%s) on %s; packets to it are dropped (no_neighbour) until it does",
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
	if (!is_loaded(view, hop.ifindex))
		add(problems, "not_loaded",
		    "replies of %s come in by %s, where xdnat is not loaded; type: xdnat load %s",
		    text, interface, interface);
	judge_neighbour(&hop, interface, problems);
}

static bool has_listener(const struct problem_view *view, uint32_t rule)
{
	size_t i;

	for (i = 0; i < view->listener_count; i++)
		if (view->listeners[i].rule == rule)
			return true;
	return false;
}

/* What must have an address for the rule to listen. */
static const char *wanted_interface(const struct problem_view *view,
				    const struct listener_world *world, const struct spec *spec)
{
	bool is_v6 = !addr_is_v4(&spec->target);
	size_t i;

	if (spec->bind == SPEC_BIND_INTERFACE)
		return "its interface does not have";
	for (i = 0; spec->bind == SPEC_BIND_DEFAULT && i < world->default_count; i++)
		if (world->defaults[i].is_v6 == is_v6 &&
		    is_loaded(view, world->defaults[i].ifindex))
			return "no loaded interface with the default route has";
	return "no loaded interface has";
}

/* True if another rule has each of the listeners that this one would like. */
static bool are_taken(const struct problem_view *view, const struct store_listener *wanted,
		      size_t count)
{
	size_t taken = 0;
	size_t i, j;

	for (i = 0; i < count; i++)
		for (j = 0; j < view->listener_count; j++)
			taken += memcmp(&view->listeners[j].key, &wanted[i].key,
					sizeof(wanted[i].key)) == 0;
	return taken == count;
}

/* Why a rule listens nowhere: its interfaces have no address, other rules have
 * them all, or a command that was killed has not finished. */
static void judge_listeners(const struct problem_view *view, const struct store_rule *rule,
			    json_t *problems)
{
	const char *name = rule->spec.name;
	struct store_listener *wanted = NULL;
	struct listener_world world = {};
	size_t count = 0;

	if (listener_world_read(view->store, &world) ||
	    listener_expand(rule, 1, &world, &wanted, &count))
		goto out;
	if (!count)
		add(problems, "no_address",
		    "rule %s listens nowhere at present: %s an %s address (link-local ones do not "
		    "count); it follows once there is one",
		    name, wanted_interface(view, &world, &rule->spec),
		    addr_is_v4(&rule->spec.target) ? "IPv4" : "IPv6");
	else if (are_taken(view, wanted, count))
		add(problems, "no_address",
		    "rule %s listens nowhere at present: rules bound more closely have its "
		    "addresses and port",
		    name);
	else
		add(problems, "no_listener",
		    "rule %s is not in force: a command was interrupted, or addresses have just "
		    "changed; type: xdnat load",
		    name);
out:
	free(wanted);
	listener_world_release(&world);
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

void problem_of_rule(const struct problem_view *view, const struct store_rule *rule,
		     json_t *problems)
{
	if (!rule->spec.enabled)
		return;
	judge_forwarding(!addr_is_v4(&rule->spec.target), problems);
	if (!has_listener(view, rule->id))
		judge_listeners(view, rule, problems);
	judge_bind(view, &rule->spec, problems);
	judge_target(view, &rule->spec.target, problems);
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
static void judge_interface(const char *name, json_t *problems)
{
	struct netlink_link link;

	if (netlink_link(name, &link))
		add(problems, "not_attached",
		    "%s is gone; xdnatd attaches to it once there is an interface of that name; if "
		    "there will be none, type: xdnat unload %s",
		    name, name);
	else if (link.xdp_prog_id)
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
		if (attach_is_attached(instance, row->ifindex))
			continue;
		judge_interface(row->interface.name, problems);
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
	struct xdnat_counter counters[XDNAT_REASON_MAX];
	int reason;
	int err;

	err = store_counters(store, counters);
	if (err)
		return err;
	for (reason = XDNAT_FIRST_DROP; reason < XDNAT_REASON_MAX; reason++)
		if (counters[reason].packets)
			add(problems, reason_name(reason),
			    "%" PRIu64 " packets dropped since load, %s: %s",
			    (uint64_t)counters[reason].packets, reason_name(reason),
			    reason_help(reason));
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
