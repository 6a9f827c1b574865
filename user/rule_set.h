/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All rules as one snapshot: found by id, by what the user calls them, and with
 * their totals, ended and live flows together.
 */
#ifndef XDNAT_RULE_SET_H
#define XDNAT_RULE_SET_H

#include "store.h"

struct rule_totals {
	uint64_t flows_made;
	uint64_t flows_live;
	uint64_t packets[XDNAT_DIRECTIONS];
	uint64_t bytes[XDNAT_DIRECTIONS];
};

struct rule_set {
	struct store_rule *rules; /* in listener order */
	size_t count;
	size_t *by_id;		    /* positions in rules, by rising id */
	struct rule_totals *totals; /* as rules; by rule_set_count() */
	uint64_t flows4, flows6;    /* entries of the flow tables, expired ones too */
};

/* set is {} before. 0 or -errno with fail(). */
int rule_set_read(const struct store *store, struct rule_set *set);
/* Goes through all flows once. */
int rule_set_count(const struct store *store, struct rule_set *set);

/* What looking commands begin and end with: the instance opened and its rules read.
 * Close also after an error; *store is NULL and set {} before. */
int rule_set_open(const struct instance *instance, struct store **store, struct rule_set *set);
void rule_set_close(struct store *store, struct rule_set *set);

/* NULL if there is none (any more): flows outlive their rule. */
const struct store_rule *rule_set_find(const struct rule_set *set, uint32_t id);
/* The rule that the words mean: its name, its listener's text, or the whole RULE.
 * -ENOENT, or -EUSAGE if the words mean none or several. */
int rule_set_match(const struct rule_set *set, const char *const *words, size_t count,
		   const struct store_rule **rule);

#endif
