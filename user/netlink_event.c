// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changed: the kernel's announcements about links, addresses, routes, routing
 * rules, next-hop objects, neighbours and tc filters, boiled down to four bits. When it had
 * no room for one, everything may have changed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fail.h"
#include "netlink.h"
#include "netlink_request.h"

/* So that a storm of announcements does not keep the daemon from its other
 * duties: what is left is read at the next call. */
#define READS_MAX 256
/* Some thousand announcements, which the kernel accounts with a KiB each. */
#define RECEIVE_BYTES (4 << 20)
#define CHANGED_ALL                                                                    \
	(NETLINK_CHANGED_ADDRESSES | NETLINK_CHANGED_ROUTES | NETLINK_LOST_NEIGHBOUR | \
	 NETLINK_CHANGED_FILTERS)

struct netlink_events {
	struct mnl_socket *socket;
	/* Announcements were lost. More may get lost, without a word, until the kernel
	 * sees the socket empty. */
	bool is_overrun;
};

/* One drain's. */
struct drain {
	bool (*is_kept)(const struct netlink_hop *hop);
	unsigned int changes;
};

static const unsigned int groups[] = {
	RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,   RTNLGRP_NEXTHOP,
	RTNLGRP_NEIGH,	    RTNLGRP_TC,
};

/* Neighbours that are resolved or on the way to it stay in the kernel: a busy
 * network has thousands of them a second, and they tell us nothing. */
static int filter_neighbours(int socket)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWNEIGH), 0, 2),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
			 NLMSG_HDRLEN + offsetof(struct ndmsg, ndm_state)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NUD_FAILED), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = {sizeof(steps) / sizeof(steps[0]), steps};

	return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ? -errno
											 : 0;
}

static int join_groups(struct mnl_socket *socket)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		unsigned int group = groups[i];

		if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) <
		    0)
			return -errno;
	}
	return 0;
}

static int open_socket(struct netlink_events *events)
{
	const int bytes = RECEIVE_BYTES;
	int descriptor, err;

	events->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!events->socket || mnl_socket_bind(events->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	descriptor = mnl_socket_get_fd(events->socket);
	/* Refused in a user namespace that is not the first: less room does, too. */
	if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	err = filter_neighbours(descriptor);
	return err ?: join_groups(events->socket);
}

int netlink_events_open(struct netlink_events **events)
{
	struct netlink_events *made = calloc(1, sizeof(*made));
	int err = made ? open_socket(made) : -ENOMEM;

	*events = NULL;
	if (err) {
		netlink_events_close(made);
		return fail(err, "cannot follow changes of the network: %s", strerror(-err));
	}
	*events = made;
	return mnl_socket_get_fd(made->socket);
}

/* Deleted, or asked for in vain: others of RTM_NEWNEIGH do not get here. */
static void note_neighbour(const struct nlmsghdr *message, struct drain *drain)
{
	const struct ndmsg *entry = mnl_nlmsg_get_payload(message);
	struct netlink_hop hop = {.ifindex = entry->ndm_ifindex};
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(*entry))
	{
		if (mnl_attr_get_type(attr) == NDA_DST && !netlink_attr_addr(attr, &hop.next) &&
		    drain->is_kept(&hop))
			drain->changes |= NETLINK_LOST_NEIGHBOUR;
	}
}

static int note_change(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	struct drain *drain = context;

	switch (message->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		drain->changes |= NETLINK_CHANGED_ROUTES;
		if (!route->rtm_dst_len)
			drain->changes |= NETLINK_CHANGED_ADDRESSES;
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		drain->changes |= NETLINK_CHANGED_ROUTES;
		break;
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
	case RTM_NEWCHAIN:
	case RTM_DELCHAIN:
	case RTM_NEWTCLASS:
	case RTM_DELTCLASS:
		drain->changes |= NETLINK_CHANGED_FILTERS;
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		note_neighbour(message, drain);
		break;
	default:
		drain->changes |= NETLINK_CHANGED_ADDRESSES | NETLINK_CHANGED_ROUTES;
	}
	return MNL_CB_OK;
}

unsigned int netlink_events_drain(struct netlink_events *events,
				  bool (*is_kept)(const struct netlink_hop *hop))
{
	struct drain drain = {.is_kept = is_kept};
	bool was_overrun = events->is_overrun;
	static char bytes[16384];

	for (int reads = 0; reads < READS_MAX; reads++) {
		ssize_t count = mnl_socket_recvfrom(events->socket, bytes, sizeof(bytes));

		if (count < 0 && errno == EAGAIN) {
			events->is_overrun = false;
			break;
		}
		if (count < 0 && errno == EINTR)
			continue;
		/* ENOBUFS: announcements were lost. Too long for us: its kind is unknown. */
		if (count < 0)
			was_overrun = events->is_overrun = true;
		else
			mnl_cb_run(bytes, count, 0, 0, note_change, &drain);
	}
	return was_overrun ? CHANGED_ALL : drain.changes;
}

void netlink_events_close(struct netlink_events *events)
{
	if (events && events->socket)
		mnl_socket_close(events->socket);
	free(events);
}
