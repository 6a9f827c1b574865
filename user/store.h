/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Typed access to an instance's pinned maps and programs. store*.c alone call
 * bpf_map_*(), but for program.c when it makes them and selftest.c on its own.
 * Knows layouts, no policy.
 * Callers that change rules hold the instance's lock.
 */
#ifndef XDNAT_STORE_H
#define XDNAT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "instance.h"
#include "spec.h"
#include "xdnat_abi.h"

struct store;

/* -ENOTLOADED with fail() ("xdnat is not loaded …; type: xdnat load IFACE"),
 * -EPERM, or -EBUSY if the pins are of another build or not all there. */
int store_open(const struct instance *instance, struct store **store);
/* What is there of the pins, for who copes with damage: reading others finds them empty
 * or fails. 0 or -ENOMEM, and fail()'s message is replaced also if it is 0. */
int store_open_remains(const struct instance *instance, struct store **store);
void store_close(struct store *store); /* accepts NULL */
/* -EBUSY with fail() unless the caller is in the instance's network namespace. */
int store_need_netns(const struct store *store);
/* The caller's network namespace, as in xdnat_config. */
uint64_t store_netns_cookie(void);
/* The descriptor of the pinned XDP program; stays the store's. */
int store_xdp_program(const struct store *store);

int store_config(const struct store *store, struct xdnat_config *config);
/* Sums all processors. counters[XDNAT_REASON_MAX]. */
int store_counters(const struct store *store, struct xdnat_counter *counters);

/* Rules. An entry is what a rule is to tools and datapath alike. */
struct store_rule {
	uint32_t id;
	uint32_t key; /* of its spec: another once the rule says something else */
	struct spec spec;
	struct xdnat_rule rule; /* target and totals */
};
/* All rules in listener order; *rules is malloc'd. */
int store_rules(const struct store *store, struct store_rule **rules, size_t *count);

/*
 * A change of the rules. What is added and removed, and the listeners in the other
 * set, nobody sees until it is committed; settling removes what was replaced, or,
 * of a change that was never committed, what was prepared. It begins with settling:
 * the change before may have been cut short. Under the instance's lock.
 */
int store_change_settle(struct store *store);
/* Gives rules their keys, and ids to those that have none (0); the others' rows,
 * targets and totals stay. */
int store_change_add(struct store *store, struct store_rule *rules, size_t count);
int store_change_remove(struct store *store, const struct store_rule *rules, size_t count);
/* Raises config.generation, by which those who follow rules know that they changed.
 * is_swap: the prepared listeners come into force with it. */
int store_change_commit(struct store *store, bool is_swap);

/* Listeners of the active set. */
struct store_listener {
	struct xdnat_listener key;
	uint32_t rule;
};
int store_listeners(const struct store *store, struct store_listener **listeners, size_t *count);
/* Fills the other set, which is empty, for store_change_commit(). */
int store_listeners_prepare(struct store *store, const struct store_listener *listeners,
			    size_t count);

/* Loaded interfaces, by rising ifindex. */
struct store_interface {
	uint32_t ifindex;
	struct xdnat_interface interface;
};
int store_interfaces(const struct store *store, struct store_interface **interfaces, size_t *count);
int store_interface_put(struct store *store, const struct store_interface *interface);
int store_interface_remove(struct store *store, uint32_t ifindex);

/* Neighbour entries that we keep resolved. */
int store_neighbours(const struct store *store, struct xdnat_neighbour **neighbours, size_t *count);
int store_neighbour_put(struct store *store, const struct xdnat_neighbour *neighbour);
int store_neighbour_remove(struct store *store, const struct xdnat_neighbour *neighbour);

/* Flows. */
struct store_flow {
	bool is_v6;
	uint8_t proto;
	uint8_t state; /* of both halves together: XDNAT_ANSWERED … */
	uint32_t rule;
	struct xdnat_addr client, listener, target;
	uint16_t client_port_host, listener_port_host, target_port_host;
	uint64_t packets[XDNAT_DIRECTIONS], bytes[XDNAT_DIRECTIONS];
	uint32_t idle_sec; /* since the last packet of either direction */
	uint32_t life_sec; /* it ends when idle_sec passes this */
	bool expired;
	bool has_reply;	       /* false: the reply half is missing */
	bool is_orphan;	       /* an expired reply half alone: only key and rule stand */
	struct xdnat_key6 key; /* for store_flow_end */
};
/* Calls each(flow, context) for every flow, reading the tables in batches, in
 * constant memory; also for expired ones and orphans; stops when each() returns
 * non-zero and returns that. */
int store_flows_each(const struct store *store,
		     int (*each)(const struct store_flow *flow, void *context), void *context);
/* Frees the flow if the datapath finds it expired too, or by force.
 * Returns 1 if it is gone, 0 if it lives on, or -errno. */
int store_flow_end(const struct store *store, const struct store_flow *flow, bool force);

/* Bytes of both flow tables, as the kernel accounts them, and of one v4 flow. */
struct store_memory {
	uint64_t flows4_bytes, flows6_bytes;
	uint32_t flow4_bytes, flow6_bytes; /* one flow: both halves and its share of the index */
};
int store_memory(const struct store *store, struct store_memory *memory);

#endif
