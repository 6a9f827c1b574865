/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the store's own files share: descriptors, and reading a map whole.
 * Nobody else includes this.
 */
#ifndef XDNAT_STORE_MAPS_H
#define XDNAT_STORE_MAPS_H

#include "store.h"

enum {
	STORE_CONFIG,
	STORE_LISTENERS,
	STORE_RULES,
	STORE_SPECS,
	STORE_INTERFACES,
	STORE_NEIGHBOURS,
	STORE_FLOWS4,
	STORE_FLOWS6,
	STORE_STATS,
	STORE_MAPS,
};

enum { STORE_XDP, STORE_FLOW_END, STORE_CLOCK, STORE_PROGRAMS };

/* Rules as they were last read, by rising id. An id's spec never changes, so none is
 * parsed twice. */
struct store_known {
	struct store_rule *rules;
	size_t count;
};

struct store {
	int maps[STORE_MAPS];
	int programs[STORE_PROGRAMS];
	struct xdnat_config config; /* as it was when opened or last written here */
	struct store_known *known;
};

/* Entries read in one system call; more only if a hash bucket holds more. */
#define STORE_BATCH	1024
#define STORE_BATCH_MAX 65536

struct store_entry_sizes {
	size_t key_bytes, value_bytes;
};

static inline size_t store_entry_bytes(const struct store_entry_sizes *sizes)
{
	return sizes->key_bytes + sizes->value_bytes;
}

/* Calls each() for every entry until it returns non-zero, which is returned. */
int store_map_each(int map, struct store_entry_sizes sizes,
		   int (*each)(const void *key, const void *value, void *context), void *context);

/* Entries, key then value, one after the other. */
struct store_array {
	struct store_entry_sizes sizes;
	char *entries;
	size_t count, capacity;
};
/* array is zero but for sizes; entries is malloc'd, NULL if there are none. */
int store_map_read(int map, struct store_array *array);

/* fail() with "WHAT: the kernel's reason". Returns -EPERM or -EACCES if it is that,
 * else -EIO: a kernel's errno does not mean what ours mean to main. */
int store_fail(int err, const char *what, ...) __attribute__((format(printf, 2, 3)));
int store_config_write(struct store *store, const struct xdnat_config *config);

#endif
