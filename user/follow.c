// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compares the store's interfaces with the kernel's. One that is gone keeps its
 * entry: `unload` and `status` tell of it.
 */
#include "follow.h"

#include <stdlib.h>
#include <string.h>

#include "netlink.h"

static const struct netlink_link *find(uint32_t ifindex, const struct netlink_link *links,
				       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (links[i].ifindex == ifindex)
			return &links[i];
	}
	return NULL;
}

static int follow_one(struct store *store, struct store_interface *known,
		      const struct netlink_link *link)
{
	struct xdnat_interface *interface = &known->interface;

	if (!memcmp(interface->mac, link->mac, sizeof(interface->mac)) &&
	    !strcmp(interface->name, link->name))
		return 0;
	memcpy(interface->mac, link->mac, sizeof(interface->mac));
	strcpy(interface->name, link->name);
	return store_interface_put(store, known);
}

int follow_interfaces(struct store *store)
{
	struct store_interface *interfaces = NULL;
	struct netlink_link *links = NULL;
	size_t interface_count = 0, link_count = 0;
	int err;

	err = store_interfaces(store, &interfaces, &interface_count);
	if (!err)
		err = netlink_links(&links, &link_count);
	for (size_t i = 0; !err && i < interface_count; i++) {
		const struct netlink_link *link = find(interfaces[i].ifindex, links, link_count);

		if (link)
			err = follow_one(store, &interfaces[i], link);
	}
	free(links);
	free(interfaces);
	return err;
}
