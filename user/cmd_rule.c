// SPDX-License-Identifier: GPL-2.0-only
/*
 * rule list and rule show: looking at rules. cmd_rule_edit.c changes them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "cmd.h"
#include "host_port.h"
#include "log.h"
#include "out.h"
#include "port_list.h"
#include "problem.h"
#include "rule_options.h"
#include "rule_record.h"
#include "rule_set.h"
#include "store.h"

#define LEFT_BYTES 256

static const char *list_format = "table";

const struct opt cmd_rule_list_options[] = {
	{.name = "format",
	 .type = OPT_CHOICE,
	 .value = "table|commands|rules",
	 .text = &list_format,
	 .help = "commands: lines that add the same rules when run; rules: what 'rule add -' "
		 "reads"},
	{},
};

static int print_json(const struct rule_set *set)
{
	json_t *document = out_document("rules");
	json_t *rules = json_array();
	size_t i;

	for (i = 0; i < set->count; i++)
		json_array_append_new(rules, rule_record(&set->rules[i].spec));
	json_object_set_new(document, "rules", rules);
	return out_json(document, false);
}

static void print_commands(const struct instance *instance, const struct rule_set *set)
{
	bool is_default = strcmp(instance->name, "default") == 0;
	char line[SPEC_COMMAND_BYTES];
	size_t i;

	for (i = 0; i < set->count; i++) {
		spec_format_command(&set->rules[i].spec, line);
		printf("xdnat %s%s%srule add %s\n", is_default ? "" : "--instance ",
		       is_default ? "" : instance->name, is_default ? "" : " ", line);
	}
}

static void print_rules(const struct rule_set *set)
{
	char line[XDNAT_SPEC_BYTES];
	size_t i;

	for (i = 0; i < set->count; i++) {
		spec_format(&set->rules[i].spec, line);
		puts(line);
	}
}

/* The record with listener and target as people write them. */
static json_t *row_record(const struct spec *spec)
{
	json_t *row = rule_record(spec);
	char text[SPEC_LISTENER_BYTES], options[RULE_OPTIONS_BYTES];

	spec_format_target(spec, text);
	json_object_set_new(row, "target", json_string(text));
	rule_options_format_short(spec, options);
	json_object_set_new(row, "options", *options ? json_string(options) : json_null());
	spec_format_listener(spec, text);
	*strrchr(text, '/') = '\0'; /* the protocol has its own column */
	json_object_set_new(row, "listener", json_string(text));
	return row;
}

/* Whether the rules have anything to say in it, or the column would be all the same. */
static bool is_shown(const struct rule_set *set, const struct out_column *column)
{
	char options[RULE_OPTIONS_BYTES];
	const struct spec *spec;
	bool is_said = false;
	size_t i;

	for (i = 0; i < set->count && !is_said; i++) {
		spec = &set->rules[i].spec;
		rule_options_format_short(spec, options);
		is_said = strcmp(column->key, "comment") == 0	? *spec->comment
			  : strcmp(column->key, "enabled") == 0 ? !spec->enabled
								: *options;
	}
	return is_said;
}

static void print_table(const struct rule_set *set)
{
	static const struct out_column optional[] = {
		{.key = "options", .title = "OPTIONS"},
		{.key = "enabled", .title = "ENABLED"},
		{.key = "comment", .title = "COMMENT"},
	};
	struct out_column columns[7] = {
		{.key = "name", .title = "NAME"},
		{.key = "listener", .title = "LISTENER"},
		{.key = "target", .title = "TARGET"},
		{.key = "proto", .title = "PROTO"},
	};
	json_t *rows = json_array();
	size_t column_count = 4;
	size_t i;

	for (i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		if (is_shown(set, &optional[i]))
			columns[column_count++] = optional[i];
	for (i = 0; i < set->count; i++)
		json_array_append_new(rows, row_record(&set->rules[i].spec));
	out_table(rows, columns, column_count);
	json_decref(rows);
}

int cmd_rule_list(struct cmd_context *context, const char *const *words, size_t count)
{
	struct rule_set set = {};
	struct store *store = NULL;
	int err;

	(void)words;
	(void)count;
	err = rule_set_open(&context->instance, &store, &set);
	if (err)
		goto out;
	if (context->json)
		err = print_json(&set);
	else if (strcmp(list_format, "commands") == 0)
		print_commands(&context->instance, &set);
	else if (strcmp(list_format, "rules") == 0)
		print_rules(&set);
	else if (set.count)
		print_table(&set);
	else
		log_info(
			"no rules; add one: xdnat rule add PORT:ADDRESS (see: xdnat help grammar)");
out:
	rule_set_close(store, &set);
	return err;
}

static void add_address(json_t *addresses, const struct xdnat_addr *addr)
{
	char text[ADDR_TEXT_BYTES];
	const json_t *other;
	size_t i;

	addr_format(addr, false, text);
	json_array_foreach(addresses, i, other)
	{
		if (strcmp(json_string_value(other), text) == 0)
			return;
	}
	json_array_append_new(addresses, json_string(text));
}

static json_t *listening_on(const struct problem_view *view, uint32_t rule)
{
	const struct listener_set *set = &view->set;
	json_t *addresses = json_array();
	size_t i;

	for (i = 0; i < set->listener_count; i++)
		if (set->listeners[i].rule == rule)
			add_address(addresses, &set->listeners[i].key.addr);
	for (i = 0; i < set->range_count; i++)
		if (set->ranges[i].rule == rule)
			add_address(addresses, &set->ranges[i].key.addr);
	return addresses;
}

static void print_direction(const char *name, uint64_t packets, uint64_t bytes)
{
	char text[16];

	printf("%-12s %" PRIu64 " packets, %s\n", name, packets, out_bytes(bytes, text));
}

/* Of "*"; another namespace's is not known here. */
static void print_left(const struct problem_view *view, const struct spec *spec)
{
	bool is_left[XDNAT_PORTS];
	char ports[LEFT_BYTES];
	bool is_all;

	if (spec->form != SPEC_ANY || store_need_netns(view->store) ||
	    host_port_left(spec, is_left))
		return;
	is_all = port_list_format(is_left, ports, sizeof(ports));
	printf("%-12s %s%s: what this host listens on, and its own connections\n", "left here",
	       ports, is_all ? "" : ",...");
}

static void print_rule(const json_t *record, const struct problem_view *view,
		       const struct spec *spec, const struct rule_totals *totals)
{
	char options[RULE_OPTIONS_BYTES];
	char listener[SPEC_LISTENER_BYTES];
	char target[SPEC_LISTENER_BYTES];
	const json_t *address;
	size_t i;

	spec_format_listener(spec, listener);
	spec_format_target(spec, target);
	printf("%-12s %s\n%-12s %s -> %s\n", "name", spec->name, "forwards", listener, target);
	if (*spec->comment)
		printf("%-12s %s\n", "comment", spec->comment);
	rule_options_format(spec, options);
	if (*options)
		printf("%-12s %s\n", "options", options);
	print_left(view, spec);
	printf("%-12s", "listens on");
	json_array_foreach(json_object_get(record, "addresses"), i, address)
	{
		printf(" %s", json_string_value(address));
	}
	printf("%s\n", !spec->enabled ? " nothing: it is disabled"
		       : i	      ? ""
				      : " no address at present");
	printf("%-12s %" PRIu64 " live, %" PRIu64 " made since it was added\n", "flows",
	       totals->flows_live, totals->flows_made);
	print_direction("to target", totals->packets[XDNAT_ORIGINAL],
			totals->bytes[XDNAT_ORIGINAL]);
	print_direction("to clients", totals->packets[XDNAT_REPLY], totals->bytes[XDNAT_REPLY]);
}

static int show(struct cmd_context *context, const struct rule_set *set,
		const struct problem_view *view, const struct store_rule *rule)
{
	const struct rule_totals *totals = &set->totals[rule - set->rules];
	json_t *record = out_document("rule");
	json_t *problems = json_array();
	json_t *config = rule_record(&rule->spec);
	const json_t *problem;
	size_t i;

	json_object_update(record, config);
	json_decref(config);
	json_object_set_new(record, "addresses", listening_on(view, rule->id));
	rule_record_totals(record, totals);
	if (store_need_netns(view->store) == 0)
		problem_of_rule(view, rule, problems);
	json_object_set_new(record, "problems", problems);
	if (context->json)
		return out_json(record, false);
	print_rule(record, view, &rule->spec, totals);
	json_array_foreach(problems, i, problem) printf(
		"%-12s %s\n", "problem", json_string_value(json_object_get(problem, "text")));
	json_decref(record);
	return 0;
}

int cmd_rule_show(struct cmd_context *context, const char *const *words, size_t count)
{
	const struct store_rule *rule;
	struct problem_view view = {};
	struct rule_set set = {};
	struct store *store = NULL;
	int err;

	err = rule_set_open(&context->instance, &store, &set);
	if (err)
		goto out;
	err = rule_set_match(&set, words, count, &rule);
	if (err)
		goto out;
	err = rule_set_count(store, &set);
	if (err)
		goto out;
	err = problem_view_read(store, &view);
	if (err)
		goto out;
	err = show(context, &set, &view, rule);
out:
	problem_view_free(&view);
	rule_set_close(store, &set);
	return err;
}
