/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which rules would like to have which addresses, and who goes before whom there.
 * Knows nothing of ports but whether they are one, a range or all.
 */
#ifndef XDNAT_LISTENER_CLAIM_H
#define XDNAT_LISTENER_CLAIM_H

#include "listener.h"

/* A rule at an address that it would like to have, of one protocol. */
struct listener_claim {
	struct xdnat_addr addr;
	uint8_t proto; /* SPEC_TCP or SPEC_UDP */
	uint64_t rank; /* the lower goes first */
	const struct store_rule *rule;
};

struct listener_claims {
	struct listener_claim *items;
	size_t count, room;
};

/* claims is {} before; free its items on errors too. They come sorted: those of one
 * place together, in it single ports first, by port, and then by rank. 0 or -ENOMEM. */
int listener_claims_make(const struct store_rule *rules, size_t rule_count,
			 const struct listener_world *world, struct listener_claims *claims);
/* By address and protocol: 0 for those that may meet. */
int listener_claim_compare_places(const struct listener_claim *left,
				  const struct listener_claim *right);

#endif
