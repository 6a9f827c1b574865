/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rows of the benchmark: which packets, against what, with which goal. Every
 * packet is checked before it is timed and after; a wrong one is -EBADMSG.
 */
#ifndef ROWS_H
#define ROWS_H

#include "report.h"

/* Program time, established and foreign packets and new flows, none with more than
 * flows_max (at least 4096), and memory. 0 or -errno. */
int rows_program(struct report *report, uint32_t rounds, uint32_t flows_max);
/* Live frames. xdnat: the product's binary. 0 or -errno. */
int rows_live(struct report *report, uint32_t rounds, const char *xdnat);
/* Live frames, each another flow's first. 0 or -errno. */
int rows_fresh(struct report *report, uint32_t rounds, const char *xdnat);
/* Bulk TCP, every byte of some transfers compared. 0 or -errno. */
int rows_bulk(struct report *report, uint32_t rounds, const char *xdnat);

#endif
