// SPDX-License-Identifier: GPL-2.0-only
/*
 * What masquerading takes from the store: addresses by rule, and the ports that may be
 * given out.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "store_maps.h"

static int compare_rules(const void *left, const void *right)
{
	const struct store_snat *l = left, *r = right;

	return (l->rule > r->rule) - (l->rule < r->rule);
}

int store_snats(const struct store *store, struct store_snat **snats, size_t *count)
{
	struct store_array array = {
		.sizes = {sizeof(uint32_t), sizeof(struct xdnat_snat)},
	};
	int err = store_map_read(store->maps[STORE_SNAT], &array);

	_Static_assert(sizeof(**snats) == sizeof(uint32_t) + sizeof(struct xdnat_snat),
		       "entries are store_snats");
	*snats = (void *)array.entries;
	*count = array.count;
	if (array.count)
		qsort(*snats, array.count, sizeof(**snats), compare_rules);
	return err;
}

int store_snat_put(struct store *store, const struct store_snat *snat)
{
	int err = bpf_map_update_elem(store->maps[STORE_SNAT], &snat->rule, &snat->snat, BPF_ANY);

	return err ? fail_kernel(err, "cannot write the source address of a rule") : 0;
}

int store_snat_remove(struct store *store, uint32_t rule)
{
	int err = bpf_map_delete_elem(store->maps[STORE_SNAT], &rule);

	return err && err != -ENOENT ? fail_kernel(err, "cannot remove a source address") : 0;
}

/* ports: XDNAT_PORTS. */
static int read_ports(const struct store *store, struct xdnat_snat_port *ports)
{
	struct store_array array = {
		.sizes = {sizeof(uint32_t), sizeof(*ports)},
	};
	size_t entry = store_entry_bytes(&array.sizes);
	int err = store_map_read(store->maps[STORE_SNAT_PORTS], &array);

	for (size_t i = 0; i < array.count && i < XDNAT_PORTS; i++)
		memcpy(&ports[i], array.entries + i * entry + sizeof(uint32_t), sizeof(*ports));
	free(array.entries);
	return err;
}

int store_snat_ports(const struct store *store, bool *is_free)
{
	struct xdnat_snat_port *ports = calloc(XDNAT_PORTS, sizeof(*ports));
	int err = ports ? read_ports(store, ports) : fail(-ENOMEM, "no memory");

	for (size_t i = 0; !err && i < XDNAT_PORTS; i++)
		is_free[i] = ports[i].is_free_to_use;
	free(ports);
	return err;
}

/* How much of the list counts. */
static int write_count(struct store *store, uint32_t count)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (err || config.snat_ports == count)
		return err;
	config.snat_ports = count;
	return store_config_write(store, &config);
}

/* The list first, then how much of it counts: of a packet that comes between, the port
 * was free before or is after. If none is free, the list keeps its ports and no packet
 * looks at it. */
int store_snat_ports_write(struct store *store, const bool *is_free)
{
	struct xdnat_snat_port *ports = calloc(XDNAT_PORTS, sizeof(*ports));
	uint32_t *keys = calloc(XDNAT_PORTS, sizeof(*keys));
	uint32_t count = 0;
	int err = ports && keys ? read_ports(store, ports)
				: fail(-ENOMEM, "no memory for a list of ports");

	for (uint32_t port_host = 0; !err && port_host < XDNAT_PORTS; port_host++) {
		keys[port_host] = port_host;
		ports[port_host].is_free_to_use = is_free[port_host];
		if (is_free[port_host])
			ports[count++].port = htons(port_host);
	}
	for (uint32_t i = count; !err && count && i < XDNAT_PORTS; i++)
		ports[i].port = ports[i % count].port;
	if (!err && !count)
		err = write_count(store, 0);
	if (!err)
		err = store_map_write(store->maps[STORE_SNAT_PORTS], keys, ports, XDNAT_PORTS);
	if (!err && count)
		err = write_count(store, count);
	free(ports);
	free(keys);
	return err;
}

int store_snat_range_write(struct store *store, uint16_t first_host, uint16_t last_host)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (err || (config.snat_first_host == first_host && config.snat_last_host == last_host))
		return err;
	config.snat_first_host = first_host;
	config.snat_last_host = last_host;
	return store_config_write(store, &config);
}
