/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two bits a port by which the datapath tells foreign packets (bpf/foreign.bpf.h). One
 * too many costs a few nanoseconds, one too few a connection: they are set before a rule
 * comes into force, and cleared long after.
 */
#ifndef XDNAT_PORT_BITS_H
#define XDNAT_PORT_BITS_H

#include "store.h"

/* Sets those of rules that are to come into force. Under the instance's lock. */
int port_bits_add(struct store *store, const struct store_rule *rules, size_t count);
/* Sets those of all flows: for who has put flows into the table whose rules may be gone.
 * Under the instance's lock. */
int port_bits_add_flows(struct store *store);

/* What was seen when last looked at. All zero at first. */
struct port_bits_watch {
	struct xdnat_port_bits present;
	struct xdnat_port_bits idle; /* needed by nobody */
	uint32_t generation;	     /* of the rules */
	bool are_all_of_rules;	     /* present are: nothing to do while both stay */
};
/* Clears those that no rule, no flow and no entry of the leak guard needed, now and when
 * it was called before: a packet may have been making a flow then by a rule that had just
 * gone. Takes the instance's lock to write, or leaves it for the next time if others have
 * it. 0 or -errno with fail(). */
int port_bits_follow(const struct instance *instance, struct store *store,
		     struct port_bits_watch *watch);

#endif
