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
#include "source.h"
#include "spec.h"
#include "xdnat_abi.h"

struct store;

/* -ENOTLOADED with fail() ("xdnat is not loaded …; type: xdnat load IFACE"),
 * -EPERM, or -EBUSY if the pins are of another build or not all there. */
int store_open(const struct instance *instance, struct store **store);
/* The same while the pins of the build that it is upgraded from are still there. */
int store_open_unfinished(const struct instance *instance, struct store **store);
/* What is there of the pins, for who copes with damage: reading others finds them empty
 * or fails. 0 or -ENOMEM, and fail()'s message is replaced also if it is 0. */
int store_open_remains(const struct instance *instance, struct store **store);
void store_close(struct store *store); /* accepts NULL */
/* -EBUSY with fail() unless the caller is in the instance's network namespace. */
int store_need_netns(const struct store *store);
int store_need_netns_cookie(uint64_t loaded_in);
/* The caller's network namespace, as in xdnat_config. */
uint64_t store_netns_cookie(void);
/* The descriptor of the pinned XDP program; stays the store's. */
int store_xdp_program(const struct store *store);
/* Of the pinned tc program, the one for packets' way in or out. */
int store_tc_program(const struct store *store, bool is_egress);

int store_config(const struct store *store, struct xdnat_config *config);
/* Sums all processors, each hook apart. */
struct store_counters {
	struct xdnat_counter at[XDNAT_HOOKS][XDNAT_REASON_MAX];
};
int store_counters(const struct store *store, struct store_counters *counters);
/* Of one reason, at all hooks. */
uint64_t store_reason_pkts(const struct store_counters *counters, enum xdnat_reason reason);

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

/* The sources of a rule; what its spec's allow and deny say. */
struct store_sources {
	struct source_list allow, deny;
};
/* Writes lists that nobody sees yet, number being the key of a rule that was added. */
int store_prefixes_add(struct store *store, uint32_t number, const struct store_sources *sources);
/* Whether a rule's lists in force have not the number that is its key. */
int store_lists_differ(const struct store *store, const struct store_rule *rules, size_t count,
		       bool *differ);
/* Says in the other set which lists are whose, for store_change_commit(). */
int store_lists_prepare(struct store *store, const struct store_rule *rules, size_t count);

/* Listeners of the active set. */
struct store_listener {
	struct xdnat_listener key;
	uint32_t rule;
};
int store_listeners(const struct store *store, struct store_listener **listeners, size_t *count);
/* Fills the other set, which is empty, for store_change_commit(). */
int store_listeners_prepare(struct store *store, const struct store_listener *listeners,
			    size_t count);

/* Ranges of the active set. */
struct store_range {
	struct xdnat_range key;
	uint32_t rule; /* 0: nobody's */
};
int store_ranges(const struct store *store, struct store_range **ranges, size_t *count);
/* As store_listeners_prepare(). */
int store_ranges_prepare(struct store *store, const struct store_range *ranges, size_t count);

/* What the leak guard knows; no part of a change, each is there at once. */
int store_target_ports(const struct store *store, struct xdnat_target_port **ports, size_t *count);
int store_target_ports_add(struct store *store, const struct xdnat_target_port *ports,
			   size_t count);
int store_target_ports_remove(struct store *store, const struct xdnat_target_port *ports,
			      size_t count);

/* By what the datapath tells foreign packets; no part of a change either. */
int store_port_bits(const struct store *store, struct xdnat_port_bits *bits);
int store_port_bits_write(struct store *store, const struct xdnat_port_bits *bits);

/* Loaded interfaces, by rising ifindex. */
struct store_interface {
	uint32_t ifindex;
	struct xdnat_interface interface;
};
int store_interfaces(const struct store *store, struct store_interface **interfaces, size_t *count);
int store_interface_put(struct store *store, const struct store_interface *interface);
int store_interface_remove(struct store *store, uint32_t ifindex);

/* Of an interface in the caller's network namespace: the kernel knows it as one of ours
 * until it is gone or leaves that namespace, or we forget it. */
int store_device_put(struct store *store, uint32_t ifindex);
int store_device_remove(struct store *store, uint32_t ifindex);
/* Asked in any network namespace. */
bool store_device_is_there(const struct store *store, uint32_t ifindex);

/* Source addresses of masquerade rules, by rising rule. */
struct store_snat {
	uint32_t rule;
	struct xdnat_snat snat;
};
int store_snats(const struct store *store, struct store_snat **snats, size_t *count);
int store_snat_put(struct store *store, const struct store_snat *snat);
int store_snat_remove(struct store *store, uint32_t rule);
/* Source ports that may be given out: is_free[XDNAT_PORTS], by number. */
int store_snat_ports(const struct store *store, bool *is_free);
int store_snat_ports_write(struct store *store, const bool *is_free);
/* The range that they are of, both 0 for the default. */
int store_snat_range_write(struct store *store, uint16_t first_host, uint16_t last_host);

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
	struct xdnat_addr source; /* what the target sees; the client, or this host */
	uint16_t client_port_host, listener_port_host, target_port_host, source_port_host;
	uint64_t packets[XDNAT_DIRECTIONS], bytes[XDNAT_DIRECTIONS];
	uint32_t idle_sec; /* since the last packet of either direction */
	uint32_t life_sec; /* it ends when idle_sec passes this */
	bool expired;
	bool has_reply;	       /* false: the reply half is missing */
	bool is_orphan;	       /* a reply half alone */
	struct xdnat_key6 key; /* for store_flow_end */
};
typedef int (*store_flow_visitor)(const struct store_flow *flow, void *context);

/* Calls each(flow, context) for every flow, reading the tables where they are; also for
 * expired ones, and for orphans that have expired or rest, of which only key and rule
 * stand; stops when each() returns non-zero and returns that. What comes or goes
 * meanwhile is seen or not. */
int store_flows_each(const struct store *store, store_flow_visitor each, void *context);
/* The same for orphans that live: what is left of an embryo whose original half was
 * replaced. An answer would make its flow anew. Not known: idle_sec, life_sec. */
int store_orphans_each(const struct store *store, store_flow_visitor each, void *context);
/* Frees the flow; force: XDNAT_END_EXPIRED, if the datapath finds that too, or
 * another. Returns 1 if it is gone, 0 if it lives on, or -errno. */
int store_flow_end(const struct store *store, const struct store_flow *flow, uint32_t force);
/* Puts a half as it is into the table. Under the instance's lock. Returns 0, -EEXIST,
 * -EBUSY or -ENOSPC (struct xdnat_flow_put), or another -errno with fail(). */
int store_flow_put(const struct store *store, struct xdnat_flow_put *request);

/* Bytes of each family's flow table with all that belongs to it, as the kernel accounts
 * them. */
struct store_memory {
	uint64_t flows4_bytes, flows6_bytes;
	uint32_t flow4_bytes, flow6_bytes; /* one flow: both halves and its share of the rest */
};
int store_memory(const struct store *store, struct store_memory *memory);

#endif
