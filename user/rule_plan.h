/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From the rules that hold and those that are wanted to a change of them.
 */
#ifndef XDNAT_RULE_PLAN_H
#define XDNAT_RULE_PLAN_H

#include "rule_change.h"

/* A rule that is asked for. */
struct rule_wanted {
	struct spec spec;
	unsigned int line; /* of a file; 0: of the command line */
};

/* gone: as set->rules, those that are to go unless they are wanted. -EEXIST with fail() if
 * two rules would have one listener, one name, or a port that neither gives up to the
 * other; -EINVAL if they are too many. */
int rule_plan(const struct rule_set *set, const bool *gone, const struct rule_wanted *wanted,
	      size_t count, struct rule_change *change);

#endif
