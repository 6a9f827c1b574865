/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How large the flow tables are: for so many flows, in buckets and in bytes.
 */
#ifndef XDNAT_CAPACITY_H
#define XDNAT_CAPACITY_H

#include "xdnat_abi.h"

struct xdnat_bpf;

/* Writes how many flows, and what follows of that. */
void capacity_set(struct xdnat_config *config, __u32 flows);
/* Gives an object that is open tables of that size. */
void capacity_apply(const struct xdnat_config *config, struct xdnat_bpf *skeleton);
/* -ENOMEM with fail() unless there is room for programs and new tables of that size; 0:
 * for programs alone. Before the kernel is asked: beyond a control group's limit it does
 * not refuse, it kills. */
int capacity_need_memory(__u32 flows);

#endif
