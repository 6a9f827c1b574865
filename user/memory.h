/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much memory may still be had: of the machine's and under the limits of the
 * caller's control groups. The kernel ends a process that goes beyond a limit while
 * it verifies a program, so it is asked before.
 */
#ifndef XDNAT_MEMORY_H
#define XDNAT_MEMORY_H

#include <stdint.h>

/* UINT64_MAX if nothing tells. */
uint64_t memory_available_bytes(void);
/* Room for flows of each family that suits the machine. */
uint32_t memory_default_flows(void);

#endif
