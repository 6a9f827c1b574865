/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables while nobody writes them: what bpf/table.bpf.h says of them.
 */
#ifndef STRESS_AUDIT_H
#define STRESS_AUDIT_H

#include "world.h"

/* Checks, with a line each. 0 or -errno, also below. */
int audit(const struct world *world);
/* Slots that are not free, of both families. */
uint32_t audit_taken(const struct world *world);

#endif
