/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One edit of the rules by a command, from taking the lock to letting it go.
 */
#ifndef XDNAT_RULE_EDIT_H
#define XDNAT_RULE_EDIT_H

#include "rule_plan.h"

struct rule_edit {
	const struct instance *instance;
	struct store *store;
	struct rule_set set; /* the rules that hold */
	bool *gone;	     /* as set.rules: those that are to go unless they are wanted */
	struct rule_change change;
	uint64_t ended; /* flows, if they were to be ended */
	bool is_committed;
	int lock;
};

struct rule_edit_options {
	bool force;	 /* also the port of the caller's own ssh session */
	bool kill_flows; /* end the flows of rules that are removed, and of the named one */
	uint32_t named;	 /* id of the rule that the command is about; 0: none */
};

/* Takes the lock and reads the rules. End also after an error. */
int rule_edit_begin(const struct instance *instance, struct rule_edit *edit);
void rule_edit_end(struct rule_edit *edit);
/* Plans, checks, puts in force and lets go of the lock; warns of what will keep new
 * rules from working. 0, or -errno with fail(); nothing has changed then unless
 * is_committed: only flows could not be ended. */
int rule_edit_apply(struct rule_edit *edit, const struct rule_wanted *wanted, size_t count,
		    const struct rule_edit_options *options);

#endif
