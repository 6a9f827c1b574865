/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow tables in memory (xdnat_flow.h), read where the datapath writes them: no
 * system call a half. Knows slots, not what a flow is. The store's own.
 */
#ifndef XDNAT_STORE_TABLE_H
#define XDNAT_STORE_TABLE_H

#include "store_maps.h"

/* A half as its slot has it, of the family that is asked for. */
union store_half {
	struct xdnat_half4 v4;
	struct xdnat_half6 v6;
};

/* A family's table. All zero but for store and is_v6; mapped by the first walk. */
struct store_table {
	const struct store *store;
	bool is_v6;
	const struct xdnat_bucket *buckets;
	const char *slots; /* NULL while no bucket had anything */
};

/* Calls each() with a copy of every half until it returns non-zero, which is returned;
 * -errno with fail() if the table cannot be mapped. A copy is of one half, as it was at
 * some moment; hop's fields may be half written. */
int store_table_each(struct store_table *table,
		     int (*each)(const union store_half *half, void *context), void *context);
/* The half of key's key; in a walk. */
bool store_table_find(const struct store_table *table, const union store_half *key,
		      union store_half *half);
/* Mapped pages count as memory of the process: not longer than it takes. */
void store_table_unmap(struct store_table *table);

#endif
