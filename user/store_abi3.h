/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an instance of ABI 3 has that cannot be used as it is: its configuration is read,
 * its flows are copied into the table of this build.
 */
#ifndef XDNAT_STORE_ABI3_H
#define XDNAT_STORE_ABI3_H

#include <stdbool.h>
#include <stdint.h>

#include "instance.h"
#include "store.h"
#include "xdnat_abi.h"

struct store_abi3 {
	int config, flows4, flows6; /* maps */
};

/* older: by instance_older(). 0, or -errno with fail(): the pins are not all there, or
 * not what ABI 3 made. */
int store_abi3_open(const struct instance *older, struct store_abi3 *abi3);
void store_abi3_close(struct store_abi3 *abi3); /* of one that is open, or {-1, -1, -1} */

/* Writes to config what ABI 3 has of it; abi and the rest stay. */
int store_abi3_config(const struct store_abi3 *abi3, struct xdnat_config *config);
/* The same in the store: the earlier version's commands may have changed it since. */
int store_abi3_keep_config(const struct store_abi3 *abi3, struct store *store);

/* Halves of flows, of one pass. */
struct store_abi3_copied {
	uint64_t seen;
	uint64_t flows;	  /* their original halves; not what was there already */
	uint64_t no_room; /* refused */
};
/* Copies all halves that the store's table has not, or, if embryos is false, those of
 * confirmed flows and resting claims only. 0, or -errno with fail(). */
int store_abi3_copy(const struct store_abi3 *abi3, const struct store *store, bool embryos,
		    struct store_abi3_copied *copied);

#endif
