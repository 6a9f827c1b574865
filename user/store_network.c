// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's interfaces and neighbours.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "store_maps.h"

static int compare_interfaces(const void *left, const void *right)
{
	const struct store_interface *l = left, *r = right;

	return (l->ifindex > r->ifindex) - (l->ifindex < r->ifindex);
}

int store_interfaces(const struct store *store, struct store_interface **interfaces, size_t *count)
{
	struct store_array array = {
		.sizes = {sizeof(uint32_t), sizeof(struct xdnat_interface)},
	};
	int err = store_map_read(store->maps[STORE_INTERFACES], &array);

	_Static_assert(sizeof(**interfaces) == sizeof(uint32_t) + sizeof(struct xdnat_interface),
		       "entries are store_interfaces");
	*interfaces = (void *)array.entries;
	*count = array.count;
	if (array.count)
		qsort(*interfaces, array.count, sizeof(**interfaces), compare_interfaces);
	return err;
}

int store_interface_put(struct store *store, const struct store_interface *interface)
{
	int err = bpf_map_update_elem(store->maps[STORE_INTERFACES], &interface->ifindex,
				      &interface->interface, BPF_ANY);

	return err ? fail_kernel(err, "cannot write interface %s", interface->interface.name) : 0;
}

int store_interface_remove(struct store *store, uint32_t ifindex)
{
	int err = bpf_map_delete_elem(store->maps[STORE_INTERFACES], &ifindex);

	return err && err != -ENOENT ? err : 0;
}

int store_device_put(struct store *store, uint32_t ifindex)
{
	int err = bpf_map_update_elem(store->maps[STORE_DEVICES], &ifindex, &ifindex, BPF_ANY);

	return err ? fail_kernel(err, "cannot note interface %u", ifindex) : 0;
}

int store_device_remove(struct store *store, uint32_t ifindex)
{
	int err = bpf_map_delete_elem(store->maps[STORE_DEVICES], &ifindex);

	return err && err != -ENOENT ? err : 0;
}

bool store_device_is_there(const struct store *store, uint32_t ifindex)
{
	uint32_t value;

	return !bpf_map_lookup_elem(store->maps[STORE_DEVICES], &ifindex, &value);
}

int store_neighbours(const struct store *store, struct xdnat_neighbour **neighbours, size_t *count)
{
	struct store_array array = {
		.sizes = {sizeof(struct xdnat_neighbour), sizeof(uint32_t)},
	};
	int err = store_map_read(store->maps[STORE_NEIGHBOURS], &array);
	size_t entry = store_entry_bytes(&array.sizes);

	*neighbours = (void *)array.entries;
	*count = array.count;
	for (size_t i = 1; !err && i < array.count; i++)
		memmove(&(*neighbours)[i], array.entries + i * entry, sizeof(**neighbours));
	return err;
}

int store_neighbour_put(struct store *store, const struct xdnat_neighbour *neighbour)
{
	uint32_t value = 0;

	return bpf_map_update_elem(store->maps[STORE_NEIGHBOURS], neighbour, &value, BPF_ANY);
}

int store_neighbour_remove(struct store *store, const struct xdnat_neighbour *neighbour)
{
	int err = bpf_map_delete_elem(store->maps[STORE_NEIGHBOURS], neighbour);

	return err == -ENOENT ? 0 : err;
}
