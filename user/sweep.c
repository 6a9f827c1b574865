// SPDX-License-Identifier: GPL-2.0-only
/*
 * One round of the sweep: first all expired flows are noted, then they are ended,
 * so that nothing is deleted under the walk over the tables.
 */
#include "sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

/* What one round ends at most: with a few microseconds each it stays below a
 * third of a second. The next round takes the others. */
#define ROUND_MAX 65536

/* All that store_flow_end() needs of a flow. */
struct expired {
	struct xdnat_key6 key;
	bool is_v6;
};

struct round {
	struct expired *expired;
	size_t count, room;
};

/* Non-zero stops the walk: the round is full (1) or there is no memory. */
static int note_expired(const struct store_flow *flow, void *context)
{
	struct round *round = context;

	if (!flow->expired)
		return 0;
	if (round->count == ROUND_MAX)
		return 1;
	if (round->count == round->room) {
		size_t room = round->room ? 2 * round->room : 256;
		void *expired = reallocarray(round->expired, room, sizeof(*round->expired));

		if (!expired)
			return fail(-ENOMEM, "no memory");
		round->expired = expired;
		round->room = room;
	}
	round->expired[round->count++] = (struct expired){.key = flow->key, .is_v6 = flow->is_v6};
	return 0;
}

/* An error with one flow does not keep the others; the first is returned. */
static int end_expired(const struct store *store, const struct round *round, uint64_t *freed)
{
	int err = 0;

	for (size_t i = 0; i < round->count; i++) {
		struct store_flow flow = {.key = round->expired[i].key,
					  .is_v6 = round->expired[i].is_v6};
		int ended = store_flow_end(store, &flow, false);

		if (ended > 0)
			++*freed;
		else if (ended < 0 && !err)
			err = ended;
	}
	return err;
}

int sweep_flows(const struct store *store, uint64_t *freed)
{
	struct round round = {};
	int err, status;

	*freed = 0;
	status = store_flows_each(store, note_expired, &round);
	err = end_expired(store, &round, freed);
	free(round.expired);
	if (status < 0)
		return fail_while(status, "cannot look for expired flows");
	if (err)
		return fail_while(err, "cannot end expired flows");
	return status;
}
