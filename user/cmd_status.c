// SPDX-License-Identifier: GPL-2.0-only
/*
 * status and bare xdnat: the state of an instance. Both are read into one JSON
 * object and printed from it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "cmd.h"
#include "mode.h"
#include "out.h"
#include "problem.h"
#include "rule_record.h"
#include "rule_set.h"
#include "snat_record.h"
#include "store.h"

/* Of one screen. */
#define RULES_SHOWN 30
#define LABEL	    "%-12s"

static json_t *interface_record(const struct instance *instance, const struct store_interface *row)
{
	bool is_attached = attach_is_attached(instance, row);
	bool is_rxvlan_off = row->interface.flags & XDNAT_RESTORE_RXVLAN;
	bool is_shared = row->interface.flags & XDNAT_SHARED;
	bool is_auto = row->interface.flags & XDNAT_AUTO;
	bool is_target_side = row->interface.flags & XDNAT_TARGET_SIDE;

	return json_pack("{s:s, s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "name", row->interface.name,
			 "ifindex", (json_int_t)row->ifindex, "mode",
			 mode_name(row->interface.mode), "auto", (int)is_auto, "target_side",
			 (int)is_target_side, "shared", (int)is_shared, "attached",
			 (int)is_attached, "rxvlan_off", (int)is_rxvlan_off);
}

static int put_interfaces(json_t *document, const struct instance *instance,
			  const struct store *store)
{
	struct store_interface *interfaces = NULL;
	json_t *records = json_array();
	size_t count = 0;
	size_t i;
	int err;

	err = store_interfaces(store, &interfaces, &count);
	for (i = 0; !err && i < count; i++)
		json_array_append_new(records, interface_record(instance, &interfaces[i]));
	json_object_set_new(document, "interfaces", records);
	free(interfaces);
	return err;
}

static int put_flows(json_t *document, const struct store *store, const struct rule_set *set)
{
	static const char format[] = "{s:I, s:I, s:I, s:I}";
	struct xdnat_config config;
	struct store_memory memory;
	json_t *flows;
	int err;

	err = store_config(store, &config);
	if (!err)
		err = store_memory(store, &memory);
	if (err)
		return err;
	flows = json_object();
	json_object_set_new(flows, "ipv4",
			    json_pack(format, "used", (json_int_t)set->flows4, "capacity",
				      (json_int_t)config.flows, "bytes",
				      (json_int_t)memory.flows4_bytes, "bytes_per_flow",
				      (json_int_t)memory.flow4_bytes));
	json_object_set_new(flows, "ipv6",
			    json_pack(format, "used", (json_int_t)set->flows6, "capacity",
				      (json_int_t)config.flows, "bytes",
				      (json_int_t)memory.flows6_bytes, "bytes_per_flow",
				      (json_int_t)memory.flow6_bytes));
	json_object_set_new(document, "flows", flows);
	json_object_set_new(document, "rule_count", json_integer(set->count));
	json_object_set_new(document, "masquerade", snat_record(&config, set->rules, set->count));
	json_object_set_new(document, "hz", json_integer(config.hz));
	return 0;
}

/* What status and the overview have in common. */
struct report {
	json_t *document;
	struct store *store;
	struct rule_set set;
};

static int report_open(const struct instance *instance, const char *kind, struct report *report)
{
	pid_t daemon = instance_daemon(instance);
	json_t *document = out_document(kind);
	int err;

	*report = (struct report){.document = document};
	json_object_set_new(document, "instance", json_string(instance->name));
	json_object_set_new(document, "daemon_pid", daemon ? json_integer(daemon) : json_null());
	err = rule_set_open(instance, &report->store, &report->set);
	if (!err)
		err = rule_set_count(report->store, &report->set);
	if (!err)
		err = put_interfaces(document, instance, report->store);
	if (!err)
		err = put_flows(document, report->store, &report->set);
	return err;
}

static void report_close(struct report *report)
{
	rule_set_close(report->store, &report->set);
	json_decref(report->document);
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static bool flag(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static const char *interface_note(const json_t *row)
{
	if (flag(row, "target_side"))
		return flag(row, "attached") ? ", not loaded: a target's side"
					     : ", not loaded: a target's side, not attached";
	if (!flag(row, "attached"))
		return ", not attached";
	return flag(row, "rxvlan_off") ? ", attached, rx VLAN offload is off until unload"
				       : ", attached";
}

static void print_interfaces(const json_t *document)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(document, "interfaces"), i, row)
	{
		printf(LABEL " %s (%" JSON_INTEGER_FORMAT ") %s%s%s\n", i ? "" : "interfaces",
		       string(row, "name"), number(row, "ifindex"), string(row, "mode"),
		       flag(row, "shared") ? ", shared" : "", interface_note(row));
	}
}

static void print_family(const json_t *document, const char *label, const char *key)
{
	const json_t *flows = json_object_get(json_object_get(document, "flows"), key);
	char text[16];

	printf(LABEL " %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		     ", %s, %" JSON_INTEGER_FORMAT " bytes a flow\n",
	       label, number(flows, "used"), number(flows, "capacity"),
	       out_bytes(number(flows, "bytes"), text), number(flows, "bytes_per_flow"));
}

/* Room for masquerade flows; nothing if no rule makes them. */
static void print_masquerade(const json_t *document)
{
	const json_t *masquerade = json_object_get(document, "masquerade");
	json_int_t targets = number(masquerade, "targets");

	if (targets)
		printf(LABEL " %" JSON_INTEGER_FORMAT " ports of %" JSON_INTEGER_FORMAT
			     "-%" JSON_INTEGER_FORMAT " for each of %" JSON_INTEGER_FORMAT
			     " target%s: %" JSON_INTEGER_FORMAT " flows\n",
		       "masquerade", number(masquerade, "ports"), number(masquerade, "first_port"),
		       number(masquerade, "last_port"), targets, targets == 1 ? "" : "s",
		       number(masquerade, "capacity"));
}

static void print_status(const json_t *document)
{
	json_int_t daemon = number(document, "daemon_pid");

	printf(LABEL " %s\n", "instance", string(document, "instance"));
	if (daemon)
		printf(LABEL " running, pid %" JSON_INTEGER_FORMAT "\n", "daemon", daemon);
	else
		printf(LABEL " not running (start it: xdnat load)\n", "daemon");
	print_interfaces(document);
	printf(LABEL " %" JSON_INTEGER_FORMAT "\n", "rules", number(document, "rule_count"));
	print_family(document, "IPv4 flows", "ipv4");
	print_family(document, "IPv6 flows", "ipv6");
	print_masquerade(document);
	printf(LABEL " %" JSON_INTEGER_FORMAT "\n", "kernel HZ", number(document, "hz"));
}

int cmd_status(struct cmd_context *context, const char *const *words, size_t count)
{
	struct report report;
	int err;

	(void)words;
	(void)count;
	err = report_open(&context->instance, "status", &report);
	if (!err && context->json)
		err = out_json(json_incref(report.document), false);
	else if (!err)
		print_status(report.document);
	report_close(&report);
	return err;
}

static json_t *overview_rules(const struct rule_set *set)
{
	json_t *records = json_array();
	json_t *record;
	size_t i;

	for (i = 0; i < set->count; i++) {
		record = rule_record(&set->rules[i].spec);
		rule_record_totals(record, &set->totals[i]);
		json_array_append_new(records, record);
	}
	return records;
}

static void print_rule(const struct spec *spec, const struct rule_totals *totals)
{
	char listener[SPEC_LISTENER_BYTES];
	char target[SPEC_LISTENER_BYTES];
	char packets[16], bytes[16];

	spec_format_listener(spec, listener);
	spec_format_target(spec, target);
	printf("  %s -> %s", listener, target);
	if (strcmp(spec->name, listener) != 0)
		printf("  (%s)", spec->name);
	if (!spec->enabled)
		printf("  disabled");
	printf("  %" PRIu64 " live flow%s, %s packets, %s\n", totals->flows_live,
	       totals->flows_live == 1 ? "" : "s",
	       out_count(totals->packets[XDNAT_ORIGINAL] + totals->packets[XDNAT_REPLY], packets),
	       out_bytes(totals->bytes[XDNAT_ORIGINAL] + totals->bytes[XDNAT_REPLY], bytes));
}

static void print_overview(const json_t *document, const struct rule_set *set)
{
	const json_t *flows = json_object_get(document, "flows");
	const json_t *problems = json_object_get(document, "problems");
	const json_t *problem;
	size_t i;

	print_interfaces(document);
	printf(LABEL " %" JSON_INTEGER_FORMAT " IPv4 and %" JSON_INTEGER_FORMAT
		     " IPv6, of %" JSON_INTEGER_FORMAT " each\n",
	       "flows", number(json_object_get(flows, "ipv4"), "used"),
	       number(json_object_get(flows, "ipv6"), "used"),
	       number(json_object_get(flows, "ipv4"), "capacity"));
	if (set->count)
		printf("rules\n");
	else
		printf(LABEL " none; add one: xdnat rule add PORT:ADDRESS\n", "rules");
	for (i = 0; i < set->count && i < RULES_SHOWN; i++)
		print_rule(&set->rules[i].spec, &set->totals[i]);
	if (set->count > RULES_SHOWN)
		printf("  and %zu more: xdnat rule list, xdnat stats\n", set->count - RULES_SHOWN);
	if (json_array_size(problems))
		printf("problems\n");
	else
		printf(LABEL " none\n", "problems");
	json_array_foreach(problems, i, problem) printf("  %s\n", string(problem, "text"));
}

static int fill_overview(const struct instance *instance, struct report *report)
{
	json_t *problems = json_array();

	json_object_set_new(report->document, "rules", overview_rules(&report->set));
	json_object_set_new(report->document, "problems", problems);
	return problem_of_instance(instance, report->store, &report->set, problems);
}

int cmd_overview(struct cmd_context *context, const char *const *words, size_t count)
{
	struct report report;
	int err;

	(void)words;
	(void)count;
	err = report_open(&context->instance, "overview", &report);
	if (!err)
		err = fill_overview(&context->instance, &report);
	if (!err && context->json)
		err = out_json(json_incref(report.document), false);
	else if (!err)
		print_overview(report.document, &report.set);
	report_close(&report);
	return err;
}
