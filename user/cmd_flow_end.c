// SPDX-License-Identifier: GPL-2.0-only
/*
 * flow kill and flush. Ended is ended: the next packet is a new flow's, if its rule
 * is still there and it may begin one. What flush ends leaves nothing, not even ports
 * that rest.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cmd.h"
#include "fail.h"
#include "flow_end.h"
#include "flow_filter.h"
#include "interface.h"
#include "out.h"
#include "progress.h"
#include "rule_set.h"
#include "store.h"

static bool flush_yes;

const struct opt cmd_flow_flush_options[] = {
	{.name = "yes", .type = OPT_FLAG, .flag = &flush_yes, .help = "do not ask"},
	{},
};

static int tell_ended(const struct cmd_context *context, const char *kind, uint64_t ended)
{
	json_t *document;

	if (context->json) {
		document = out_document(kind);
		json_object_set_new(document, "ended", json_integer(ended));
		return out_json(document, false);
	}
	if (!context->quiet)
		printf("ended %" PRIu64 " flow%s\n", ended, ended == 1 ? "" : "s");
	return 0;
}

static bool is_matching(const struct store_flow *flow, const void *context)
{
	return flow_filter_matches(context, flow);
}

static int kill_matching(const struct instance *instance, const struct store *store,
			 const struct flow_filter *filter, uint64_t *ended)
{
	struct flow_choice matching = {
		.wants = is_matching, .context = filter, .force = XDNAT_END_ANY};
	int err;

	err = interface_need_netns(instance, store);
	if (!err)
		err = flow_end_chosen(store, &matching, ended);
	return err ? fail_while(err, "cannot end flows") : 0;
}

int cmd_flow_kill(struct cmd_context *context, const char *const *words, size_t count)
{
	struct flow_filter filter = {};
	struct store *store = NULL;
	struct rule_set set = {};
	uint64_t ended = 0;
	int err;

	err = rule_set_open(&context->instance, &store, &set);
	if (!err)
		err = flow_filter_parse(words, count, &set, &filter);
	if (!err)
		err = kill_matching(&context->instance, store, &filter, &ended);
	if (!err && !ended)
		err = fail(-ENOENT, "no flow matches; see those that are there: xdnat flow list");
	if (!err)
		err = tell_ended(context, "flow_kill", ended);
	rule_set_close(store, &set);
	return err;
}

static bool is_any(const struct store_flow *flow, const void *context)
{
	(void)flow;
	(void)context;
	return true;
}

static int count_live(const struct store_flow *flow, void *context)
{
	uint64_t *count = context;

	*count += !flow->expired && !flow->is_orphan;
	progress_step(*count, 0);
	return 0;
}

/* Nothing is counted for a question that is not asked. */
static int ask(const struct store *store)
{
	uint64_t count = 0;
	int err;

	if (flush_yes)
		return 0;
	progress_begin("counting flows");
	err = store_flows_each(store, count_live, &count);
	progress_end();
	return err ?: cmd_ask(false, "end %" PRIu64 " flow%s?", count, count == 1 ? "" : "s");
}

int cmd_flow_flush(struct cmd_context *context, const char *const *words, size_t count)
{
	static const struct flow_choice all = {.wants = is_any, .force = XDNAT_END_WHOLLY};
	struct store *store = NULL;
	uint64_t ended;
	int err;

	(void)words;
	(void)count;
	err = store_open(&context->instance, &store);
	if (!err)
		err = interface_need_netns(&context->instance, store);
	if (!err)
		err = ask(store);
	if (!err)
		err = flow_end_chosen(store, &all, &ended);
	if (err && err != -ENOTLOADED && err != -EUSAGE && err != -ECANCELED)
		fail_while(err, "cannot end flows");
	store_close(store);
	return err ?: tell_ended(context, "flow_flush", ended);
}
