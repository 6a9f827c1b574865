// SPDX-License-Identifier: GPL-2.0-only
/*
 * stats: what became of packets, reason by reason, and each rule's totals.
 */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "out.h"
#include "reason.h"
#include "rule_record.h"
#include "rule_set.h"
#include "store.h"

static json_t *reason_record(uint32_t hook, enum xdnat_reason reason,
			     const struct xdnat_counter *counter)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "hook", reason_hook(hook), "verdict",
			 reason_verdict(reason), "reason", reason_name(reason), "packets",
			 (json_int_t)counter->packets, "bytes", (json_int_t)counter->bytes, "help",
			 reason_help(reason));
}

static json_t *reason_records(const struct store_counters *counters)
{
	json_t *records = json_array();

	for (uint32_t hook = 0; hook < XDNAT_HOOKS; hook++)
		for (int reason = 0; reason < XDNAT_REASON_MAX; reason++)
			json_array_append_new(
				records, reason_record(hook, reason, &counters->at[hook][reason]));
	return records;
}

static json_t *rule_records(const struct rule_set *set)
{
	json_t *records = json_array();
	json_t *record;
	size_t i;

	for (i = 0; i < set->count; i++) {
		record = json_pack("{s:s}", "name", set->rules[i].spec.name);
		rule_record_totals(record, &set->totals[i]);
		json_array_append_new(records, record);
	}
	return records;
}

static int fill(json_t *document, const struct store *store, struct rule_set *set)
{
	struct store_counters counters;
	int err;

	err = store_counters(store, &counters);
	if (!err)
		err = rule_set_count(store, set);
	if (err)
		return err;
	json_object_set_new(document, "reasons", reason_records(&counters));
	json_object_set_new(document, "rules", rule_records(set));
	return 0;
}

/* Bytes as people read them, under the same key. */
static void scale_bytes(json_t *record, const char *key)
{
	char text[16];

	out_bytes(json_integer_value(json_object_get(record, key)), text);
	json_object_set_new(record, key, json_string(text));
}

static void print_reasons(const json_t *reasons)
{
	static const struct out_column columns[] = {
		{.key = "hook", .title = "AT"},
		{.key = "verdict", .title = "VERDICT"},
		{.key = "reason", .title = "REASON"},
		{.key = "packets", .title = "PACKETS", .right = true},
		{.key = "bytes", .title = "BYTES", .right = true},
		{.key = "help", .title = "MEANING"},
	};
	json_t *shown = json_array();
	json_t *record;
	size_t i;

	json_array_foreach(reasons, i, record)
	{
		/* Forwarded is shown in any case: no table at all would say nothing. */
		if (i != XDNAT_FORWARDED && !json_integer_value(json_object_get(record, "packets")))
			continue;
		scale_bytes(record, "bytes");
		json_array_append(shown, record);
	}
	out_table(shown, columns, sizeof(columns) / sizeof(columns[0]));
	json_decref(shown);
}

static void print_rules(const json_t *rules)
{
	static const struct out_column columns[] = {
		{.key = "name", .title = "RULE"},
		{.key = "flows_made", .title = "FLOWS MADE", .right = true},
		{.key = "flows_live", .title = "LIVE", .right = true},
		{.key = "packets_original", .title = "PACKETS TO TARGET", .right = true},
		{.key = "bytes_original", .title = "BYTES", .right = true},
		{.key = "packets_reply", .title = "PACKETS TO CLIENTS", .right = true},
		{.key = "bytes_reply", .title = "BYTES", .right = true},
	};
	json_t *record;
	size_t i;

	json_array_foreach(rules, i, record)
	{
		scale_bytes(record, "bytes_original");
		scale_bytes(record, "bytes_reply");
	}
	printf("%s", json_array_size(rules) ? "\n" : "");
	out_table(rules, columns, sizeof(columns) / sizeof(columns[0]));
}

int cmd_stats(struct cmd_context *context, const char *const *words, size_t count)
{
	json_t *document = out_document("stats");
	struct rule_set set = {};
	struct store *store = NULL;
	int err;

	(void)words;
	(void)count;
	err = rule_set_open(&context->instance, &store, &set);
	if (!err)
		err = fill(document, store, &set);
	if (err)
		goto out;
	if (context->json) {
		err = out_json(json_incref(document), false);
		goto out;
	}
	print_reasons(json_object_get(document, "reasons"));
	print_rules(json_object_get(document, "rules"));
out:
	json_decref(document);
	rule_set_close(store, &set);
	return err;
}
