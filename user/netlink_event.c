// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changed: the kernel's announcements about links, addresses, routes,
 * routing rules and next-hop objects, boiled down to two bits.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "fail.h"
#include "netlink.h"
#include "netlink_request.h"

/* So that a storm of announcements does not keep the daemon from its other
 * duties: what is left is read at the next call. */
#define READS_MAX 256

static const unsigned int groups[] = {
	RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,   RTNLGRP_NEXTHOP,
};

int netlink_events_open(void **socket)
{
	struct mnl_socket *events;
	int err = 0;

	*socket = NULL;
	events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!events || mnl_socket_bind(events, 0, MNL_SOCKET_AUTOPID) < 0)
		err = -errno;
	for (size_t i = 0; !err && i < sizeof(groups) / sizeof(groups[0]); i++) {
		unsigned int group = groups[i];

		if (mnl_socket_setsockopt(events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) <
		    0)
			err = -errno;
	}
	if (err) {
		netlink_events_close(events);
		return fail(err, "cannot follow changes of the network: %s", strerror(-err));
	}
	*socket = events;
	return mnl_socket_get_fd(events);
}

static int note_change(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	unsigned int *changes = context;

	switch (message->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		*changes |= NETLINK_CHANGED_ROUTES;
		if (!route->rtm_dst_len)
			*changes |= NETLINK_CHANGED_ADDRESSES;
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		*changes |= NETLINK_CHANGED_ROUTES;
		break;
	default:
		*changes |= NETLINK_CHANGED_ADDRESSES | NETLINK_CHANGED_ROUTES;
	}
	return MNL_CB_OK;
}

unsigned int netlink_events_drain(void *socket)
{
	static char bytes[16384];
	unsigned int changes = 0;

	for (int reads = 0; reads < READS_MAX; reads++) {
		ssize_t count = mnl_socket_recvfrom(socket, bytes, sizeof(bytes));

		if (count < 0 && errno == EAGAIN)
			break;
		if (count < 0 && errno == EINTR)
			continue;
		/* ENOBUFS: announcements were lost. Too long for us: its kind is unknown. */
		if (count < 0)
			changes |= NETLINK_CHANGED_ADDRESSES | NETLINK_CHANGED_ROUTES;
		else
			mnl_cb_run(bytes, count, 0, 0, note_change, &changes);
	}
	return changes;
}

void netlink_events_close(void *socket)
{
	if (socket)
		mnl_socket_close(socket);
}
