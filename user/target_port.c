// SPDX-License-Identifier: GPL-2.0-only
#include "target_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "fail.h"

#define PORT_BITS 16

struct ports {
	struct xdnat_target_port *items;
	size_t count, room;
};

/* Private and shared addresses (RFC 1918, RFC 6598, RFC 4193): on the way to clients
 * they are a leak. */
static bool is_private(const struct xdnat_addr *addr)
{
	uint32_t v4_host = ntohl(addr->word[3]);

	if (!addr_is_v4(addr))
		return ntohl(addr->word[0]) >> 25 == 0xfc >> 1;
	return v4_host >> 24 == 10 || v4_host >> 20 == 0xac1 || v4_host >> 16 == 0xc0a8 ||
	       v4_host >> 22 == (100 << 2 | 1);
}

static int add_prefix(struct ports *ports, const struct xdnat_target_port *key)
{
	if (ports->count == ports->room) {
		size_t room = ports->room ? 2 * ports->room : 64;
		void *items = reallocarray(ports->items, room, sizeof(*ports->items));

		if (!items)
			return fail(-ENOMEM, "no memory");
		ports->items = items;
		ports->room = room;
	}
	ports->items[ports->count++] = *key;
	return 0;
}

/* Ports from one to another, both protocols: the fewest prefixes, 30 at most. */
static int add_range(struct ports *ports, const struct spec *spec, uint32_t from_host,
		     uint32_t last_host)
{
	struct xdnat_target_port key = {.addr = spec->target};
	int err = 0;

	while (!err && from_host <= last_host) {
		uint32_t size = 1; /* a power of two that from_host is a multiple of */

		while (!(from_host & size) && from_host + 2 * size - 1 <= last_host)
			size *= 2;
		key.prefix_bits = XDNAT_TARGET_PORT_BITS + PORT_BITS - __builtin_ctz(size);
		key.port = htons(from_host);
		for (uint8_t proto = SPEC_TCP; !err && proto <= SPEC_UDP; proto <<= 1) {
			key.proto = proto == SPEC_TCP ? IPPROTO_TCP : IPPROTO_UDP;
			if (spec->protos & proto)
				err = add_prefix(ports, &key);
		}
		from_host += size;
	}
	return err;
}

static int add_rule(struct ports *ports, const struct spec *spec)
{
	uint32_t offset = spec->target_ports.first_host - spec->ports.first_host;
	uint32_t from_host = spec->target_ports.first_host;
	int err = 0;

	if (!spec->enabled || spec->is_local || !is_private(&spec->target))
		return 0;
	if (spec->target_ports.first_host == spec->target_ports.last_host)
		return add_range(ports, spec, from_host, from_host);
	for (uint8_t i = 0; !err && i < spec->except_count; i++) {
		err = add_range(ports, spec, from_host, spec->except[i].first_host + offset - 1);
		from_host = spec->except[i].last_host + offset + 1;
	}
	return err ? err : add_range(ports, spec, from_host, spec->target_ports.last_host);
}

static int compare_ports(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct xdnat_target_port));
}

/* Sorted, without doubles. */
static int list_wanted(const struct store_rule *rules, size_t count, struct ports *wanted)
{
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = add_rule(wanted, &rules[i].spec);
	if (err || !wanted->count)
		return err;
	qsort(wanted->items, wanted->count, sizeof(*wanted->items), compare_ports);
	for (size_t i = 1; i < wanted->count; i++)
		if (compare_ports(&wanted->items[kept], &wanted->items[i]))
			wanted->items[++kept] = wanted->items[i];
	wanted->count = kept + 1;
	return 0;
}

/* Drops from ports what others, sorted, have too. */
static void keep_missing(struct ports *ports, const struct ports *others)
{
	size_t kept = 0;

	for (size_t i = 0; i < ports->count; i++)
		if (!others->count || !bsearch(&ports->items[i], others->items, others->count,
					       sizeof(*others->items), compare_ports))
			ports->items[kept++] = ports->items[i];
	ports->count = kept;
}

static int read_both(const struct store *store, const struct store_rule *rules, size_t count,
		     struct ports *wanted, struct ports *present)
{
	int err = list_wanted(rules, count, wanted);

	if (!err)
		err = store_target_ports(store, &present->items, &present->count);
	if (!err)
		qsort(present->items, present->count, sizeof(*present->items), compare_ports);
	return err;
}

int target_port_add(struct store *store, const struct store_rule *rules, size_t count)
{
	struct ports wanted = {}, present = {};
	int err = read_both(store, rules, count, &wanted, &present);

	if (!err)
		keep_missing(&wanted, &present);
	if (!err && wanted.count)
		err = store_target_ports_add(store, wanted.items, wanted.count);
	free(wanted.items);
	free(present.items);
	return err;
}

int target_port_prune(struct store *store, const struct store_rule *rules, size_t count)
{
	struct ports wanted = {}, present = {};
	int err = read_both(store, rules, count, &wanted, &present);

	if (!err)
		keep_missing(&present, &wanted);
	if (!err && present.count)
		err = store_target_ports_remove(store, present.items, present.count);
	free(wanted.items);
	free(present.items);
	return err;
}
