/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules from a file: a rule a line, as after `rule add` on the command line; empty
 * lines and what follows a "#" at the start of a line are left out.
 */
#ifndef XDNAT_RULE_LINES_H
#define XDNAT_RULE_LINES_H

#include <stdio.h>

#include "rule_plan.h"

/* Reads to the end; *wanted is malloc'd, also after an error. -EINVAL with fail() and
 * the line's number: the first that is no rule. */
int rule_lines_read(FILE *file, struct rule_wanted **wanted, size_t *count);

#endif
