// SPDX-License-Identifier: GPL-2.0-only
#include "flow_end.h"

#include <errno.h>
#include <stdlib.h>

#include "fail.h"
#include "progress.h"

/* All that store_flow_end() needs of a flow. */
struct noted {
	struct xdnat_key6 key;
	bool is_v6;
	bool is_orphan;
};

struct notes {
	const struct flow_choice *choice;
	struct noted *flows;
	size_t count, room;
	uint64_t seen;
};

/* store_flows_each() or store_orphans_each(). */
typedef int walk_flows(const struct store *store, store_flow_visitor each, void *context);

/* Non-zero stops the walk: there are at_most (1) or there is no memory. */
static int note(const struct store_flow *flow, void *context)
{
	struct notes *notes = context;

	progress_step(++notes->seen, 0);
	if (!notes->choice->wants(flow, notes->choice->context))
		return 0;
	if (notes->choice->at_most && notes->count == notes->choice->at_most)
		return 1;
	if (notes->count == notes->room) {
		size_t room = notes->room ? 2 * notes->room : 256;
		void *flows = reallocarray(notes->flows, room, sizeof(*notes->flows));

		if (!flows)
			return fail(-ENOMEM, "no memory for a list of %zu flows", room);
		notes->flows = flows;
		notes->room = room;
	}
	notes->flows[notes->count++] = (struct noted){
		.key = flow->key,
		.is_v6 = flow->is_v6,
		.is_orphan = flow->is_orphan,
	};
	return 0;
}

static int end_noted(const struct store *store, const struct notes *notes, uint64_t *ended)
{
	int err = 0;

	for (size_t i = 0; i < notes->count; i++) {
		struct store_flow flow = {.key = notes->flows[i].key,
					  .is_v6 = notes->flows[i].is_v6};
		int gone = store_flow_end(store, &flow, notes->choice->force);

		progress_step(i + 1, notes->count);
		if (gone > 0)
			*ended += !notes->flows[i].is_orphan;
		else if (gone < 0 && !err)
			err = gone;
	}
	return err;
}

static int end_seen(const struct store *store, walk_flows *walk, const struct flow_choice *choice,
		    uint64_t *ended)
{
	struct notes notes = {.choice = choice};
	int err, status;

	progress_begin("reading flows");
	status = walk(store, note, &notes);
	if (status >= 0) {
		progress_begin("ending flows");
		err = end_noted(store, &notes, ended);
		status = err ? err : status;
	}
	progress_end();
	free(notes.flows);
	return status;
}

int flow_end_chosen(const struct store *store, const struct flow_choice *choice, uint64_t *ended)
{
	int status;

	*ended = 0;
	status = end_seen(store, store_flows_each, choice, ended);
	/* Afterwards: a flow that was noted may have lost its original half meanwhile. */
	if (!status && choice->force)
		status = end_seen(store, store_orphans_each, choice, ended);
	return status;
}

struct rule_ids {
	const uint32_t *ids;
	size_t count;
};

static int compare_ids(const void *left, const void *right)
{
	uint32_t left_id = *(const uint32_t *)left, right_id = *(const uint32_t *)right;

	return (left_id > right_id) - (left_id < right_id);
}

static bool is_of_rules(const struct store_flow *flow, const void *context)
{
	const struct rule_ids *rules = context;

	return bsearch(&flow->rule, rules->ids, rules->count, sizeof(*rules->ids), compare_ids);
}

int flow_end_of_rules(const struct store *store, const uint32_t *rules, size_t count,
		      uint64_t *ended)
{
	struct rule_ids ids = {.ids = rules, .count = count};
	struct flow_choice choice = {.wants = is_of_rules, .context = &ids, .force = XDNAT_END_ANY};

	return flow_end_chosen(store, &choice, ended);
}
