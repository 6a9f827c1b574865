// SPDX-License-Identifier: GPL-2.0-only
#include "target_side.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "fail.h"
#include "interface.h"
#include "log.h"
#include "netlink.h"
#include "nexthop.h"

/* Its row says that it is there: what takes filters off is followed by interface.h. */
static int attach(const struct instance *instance, struct store *store, uint32_t ifindex)
{
	const struct interface_wish wish = {.mode = XDNAT_MODE_TC, .is_target_side = true};
	const struct netlink_link *link;
	struct netlink_link *links;
	size_t count;
	int err;

	err = netlink_links(&links, &count);
	if (err)
		return err;
	link = netlink_link_at(ifindex, links, count);
	if (link && strcmp(link->name, "lo")) {
		err = interface_load(instance, store, link, &wish, NULL);
		if (err)
			fail_while(err, "no tc filters on %s, which leads to a target", link->name);
	}
	free(links);
	return err;
}

static int compare_addrs(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct xdnat_addr));
}

static int add_one(const struct instance *instance, struct store *store,
		   const struct xdnat_addr *target)
{
	struct store_interface row;
	struct netlink_hop hop;

	if (netlink_route(target, &hop) || !interface_find(store, hop.ifindex, &row))
		return 0;
	return attach(instance, store, hop.ifindex);
}

int target_side_add(const struct instance *instance, struct store *store,
		    const struct store_rule *rules, size_t count)
{
	struct xdnat_addr *targets = calloc(count + 1, sizeof(*targets));
	int result = 0;
	size_t n = 0;

	if (!targets)
		return fail(-ENOMEM, "no memory");
	for (size_t i = 0; i < count; i++)
		if (rules[i].spec.enabled && !rules[i].spec.is_local)
			targets[n++] = rules[i].spec.target;
	qsort(targets, n, sizeof(*targets), compare_addrs);
	for (size_t i = 0; i < n; i++) {
		int err = i && !compare_addrs(&targets[i - 1], &targets[i])
				  ? 0
				  : add_one(instance, store, &targets[i]);

		result = result ?: err;
	}
	free(targets);
	return result;
}

static bool is_among(uint32_t ifindex, const uint32_t *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (items[i] == ifindex)
			return true;
	return false;
}

static bool has_row(uint32_t ifindex, const struct store_interface *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].ifindex == ifindex)
			return true;
	return false;
}

int target_side_sync(const struct instance *instance, struct store *store)
{
	struct store_interface *rows = NULL;
	const uint32_t *needed;
	size_t row_count, count;
	bool is_complete = nexthop_target_sides(&needed, &count);
	int result = store_interfaces(store, &rows, &row_count);

	if (result)
		goto out;
	for (size_t i = 0; i < count; i++) {
		int err = has_row(needed[i], rows, row_count) ? 0
							      : attach(instance, store, needed[i]);

		result = result ?: err;
	}
	for (size_t i = 0; is_complete && i < row_count; i++) {
		int err = 0;

		if (rows[i].interface.flags & XDNAT_TARGET_SIDE &&
		    !is_among(rows[i].ifindex, needed, count))
			err = interface_unload(instance, store, rows[i].ifindex);
		result = result ?: err;
	}
out:
	free(rows);
	return result;
}
