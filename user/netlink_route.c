// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes: who carries a default route, and where a packet to an address goes.
 */
#include <errno.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "netlink.h"
#include "netlink_request.h"

static int add_interface(struct netlink_list *list, uint32_t ifindex, bool is_v6)
{
	const struct netlink_default *known = list->items;
	struct netlink_default *item;

	for (size_t i = 0; i < list->count; i++) {
		if (known[i].ifindex == ifindex && known[i].is_v6 == is_v6)
			return MNL_CB_OK;
	}
	item = netlink_list_add(list);
	if (!item) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	item->ifindex = ifindex;
	item->is_v6 = is_v6;
	return MNL_CB_OK;
}

static int add_multipath(struct netlink_list *list, const struct nlattr *attr, bool is_v6)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(attr);
	int left = mnl_attr_get_payload_len(attr);
	int status = MNL_CB_OK;

	while (RTNH_OK(hop, left) && status == MNL_CB_OK) {
		status = add_interface(list, hop->rtnh_ifindex, is_v6);
		left -= NLMSG_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return status;
}

static int add_default(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	bool is_v6 = route->rtm_family == AF_INET6;
	const struct nlattr *attr;
	int status = MNL_CB_OK;

	if (!is_v6 && route->rtm_family != AF_INET)
		return MNL_CB_OK;
	if (route->rtm_dst_len || route->rtm_type != RTN_UNICAST ||
	    route->rtm_table != RT_TABLE_MAIN || route->rtm_flags & RTM_F_CLONED)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(*route))
	{
		if (mnl_attr_get_type(attr) == RTA_OIF)
			status = add_interface(context, mnl_attr_get_u32(attr), is_v6);
		else if (mnl_attr_get_type(attr) == RTA_MULTIPATH)
			status = add_multipath(context, attr, is_v6);
		if (status != MNL_CB_OK)
			break;
	}
	return status;
}

int netlink_default_interfaces(struct netlink_default **defaults, size_t *count)
{
	struct netlink_list list = {.item_bytes = sizeof(**defaults)};
	union netlink_request request;
	struct rtmsg *route;
	int err;

	*defaults = NULL;
	*count = 0;
	route = netlink_request_begin(&request, RTM_GETROUTE, NLM_F_DUMP, sizeof(*route));
	route->rtm_family = AF_UNSPEC;
	err = netlink_dump(&request, add_default, &list);
	if (err)
		return fail(err, "cannot list the default routes: %s", strerror(-err));
	*defaults = list.items;
	*count = list.count;
	return 0;
}

/* The kernel's answer to "where does this go". */
struct route_answer {
	uint8_t type;
	struct netlink_hop hop;
	struct xdnat_addr source; /* of a packet of this host */
};

/* A next hop of the other family (RFC 5549): struct rtvia, address after it. */
static void read_via(const struct nlattr *attr, struct xdnat_addr *next)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	size_t bytes = mnl_attr_get_payload_len(attr);
	__be32 v4;

	if (bytes >= sizeof(*via) + sizeof(*next) && via->rtvia_family == AF_INET6) {
		*next = addr_from_v6(via->rtvia_addr);
	} else if (bytes >= sizeof(*via) + sizeof(v4) && via->rtvia_family == AF_INET) {
		memcpy(&v4, via->rtvia_addr, sizeof(v4));
		*next = addr_from_v4(v4);
	}
}

static int read_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	struct route_answer *answer = context;
	const struct nlattr *attr;

	answer->type = route->rtm_type;
	mnl_attr_for_each(attr, message, sizeof(*route))
	{
		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF:
			answer->hop.ifindex = mnl_attr_get_u32(attr);
			break;
		case RTA_GATEWAY:
			netlink_attr_addr(attr, &answer->hop.next);
			break;
		case RTA_VIA:
			read_via(attr, &answer->hop.next);
			break;
		case RTA_PREFSRC:
			netlink_attr_addr(attr, &answer->source);
			break;
		}
	}
	return MNL_CB_OK;
}

static int no_route(int err, uint8_t type, const struct xdnat_addr *addr)
{
	char text[ADDR_TEXT_BYTES];

	addr_format(addr, false, text);
	if (err == -ENOMEM || err == -ETIMEDOUT || err == -ENOBUFS || err == -EPERM)
		return fail(err, "cannot look up the route to %s: %s", text, strerror(-err));
	if (!err && type == RTN_LOCAL)
		return fail(-EHOSTUNREACH, "%s is an address of this host itself", text);
	if (!err && (type == RTN_BROADCAST || type == RTN_ANYCAST || type == RTN_MULTICAST))
		return fail(-EHOSTUNREACH, "%s is not the address of one host", text);
	return fail(-EHOSTUNREACH, "no route to %s; look with: ip route get %s", text, text);
}

static int ask_route(const struct xdnat_addr *addr, struct route_answer *answer)
{
	union netlink_request request;
	struct rtmsg *route;
	int err;

	route = netlink_request_begin(&request, RTM_GETROUTE, 0, sizeof(*route));
	route->rtm_family = netlink_family(addr);
	route->rtm_dst_len = addr_is_v4(addr) ? 32 : 128;
	netlink_request_put_addr(&request, RTA_DST, addr);
	*answer = (struct route_answer){.type = RTN_UNSPEC, .hop.next = *addr};
	err = netlink_talk(&request, read_route, answer);
	if (err || answer->type != RTN_UNICAST || !answer->hop.ifindex)
		return no_route(err, answer->type, addr);
	return 0;
}

int netlink_route(const struct xdnat_addr *addr, struct netlink_hop *hop)
{
	struct route_answer answer;
	int err = ask_route(addr, &answer);

	if (!err)
		*hop = answer.hop;
	return err;
}

int netlink_route_source(const struct xdnat_addr *addr, struct xdnat_addr *source)
{
	static const struct xdnat_addr none;
	struct route_answer answer;
	char text[ADDR_TEXT_BYTES];
	int err = ask_route(addr, &answer);

	if (err)
		return err;
	if (addr_equal(&answer.source, &none))
		return fail(-EHOSTUNREACH, "the interface towards %s has no address to send from",
			    addr_format(addr, false, text));
	*source = answer.source;
	return 0;
}
