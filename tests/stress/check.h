/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was checked: a line each, "ok", "FAIL" or "SKIP" first, for who counts them.
 */
#ifndef STRESS_CHECK_H
#define STRESS_CHECK_H

#include <stdbool.h>

/* What the lines after this one are about. */
void check_of(const char *subject);
/* A claim, and whether it held. */
__attribute__((format(printf, 2, 3))) void check(bool is_so, const char *claim, ...);
void check_skip(const char *why);
unsigned int check_failed(void);

#endif
