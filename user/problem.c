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

void problem_add(json_t *problems, const char *word, const char *format, ...)
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
	if (!err)
		err = store_interfaces(store, &view->interfaces, &view->interface_count);
	if (!err)
		err = netlink_addresses(&view->addresses, &view->address_count);
	if (!err)
		err = netlink_default_interfaces(&view->defaults, &view->default_count);
	if (!err)
		err = netlink_links(&view->links, &view->link_count);
	return err;
}

void problem_view_free(struct problem_view *view)
{
	free(view->interfaces);
	free(view->addresses);
	free(view->defaults);
	free(view->links);
	listener_set_release(&view->set);
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
	problem_add(problems, "silent_target",
		    "rule %s: %" PRIu64
		    " packets went to %s and none came back: does it listen there, and "
		    "do its replies come back through this host (ip route get, typed there)?",
		    rule->spec.name, totals->packets[XDNAT_ORIGINAL], target);
}

static void judge_confirm(const struct instance *instance, json_t *problems)
{
	if (confirm_need_none(instance))
		problem_add(
			problems, "unconfirmed",
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
		problem_add(problems, "not_attached",
			    "%s is gone; xdnatd attaches to it once there is an interface of that "
			    "name; if "
			    "there will be none, type: xdnat unload %s",
			    name, name);
	else if (row->interface.mode != XDNAT_MODE_TC && link.xdp_prog_id &&
		 !attach_own_has_id(&own, link.xdp_prog_id))
		problem_add(
			problems, "not_attached",
			"%s forwards nothing: another XDP program (id %" PRIu32 ") is on it, and "
			"xdnatd tries again every second; to look at it: bpftool net show dev %s",
			name, link.xdp_prog_id, name);
	else
		problem_add(problems, "not_attached",
			    "%s forwards nothing: it is loaded but not attached; xdnatd tries "
			    "again every "
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
		problem_add(
			problems, "no_daemon",
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
			problem_add(problems, reason_name(reason),
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
		problem_add(problems, "other_netns", "rules are not judged: %s", fail_text());
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
