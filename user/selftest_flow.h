/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The self-test's flows, in the table of an object that nobody else uses.
 */
#ifndef XDNAT_SELFTEST_FLOW_H
#define XDNAT_SELFTEST_FLOW_H

#include "selftest_row.h"

/* Test runs without a context come in by lo, which is the first in every namespace.
 * Requests leave by it again, answers by another. */
#define SELFTEST_IN_IFINDEX  1
#define SELFTEST_OUT_IFINDEX 2
#define SELFTEST_RULE	     1

struct bpf_object;

/* All return 0, or -errno with fail(). until: when the halves' ticks end.
 * Put: the request's half alone, unanswered: the program makes the other from it. */
int selftest_flow_put(const struct bpf_object *object, const struct conversation *row,
		      uint32_t until);
/* Gives the half that the program made a next hop: there is no route here. */
int selftest_flow_complete(const struct bpf_object *object, const struct conversation *row,
			   uint32_t until);
int selftest_flow_end(const struct bpf_object *object, const struct conversation *row);

#endif
