/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One flow on stdout: a line of JSON for programs, a row of a table as wide as the
 * terminal for people. Keeps nothing, so that any number can be printed.
 */
#ifndef XDNAT_FLOW_PRINT_H
#define XDNAT_FLOW_PRINT_H

#include "store.h"

/* rule: NULL if it was deleted; its flows go on. 0 or -errno with fail(). */
int flow_print_json(const struct store_flow *flow, const char *rule);
/* columns: of the terminal, out_width(). */
void flow_print_title(int columns);
void flow_print_row(const struct store_flow *flow, const char *rule, int columns);

#endif
