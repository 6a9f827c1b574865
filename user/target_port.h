/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What rules send to, for the leak guard (DESIGN.md section 2): targets' ports at
 * addresses that must not be seen outside.
 */
#ifndef XDNAT_TARGET_PORT_H
#define XDNAT_TARGET_PORT_H

#include "store.h"

/* Sees to it that those of rules are there, before the rules come into force. */
int target_port_add(struct store *store, const struct store_rule *rules, size_t count);
/* Removes all others: rules are the ones that hold. */
int target_port_prune(struct store *store, const struct store_rule *rules, size_t count);

#endif
