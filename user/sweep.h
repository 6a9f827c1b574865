/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frees expired flows. The datapath judges each again, so nothing that lives
 * goes.
 */
#ifndef XDNAT_SWEEP_H
#define XDNAT_SWEEP_H

#include <stdint.h>

#include "store.h"

/* One round; *freed counts those that went. 0, 1 if there is more than a round may
 * end, or -errno with fail(). */
int sweep_flows(const struct store *store, uint64_t *freed);

#endif
