/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From the rules that hold and those that are wanted to a change of them, and the
 * change put in force whole or not at all.
 */
#ifndef XDNAT_RULE_CHANGE_H
#define XDNAT_RULE_CHANGE_H

#include "rule_set.h"

/* A rule that is asked for. */
struct rule_wanted {
	struct spec spec;
	unsigned int line; /* of a file; 0: of the command line */
};

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

/* gone: as set->rules, those that are to go unless they are wanted. change is {}
 * before; free it also after an error. -EEXIST with fail() if
 * two rules would have one listener or one name, -ENOSPC if they are too many. */
int rule_change_plan(const struct rule_set *set, const bool *gone, const struct rule_wanted *wanted,
		     size_t count, struct rule_change *change);
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
