// SPDX-License-Identifier: GPL-2.0-only
#include "sweep.h"

#include "fail.h"
#include "flow_end.h"

/* What one round ends at most: with a few microseconds each it stays below a
 * third of a second. The next round takes the others. */
#define ROUND_MAX 65536

static bool is_expired(const struct store_flow *flow, const void *context)
{
	(void)context;
	return flow->expired;
}

int sweep_flows(const struct store *store, uint64_t *freed)
{
	static const struct flow_choice expired = {.wants = is_expired, .at_most = ROUND_MAX};
	int status = flow_end_chosen(store, &expired, freed);

	return status < 0 ? fail_while(status, "cannot free expired flows") : status;
}
