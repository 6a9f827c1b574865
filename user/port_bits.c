// SPDX-License-Identifier: GPL-2.0-only
#include "port_bits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"

#define PORT_BITS 16
#define BYTES	  (XDNAT_PORTS / XDNAT_PORTS_A_BYTE)

static const struct xdnat_port_bits none;

/* Ranges of ports, by number: how many begin at one, less those that ended before it. */
struct ranges {
	int32_t destinations[XDNAT_PORTS + 1];
	int32_t sources[XDNAT_PORTS + 1];
};

static void add_range(int32_t *changes, uint32_t first_host, uint32_t last_host)
{
	changes[first_host]++;
	changes[last_host + 1]--;
}

static void set_bit(__u8 *bits, __be16 port)
{
	bits[port / XDNAT_PORTS_A_BYTE] |= 1 << port % XDNAT_PORTS_A_BYTE;
}

static void clear_bit(__u8 *bits, __be16 port)
{
	bits[port / XDNAT_PORTS_A_BYTE] &= ~(1 << port % XDNAT_PORTS_A_BYTE);
}

static void set_ranges(__u8 *bits, const int32_t *changes)
{
	int32_t ranges = 0;

	for (uint32_t port_host = 0; port_host < XDNAT_PORTS; port_host++) {
		ranges += changes[port_host];
		if (ranges)
			set_bit(bits, htons(port_host));
	}
}

static void add_rules(struct ranges *ranges, const struct store_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct spec *spec = &rules[i].spec;

		if (!spec->enabled)
			continue;
		add_range(ranges->destinations, spec->ports.first_host, spec->ports.last_host);
		add_range(ranges->sources, spec->target_ports.first_host,
			  spec->target_ports.last_host);
	}
}

static void add_leak_guard(struct ranges *ranges, const struct xdnat_target_port *ports,
			   size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t fixed = ports[i].prefix_bits - XDNAT_TARGET_PORT_BITS;
		uint32_t first_host = ntohs(ports[i].port);

		add_range(ranges->sources, first_host,
			  first_host + (1u << (PORT_BITS - fixed)) - 1);
	}
}

/* What rules need, and the leak guard. */
static int find_needed(const struct store *store, const struct store_rule *rules, size_t count,
		       struct xdnat_port_bits *needed)
{
	struct ranges *ranges = calloc(1, sizeof(*ranges));
	struct xdnat_target_port *ports = NULL;
	size_t port_count = 0;
	int err = ranges ? store_target_ports(store, &ports, &port_count)
			 : fail(-ENOMEM, "no memory");

	if (!err) {
		add_rules(ranges, rules, count);
		add_leak_guard(ranges, ports, port_count);
		memset(needed, 0, sizeof(*needed));
		set_ranges(needed->as_destination, ranges->destinations);
		set_ranges(needed->as_source, ranges->sources);
	}
	free(ports);
	free(ranges);
	return err;
}

static void add_bits(struct xdnat_port_bits *bits, const struct xdnat_port_bits *others)
{
	for (size_t i = 0; i < BYTES; i++) {
		bits->as_destination[i] |= others->as_destination[i];
		bits->as_source[i] |= others->as_source[i];
	}
}

static void remove_bits(struct xdnat_port_bits *bits, const struct xdnat_port_bits *others)
{
	for (size_t i = 0; i < BYTES; i++) {
		bits->as_destination[i] &= ~others->as_destination[i];
		bits->as_source[i] &= ~others->as_source[i];
	}
}

static void keep_bits(struct xdnat_port_bits *bits, const struct xdnat_port_bits *others)
{
	for (size_t i = 0; i < BYTES; i++) {
		bits->as_destination[i] &= others->as_destination[i];
		bits->as_source[i] &= others->as_source[i];
	}
}

static bool has_bits(const struct xdnat_port_bits *bits)
{
	return memcmp(bits, &none, sizeof(none));
}

static int set_missing(struct store *store, const struct xdnat_port_bits *needed)
{
	struct xdnat_port_bits present, missing = *needed;
	int err = store_port_bits(store, &present);

	if (err)
		return err;
	remove_bits(&missing, &present);
	if (!has_bits(&missing))
		return 0;
	add_bits(&present, &missing);
	return store_port_bits_write(store, &present);
}

int port_bits_add(struct store *store, const struct store_rule *rules, size_t count)
{
	struct xdnat_port_bits needed;
	int err = find_needed(store, rules, count, &needed);

	return err ? err : set_missing(store, &needed);
}

/* Changes the bits of a flow, or of a rest (no reply half is seen of it), whose packets are
 * the target's alone. */
static void visit(const struct store_flow *flow, struct xdnat_port_bits *bits,
		  void (*change)(__u8 *bits, __be16 port))
{
	if (flow->is_orphan && !flow->has_reply) {
		change(bits->as_source, flow->key.ports.sport);
		return;
	}
	change(bits->as_destination, htons(flow->listener_port_host));
	change(bits->as_source, htons(flow->target_port_host));
}

static int add_flow(const struct store_flow *flow, void *context)
{
	visit(flow, context, set_bit);
	return 0;
}

static int remove_flow(const struct store_flow *flow, void *context)
{
	visit(flow, context, clear_bit);
	return 0;
}

/* A flow whose original half gave up its place goes on with the target's next packet. */
static int each_flow(const struct store *store, store_flow_visitor each,
		     struct xdnat_port_bits *bits)
{
	int err = store_orphans_each(store, each, bits);

	return err ? err : store_flows_each(store, each, bits);
}

int port_bits_add_flows(struct store *store)
{
	struct xdnat_port_bits needed = {};
	int err = each_flow(store, add_flow, &needed);

	return err ? err : set_missing(store, &needed);
}

/* Leaves what nobody needs. *are_all_of_rules: rules and leak guard need all. */
static int find_idle(const struct store *store, struct xdnat_port_bits *bits,
		     bool *are_all_of_rules)
{
	struct store_rule *rules = NULL;
	struct xdnat_port_bits needed;
	size_t count = 0;
	int err = store_rules(store, &rules, &count);

	if (!err)
		err = find_needed(store, rules, count, &needed);
	free(rules);
	if (err)
		return err;
	remove_bits(bits, &needed);
	*are_all_of_rules = !has_bits(bits);
	return *are_all_of_rules ? 0 : each_flow(store, remove_flow, bits);
}

/* Fills unused with what may be cleared. 1: that is something. */
static int look(const struct store *store, struct port_bits_watch *watch,
		struct xdnat_port_bits *unused)
{
	struct xdnat_port_bits present, idle;
	bool are_all_of_rules = false;
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (!err)
		err = store_port_bits(store, &present);
	if (!err && watch->are_all_of_rules && config.generation == watch->generation &&
	    !memcmp(&present, &watch->present, sizeof(present)))
		return 0;
	idle = present;
	if (!err)
		err = find_idle(store, &idle, &are_all_of_rules);
	if (err)
		return err;
	*unused = idle;
	keep_bits(unused, config.generation == watch->generation ? &watch->idle : &none);
	*watch = (struct port_bits_watch){present, idle, config.generation, are_all_of_rules};
	return has_bits(unused);
}

/* Unless the rules have changed since generation. */
static int clear_bits(struct store *store, const struct xdnat_port_bits *unused,
		      uint32_t generation)
{
	struct xdnat_port_bits bits;
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (err || config.generation != generation)
		return err;
	err = store_port_bits(store, &bits);
	remove_bits(&bits, unused);
	return err ? err : store_port_bits_write(store, &bits);
}

/* Looking may take as long as a sweep: the lock is for what comes after. */
int port_bits_follow(const struct instance *instance, struct store *store,
		     struct port_bits_watch *watch)
{
	struct xdnat_port_bits unused;
	int lock, err = look(store, watch, &unused);

	if (err <= 0)
		return err;
	lock = instance_try_lock(instance);
	if (lock < 0)
		return lock == -EWOULDBLOCK ? 0 : lock;
	err = clear_bits(store, &unused, watch->generation);
	close(lock);
	return err;
}
