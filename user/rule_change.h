/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A change of the rules, as rule_plan() makes it, put in force whole or not at all.
 */
#ifndef XDNAT_RULE_CHANGE_H
#define XDNAT_RULE_CHANGE_H

#include "rule_set.h"

/* {} before it is planned; free it also after an error. */
struct rule_change {
	struct store_rule *removed;
	size_t removed_count;
	/* New ones have id 0 before they are in force. One that says something else than
	 * before, but of the same listener and target, is removed and added under its id. */
	struct store_rule *added;
	size_t added_count;
	struct store_sources *sources; /* as added: of enabled ones that have some */
	bool *was_enabled; /* as added: the rule was in force under its id, and is changed */
	size_t changed;	   /* of the added ones: their listener had another rule */
	size_t unchanged;  /* wanted and already there */
};

/* Reads the prefixes of the added rules, files among them. 0, or -EINVAL with fail(). */
int rule_change_read_sources(struct rule_change *change);
void rule_change_free(struct rule_change *change);

/* In force, to the packet, when it returns 0; otherwise all is as before. set: the
 * rules that hold, of which change was planned. Caller holds the instance's lock. An
 * empty change sees to it that the rules are in force: the command before may have been
 * cut short. */
int rule_change_apply(const struct instance *instance, struct store *store,
		      const struct rule_set *set, struct rule_change *change);
/* The same after a failure. Returns err, whose message stays. */
int rule_change_refresh_after(const struct instance *instance, struct store *store, int err);

#endif
