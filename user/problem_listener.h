/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a rule listens nowhere.
 */
#ifndef XDNAT_PROBLEM_LISTENER_H
#define XDNAT_PROBLEM_LISTENER_H

#include "problem.h"

/* The problem's word, and its line (PROBLEM_LINE_BYTES): its interfaces have no address,
 * other rules have all that it would like, or a command that was killed has not finished.
 * NULL: it cannot be told. The rule has no listener in view. */
const char *problem_listener(const struct problem_view *view, const struct store_rule *rule,
			     char *line);

#endif
