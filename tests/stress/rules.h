/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rules of a world, as the tools write them, and flows under them.
 */
#ifndef STRESS_RULES_H
#define STRESS_RULES_H

#include "world.h"

/* 0 or -errno. */
int rules_fill(struct stress_bpf *skeleton);
/* Whether it is of flows that nobody ends. */
bool rule_is_kept(uint32_t rule);

/* Flow i under the rule of that listener (enum stress_port; of STRESS_SHARED, the one
 * that is i's turn). */
void flow_fill(struct stress_flow *flows, uint32_t i, enum stress_port port, bool is_v6,
	       bool is_tcp);
/* The key of the half whose packets come in like that, if the flow keeps its port. */
struct xdnat_key6 flow_key(const struct stress_flow *flow, uint8_t direction);
/* Gives the flow a port with which its halves are at home there. False: it has none. */
bool flow_aim(struct stress_flow *flow, const struct table *table, uint32_t original_home,
	      uint32_t reply_home);

#endif
