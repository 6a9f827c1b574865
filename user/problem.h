/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands in the way of forwarding at present, each as one line that ends in
 * its remedy. Looks at the host and the maps, changes nothing.
 */
#ifndef XDNAT_PROBLEM_H
#define XDNAT_PROBLEM_H

#include <jansson.h>

#include "instance.h"
#include "listener.h"
#include "netlink.h"
#include "rule_set.h"
#include "store.h"

#define PROBLEM_LINE_BYTES 512

/* What rules are judged by, read once. */
struct problem_view {
	const struct store *store;
	struct listener_set set; /* in force */
	struct store_interface *interfaces;
	size_t interface_count;
	struct netlink_address *addresses; /* of this host, and so on: */
	size_t address_count;
	struct netlink_default *defaults;
	size_t default_count;
	struct netlink_link *links;
	size_t link_count;
};

/* view is {} before. 0 or -errno with fail(). */
int problem_view_read(const struct store *store, struct problem_view *view);
void problem_view_free(struct problem_view *view); /* accepts {} */

/* Appends a record {"problem": word, "text": LINE} to an array, no line twice. */
void problem_add(json_t *problems, const char *word, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What is wrong with a rule; the caller is in the instance's network namespace. */
void problem_of_rule(const struct problem_view *view, const struct store_rule *rule,
		     json_t *problems);
/* All rules (not in another namespace), interfaces, the daemon and what was dropped. */
int problem_of_instance(const struct instance *instance, const struct store *store,
			const struct rule_set *set, json_t *problems);

#endif
