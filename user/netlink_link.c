// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interfaces and their addresses, as rtnetlink(7) tells them.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "netlink.h"
#include "netlink_request.h"

#define NAMES_BYTES 512 /* of interfaces, in a message */

static void copy_text(const struct nlattr *attr, char *text, size_t size)
{
	snprintf(text, size, "%.*s", (int)mnl_attr_get_payload_len(attr),
		 (const char *)mnl_attr_get_payload(attr));
}

static void read_kind(const struct nlattr *info, struct netlink_link *link)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			copy_text(attr, link->kind, sizeof(link->kind));
	}
}

/* Whichever mode it is in; with several, the driver's. */
static void read_xdp(const struct nlattr *xdp, struct netlink_link *link)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, xdp)
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_XDP_PROG_ID:
		case IFLA_XDP_SKB_PROG_ID:
		case IFLA_XDP_HW_PROG_ID:
			if (!link->xdp_prog_id)
				link->xdp_prog_id = mnl_attr_get_u32(attr);
			break;
		case IFLA_XDP_DRV_PROG_ID:
			link->xdp_prog_id = mnl_attr_get_u32(attr);
			break;
		}
	}
}

static void read_link_attr(const struct nlattr *attr, struct netlink_link *link)
{
	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		copy_text(attr, link->name, sizeof(link->name));
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attr) == sizeof(link->mac))
			memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
		break;
	case IFLA_MTU:
		link->mtu = mnl_attr_get_u32(attr);
		break;
	case IFLA_LINKINFO:
		read_kind(attr, link);
		break;
	case IFLA_XDP:
		read_xdp(attr, link);
		break;
	}
}

static int add_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct netlink_link *link = netlink_list_add(context);
	const struct nlattr *attr;

	if (!link) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	link->ifindex = info->ifi_index;
	link->has_ethernet = info->ifi_type == ARPHRD_ETHER;
	link->is_up = info->ifi_flags & IFF_UP;
	mnl_attr_for_each(attr, message, sizeof(*info)) read_link_attr(attr, link);
	return MNL_CB_OK;
}

int netlink_links(struct netlink_link **links, size_t *count)
{
	struct netlink_list list = {.item_bytes = sizeof(**links)};
	union netlink_request request;
	struct ifinfomsg *info;
	int err;

	*links = NULL;
	*count = 0;
	info = netlink_request_begin(&request, RTM_GETLINK, NLM_F_DUMP, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_u32(&request.header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	err = netlink_dump(&request, add_link, &list);
	if (err)
		return fail(err, "cannot list the interfaces: %s", strerror(-err));
	*links = list.items;
	*count = list.count;
	return 0;
}

const struct netlink_link *netlink_link_at(uint32_t ifindex, const struct netlink_link *links,
					   size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (links[i].ifindex == ifindex)
			return &links[i];
	return NULL;
}

const struct netlink_link *netlink_link_named(const char *name, const struct netlink_link *links,
					      size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(links[i].name, name))
			return &links[i];
	return NULL;
}

static int no_such_link(const char *name, const struct netlink_link *links, size_t count)
{
	char names[NAMES_BYTES] = "";
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		if (used + XDNAT_IFNAME_BYTES + sizeof(", ...") > sizeof(names)) {
			strcpy(names + used, ", ...");
			break;
		}
		used += sprintf(names + used, "%s%s", used ? ", " : "", links[i].name);
	}
	return fail(-ENODEV, "no interface %s; there are: %s", name, names);
}

int netlink_link(const char *name, struct netlink_link *link)
{
	struct netlink_link *links;
	size_t count;
	const struct netlink_link *found;
	int err;

	err = netlink_links(&links, &count);
	if (err)
		return err;
	found = netlink_link_named(name, links, count);
	if (found)
		*link = *found;
	else
		err = no_such_link(name, links, count);
	free(links);
	return err;
}

/* A tentative address may turn out to be somebody else's (RFC 4862 section 5.4);
 * an optimistic one may be used meanwhile (RFC 4429). */
static bool is_usable(const struct ifaddrmsg *info, uint32_t flags)
{
	if (info->ifa_scope != RT_SCOPE_UNIVERSE || flags & IFA_F_DADFAILED)
		return false;
	return !(flags & IFA_F_TENTATIVE) || flags & IFA_F_OPTIMISTIC;
}

/* IFA_ADDRESS is the peer's on point-to-point links, IFA_LOCAL then ours. */
static int add_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr, *ours = NULL;
	uint32_t flags = info->ifa_flags;
	struct netlink_address *address;
	struct xdnat_addr addr;

	mnl_attr_for_each(attr, message, sizeof(*info))
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !ours))
			ours = attr;
		if (type == IFA_FLAGS)
			flags = mnl_attr_get_u32(attr);
	}
	if (!ours || !is_usable(info, flags) || netlink_attr_addr(ours, &addr))
		return MNL_CB_OK;
	address = netlink_list_add(context);
	if (!address) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	address->ifindex = info->ifa_index;
	address->addr = addr;
	return MNL_CB_OK;
}

int netlink_addresses(struct netlink_address **addresses, size_t *count)
{
	struct netlink_list list = {.item_bytes = sizeof(**addresses)};
	union netlink_request request;
	struct ifaddrmsg *info;
	int err;

	*addresses = NULL;
	*count = 0;
	info = netlink_request_begin(&request, RTM_GETADDR, NLM_F_DUMP, sizeof(*info));
	info->ifa_family = AF_UNSPEC;
	err = netlink_dump(&request, add_address, &list);
	if (err)
		return fail(err, "cannot list the interfaces' addresses: %s", strerror(-err));
	*addresses = list.items;
	*count = list.count;
	return 0;
}
