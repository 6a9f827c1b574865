// SPDX-License-Identifier: GPL-2.0-only
/*
 * flow list and count: looking at flows. They are printed as they are read: a full
 * table takes no more memory than an empty one. cmd_flow_end.c ends them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"
#include "fail.h"
#include "flow_filter.h"
#include "flow_print.h"
#include "log.h"
#include "out.h"
#include "progress.h"
#include "rule_set.h"
#include "store.h"

/* What goes through all flows carries along. */
struct walk {
	struct store *store;
	struct rule_set set;
	struct flow_filter filter;
	bool json;
	int columns; /* of the terminal */
	uint64_t seen, count;
};

static int walk_begin(const struct cmd_context *context, const char *const *words, size_t count,
		      struct walk *walk)
{
	int err;

	walk->json = context->json;
	walk->columns = out_width();
	err = rule_set_open(&context->instance, &walk->store, &walk->set);
	if (err)
		return err;
	return flow_filter_parse(words, count, &walk->set, &walk->filter);
}

static void walk_end(struct walk *walk)
{
	progress_end();
	rule_set_close(walk->store, &walk->set);
}

static int print_flow(const struct walk *walk, const struct store_flow *flow)
{
	const struct store_rule *rule = rule_set_find(&walk->set, flow->rule);
	const char *name = rule ? rule->spec.name : NULL;

	if (walk->json)
		return flow_print_json(flow, name);
	if (walk->count == 1)
		flow_print_title(walk->columns);
	flow_print_row(flow, name, walk->columns);
	/* A reader that has gone (| head) ends the walk. */
	return ferror(stdout) ? fail(-EIO, "cannot write to standard output") : 0;
}

static int list_flow(const struct store_flow *flow, void *context)
{
	struct walk *walk = context;

	progress_step(++walk->seen, 0);
	if (!flow_filter_matches(&walk->filter, flow))
		return 0;
	walk->count++;
	return print_flow(walk, flow);
}

static int count_flow(const struct store_flow *flow, void *context)
{
	struct walk *walk = context;

	progress_step(++walk->seen, 0);
	walk->count += flow_filter_matches(&walk->filter, flow);
	return 0;
}

int cmd_flow_list(struct cmd_context *context, const char *const *words, size_t count)
{
	struct walk walk = {};
	int err;

	err = walk_begin(context, words, count, &walk);
	if (err)
		goto out;
	/* On a terminal the rows themselves say that it goes on. */
	if (!isatty(STDOUT_FILENO))
		progress_begin("listing flows");
	err = store_flows_each(walk.store, list_flow, &walk);
out:
	walk_end(&walk);
	if (!err && !walk.count)
		log_info("no flows");
	return err;
}

int cmd_flow_count(struct cmd_context *context, const char *const *words, size_t count)
{
	struct walk walk = {};
	json_t *document;
	int err;

	err = walk_begin(context, words, count, &walk);
	if (err)
		goto out;
	progress_begin("counting flows");
	err = store_flows_each(walk.store, count_flow, &walk);
	progress_end();
	if (err)
		goto out;
	if (!context->json) {
		printf("%" PRIu64 "\n", walk.count);
		goto out;
	}
	document = out_document("flow_count");
	json_object_set_new(document, "count", json_integer(walk.count));
	err = out_json(document, false);
out:
	walk_end(&walk);
	return err;
}
