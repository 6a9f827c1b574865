// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compares the store's interfaces with the kernel's. One that is gone keeps its
 * entry: `unload` and `status` tell of it, and it is attached when it comes back.
 */
#include "follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "fail.h"
#include "interface.h"
#include "log.h"
#include "mode.h"
#include "netlink.h"

/* One of another name that is not ours is a stranger that was given the index. */
static int follow_one(const struct instance *instance, struct store *store,
		      struct store_interface *known, const struct netlink_link *link)
{
	static const uint8_t no_mac[sizeof(link->mac)];
	struct xdnat_interface *interface = &known->interface;
	bool is_renamed = strcmp(interface->name, link->name) != 0;
	const uint8_t *mac = link->has_ethernet ? link->mac : no_mac;

	if (!is_renamed && !memcmp(interface->mac, mac, sizeof(interface->mac)))
		return 0;
	if (is_renamed && !attach_is_any_attached(instance, known->ifindex))
		return 0;
	memcpy(interface->mac, mac, sizeof(interface->mac));
	strcpy(interface->name, link->name);
	return store_interface_put(store, known);
}

int follow_interfaces(const struct instance *instance, struct store *store)
{
	struct store_interface *interfaces = NULL;
	struct netlink_link *links = NULL;
	size_t interface_count = 0, link_count = 0;
	int err;

	err = store_interfaces(store, &interfaces, &interface_count);
	if (!err)
		err = netlink_links(&links, &link_count);
	for (size_t i = 0; !err && i < interface_count; i++) {
		const struct netlink_link *link =
			netlink_link_at(interfaces[i].ifindex, links, link_count);

		if (link)
			err = follow_one(instance, store, &interfaces[i], link);
	}
	free(links);
	free(interfaces);
	return err;
}

/* What was last logged of an interface that is not in place. */
struct follow_trouble {
	char name[XDNAT_IFNAME_BYTES];
	char text[512];
};

void follow_forget(struct follow *follow)
{
	free(follow->troubles);
	*follow = (struct follow){};
}

/* True if this is news. */
static bool remember(struct follow *follow, const char *name, const char *text)
{
	struct follow_trouble *trouble = follow->troubles;
	size_t i;

	for (i = 0; i < follow->count && strcmp(trouble->name, name); i++)
		trouble++;
	if (i == follow->count) {
		trouble = realloc(follow->troubles, (i + 1) * sizeof(*trouble));
		if (!trouble)
			return false;
		follow->troubles = trouble;
		trouble += follow->count++;
		*trouble = (struct follow_trouble){};
		snprintf(trouble->name, sizeof(trouble->name), "%s", name);
	}
	if (!strncmp(trouble->text, text, sizeof(trouble->text) - 1))
		return false;
	snprintf(trouble->text, sizeof(trouble->text), "%s", text);
	return true;
}

static void tell(struct follow *follow, const struct store_interface *row, int result)
{
	const char *name = row->interface.name;

	if (result > 0) {
		remember(follow, name, "");
		log_info("%s: attached again (%s)", name, mode_name(row->interface.mode));
	} else if (result < 0 && remember(follow, name, fail_text())) {
		log_warning(result == -ENODEV ? "%s" : "%s (tried again every second)",
			    fail_text());
	}
}

static bool are_in_place(const struct instance *instance, const struct store *store)
{
	struct store_interface *rows = NULL;
	size_t count = 0, i = 0;

	if (!store_interfaces(store, &rows, &count))
		while (i < count && interface_is_in_place(instance, &rows[i]))
			i++;
	free(rows);
	return i == count;
}

static int attach_again(struct follow *follow, const struct instance *instance, struct store *store)
{
	struct store_interface *rows = NULL;
	struct netlink_link *links = NULL;
	size_t count = 0, link_count = 0;
	int attached = 0;
	int err;

	err = store_interfaces(store, &rows, &count);
	if (!err)
		err = netlink_links(&links, &link_count);
	for (size_t i = 0; !err && i < count; i++) {
		int result = interface_attach_again(instance, store, &rows[i], links, link_count);

		tell(follow, &rows[i], result);
		attached += result > 0;
	}
	free(links);
	free(rows);
	return err ?: attached;
}

int follow_attach(struct follow *follow, const struct instance *instance, struct store *store)
{
	int lock, result;

	if (are_in_place(instance, store)) {
		follow_forget(follow);
		return 0;
	}
	lock = instance_try_lock(instance);
	if (lock < 0)
		return lock;
	result = attach_again(follow, instance, store);
	close(lock);
	return result;
}
