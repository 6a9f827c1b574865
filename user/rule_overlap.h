/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules of one BIND that would have a port of one protocol and one family in common.
 */
#ifndef XDNAT_RULE_OVERLAP_H
#define XDNAT_RULE_OVERLAP_H

#include "spec.h"

/* Two of them, as positions in specs, the earlier first; both are of one form: between
 * forms precedence decides. */
struct rule_overlap {
	size_t first, second;
};
/* 1 if there are such two, 0 if there are none, or -ENOMEM with fail(). Disabled rules
 * count: they may be enabled any time. */
int rule_overlap_find(const struct spec *const *specs, size_t count, struct rule_overlap *overlap);

#endif
