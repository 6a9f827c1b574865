/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the store's own files share: descriptors, and reading a map whole.
 * Nobody else includes this, but program.c, which opens pins as the store does.
 */
#ifndef XDNAT_STORE_MAPS_H
#define XDNAT_STORE_MAPS_H

#include "store.h"

enum {
	STORE_CONFIG,
	STORE_LISTENERS,
	STORE_RANGES,
	STORE_PREFIXES,
	STORE_TARGET_PORTS,
	STORE_PORTS,
	STORE_SNAT,
	STORE_SNAT_PORTS,
	STORE_RULES,
	STORE_SPECS,
	STORE_INTERFACES,
	STORE_DEVICES,
	STORE_NEIGHBOURS,
	STORE_FLOWS4,
	STORE_FLOWS6,
	STORE_BUCKETS4,
	STORE_BUCKETS6,
	STORE_OVERFLOW4,
	STORE_OVERFLOW6,
	STORE_STATS,
	STORE_MAPS,
};

enum {
	STORE_XDP,
	STORE_INGRESS,
	STORE_EGRESS,
	STORE_FLOW_END,
	STORE_FLOW_PUT,
	STORE_CLOCK,
	STORE_PROGRAMS,
};

/* Rules as they were last read, by rising key. A key's text never changes, so none is
 * parsed twice. */
struct store_known {
	struct store_rule *rules;
	size_t count;
};

struct store {
	int maps[STORE_MAPS];
	int programs[STORE_PROGRAMS];
	struct xdnat_config config; /* as it was when opened; what changes: store_config() */
	struct store_known *known;
};

/* What a pin must be: name; of a map its sizes; kind (BPF_MAP_TYPE_…, 0: a hash;
 * BPF_PROG_TYPE_…); flags that a map must have. */
struct store_pin {
	const char *name;
	uint32_t key_bytes, value_bytes;
	uint32_t type;
	uint32_t flags;
};
/* Descriptor of what is pinned under that name, if it is root's and what pin says;
 * else -errno with fail(). */
int store_pin_map(const struct instance *instance, const struct store_pin *pin);
int store_pin_program(const struct instance *instance, const struct store_pin *pin);
/* fail() with what err, from opening the pin, means to the user. */
int store_pin_fail_open(const struct instance *instance, const char *name, int err);
/* -EBUSY with fail(): another thing is pinned there. */
int store_pin_fail_foreign(const struct instance *instance, const struct store_pin *pin);

/* Entries read in one system call; more only if a hash bucket holds more. */
#define STORE_BATCH	1024
#define STORE_BATCH_MAX 65536
/* Where a batch ended: a bucket's number, or the last key. */
#define STORE_CURSOR_BYTES 64

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

/* Writes all entries, keys and values being arrays. -ENOSPC with fail(): no room. */
int store_map_write(int map, const void *keys, const void *values, size_t count);

/* Keys of entries that are to go. All zero but for key_bytes; keys is malloc'd. */
struct store_stale {
	void *keys;
	size_t count, room, key_bytes;
};
int store_stale_add(struct store_stale *stale, const void *key);
/* Entries that are gone already do no harm. */
int store_map_delete(int map, const struct store_stale *stale);

/* SPECS and RULES as they are, held or not; RULES by rising id. SPECS is read first,
 * as RULES is written first and removed last: who has a spec has the other row too,
 * unless it is just going. */
struct store_rule_maps {
	struct store_array specs, rows;
};
int store_rule_maps_read(const struct store *store, struct store_rule_maps *maps);
void store_rule_maps_free(struct store_rule_maps *maps); /* accepts {} */
/* After a reading that began at generation, for the tries-th time: 0 if nothing has
 * changed meanwhile, 1: read again, or -errno. */
int store_read_again(const struct store *store, uint32_t generation, int tries);
bool store_spec_holds(const struct xdnat_spec *spec, uint32_t generation);
/* Listeners and ranges of the set that is not in force. */
int store_listeners_stale(const struct store *store, const struct xdnat_config *config,
			  struct store_stale *stale);
int store_ranges_stale(const struct store *store, const struct xdnat_config *config,
		       struct store_stale *stale);

/* What is left of lists: those of specs that do not hold, and of the set that is not in
 * force. specs: SPECS as it is. */
int store_prefixes_stale(const struct store *store, const struct xdnat_config *config,
			 const struct store_array *specs, struct store_stale *stale);

int store_config_write(struct store *store, const struct xdnat_config *config);

#endif
