// SPDX-License-Identifier: GPL-2.0-only
#include "cmd_load_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "interface.h"
#include "mode.h"
#include "out.h"

void cmd_load_note(json_t *changes, const struct store *store, uint32_t ifindex,
		   struct cmd_load_change change)
{
	const char *why = change.why && *change.why ? change.why : NULL;
	struct store_interface row;

	if (interface_find(store, ifindex, &row))
		return;
	json_array_append_new(
		changes, json_pack("{s:s, s:s, s:b, s:s?, s:b, s:s}", "name", row.interface.name,
				   "mode", mode_name(row.interface.mode), "auto",
				   row.interface.flags & XDNAT_AUTO, "why", why, "shared",
				   row.interface.flags & XDNAT_SHARED, "change", change.word));
}

static const char *change_text(const json_t *record)
{
	const char *change = json_string_value(json_object_get(record, "change"));

	return strcmp(change, "reattached") ? change : "attached again";
}

static void print_changes(const struct cmd_load_done *done)
{
	const json_t *record;
	size_t i;

	json_array_foreach(done->changes, i, record)
	{
		const char *why = json_string_value(json_object_get(record, "why"));

		printf("%s: %s (%s%s%s%s)\n", json_string_value(json_object_get(record, "name")),
		       change_text(record), json_string_value(json_object_get(record, "mode")),
		       json_is_true(json_object_get(record, "shared")) ? ", shared" : "",
		       why ? ": " : "", why ?: "");
	}
	if (done->says_daemon)
		printf("daemon running, pid %d\n", (int)done->daemon);
	if (done->confirm_sec)
		printf("undone in %" PRIu64 " s unless you type: xdnat confirm\n",
		       done->confirm_sec);
}

static json_t *number_or_null(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

static int print_json(const struct cmd_load_done *done)
{
	json_t *document = out_document("load");

	json_object_set(document, "interfaces", done->changes);
	json_object_set_new(document, "daemon_pid", number_or_null(done->daemon));
	json_object_set_new(document, "confirm_sec", number_or_null(done->confirm_sec));
	return out_json(document, false);
}

int cmd_load_report(const struct cmd_context *context, const struct cmd_load_done *done)
{
	if (context->json)
		return print_json(done);
	if (!context->quiet)
		print_changes(done);
	return 0;
}
