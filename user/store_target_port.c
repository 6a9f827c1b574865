// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's target ports, which the leak guard asks for.
 */
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "store_maps.h"

int store_target_ports(const struct store *store, struct xdnat_target_port **ports, size_t *count)
{
	struct store_array array = {
		.sizes = {sizeof(struct xdnat_target_port), sizeof(uint32_t)},
	};
	int err = store_map_read(store->maps[STORE_TARGET_PORTS], &array);
	struct xdnat_target_port *keys = calloc(array.count + 1, sizeof(*keys));

	if (!err && !keys)
		err = fail(-ENOMEM, "no memory");
	for (size_t i = 0; !err && i < array.count; i++)
		memcpy(&keys[i], array.entries + i * store_entry_bytes(&array.sizes),
		       sizeof(*keys));
	free(array.entries);
	*ports = keys;
	*count = err ? 0 : array.count;
	return err;
}

int store_target_ports_add(struct store *store, const struct xdnat_target_port *ports, size_t count)
{
	uint32_t *values = calloc(count + 1, sizeof(*values));
	int err = values ? store_map_write(store->maps[STORE_TARGET_PORTS], ports, values, count)
			 : fail(-ENOMEM, "no memory");

	free(values);
	return err;
}

int store_target_ports_remove(struct store *store, const struct xdnat_target_port *ports,
			      size_t count)
{
	const struct store_stale stale = {
		.keys = (void *)ports,
		.count = count,
		.key_bytes = sizeof(*ports),
	};

	return store_map_delete(store->maps[STORE_TARGET_PORTS], &stale);
}
