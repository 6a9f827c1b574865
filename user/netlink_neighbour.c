// SPDX-License-Identifier: GPL-2.0-only
/*
 * Neighbour entries: their state, and asking the kernel to keep one resolved
 * (NTF_EXT_MANAGED, Linux 5.16). What neigh_add() does with each flag was tried
 * on 6.18: MANAGED and USE leave the entry's state as it is and start resolving;
 * USE without MANAGED lets go; both would take NUD_PERMANENT away, so fixed
 * entries are never written.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "netlink.h"
#include "netlink_request.h"

#define NUD_FIXED    (NUD_PERMANENT | NUD_NOARP)
#define NUD_RESOLVED (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)

struct neighbour {
	uint16_t nud; /* NUD_…; NUD_NONE also without entry */
	uint8_t flags;
	bool is_managed;
};

static struct ndmsg *begin(union netlink_request *request, uint16_t type, uint16_t flags,
			   const struct netlink_hop *hop)
{
	struct ndmsg *entry = netlink_request_begin(request, type, flags, sizeof(*entry));

	entry->ndm_family = netlink_family(&hop->next);
	entry->ndm_ifindex = hop->ifindex;
	netlink_request_put_addr(request, NDA_DST, &hop->next);
	return entry;
}

static int read_neighbour(const struct nlmsghdr *message, void *context)
{
	const struct ndmsg *entry = mnl_nlmsg_get_payload(message);
	struct neighbour *neighbour = context;
	const struct nlattr *attr;

	neighbour->nud = entry->ndm_state;
	neighbour->flags = entry->ndm_flags;
	mnl_attr_for_each(attr, message, sizeof(*entry))
	{
		if (mnl_attr_get_type(attr) == NDA_FLAGS_EXT)
			neighbour->is_managed = mnl_attr_get_u32(attr) & NTF_EXT_MANAGED;
	}
	return MNL_CB_OK;
}

static int cannot(int err, const char *what, const struct netlink_hop *hop)
{
	char text[ADDR_TEXT_BYTES];

	return fail(err, "cannot %s the neighbour entry of %s: %s", what,
		    addr_format(&hop->next, false, text), strerror(-err));
}

static int get_neighbour(const struct netlink_hop *hop, struct neighbour *neighbour)
{
	union netlink_request request;
	int err;

	*neighbour = (struct neighbour){.nud = NUD_NONE};
	begin(&request, RTM_GETNEIGH, 0, hop);
	err = netlink_talk(&request, read_neighbour, neighbour);
	if (err && err != -ENOENT)
		return cannot(err, "read", hop);
	return 0;
}

/* What a routing daemon put there (NTF_EXT_LEARNED) the kernel does not resolve. */
static bool is_fixed(const struct neighbour *neighbour)
{
	return neighbour->nud & NUD_FIXED || neighbour->flags & NTF_EXT_LEARNED;
}

int netlink_neighbour_state(const struct netlink_hop *hop, enum netlink_neighbour_state *state)
{
	struct neighbour neighbour;
	int err;

	err = get_neighbour(hop, &neighbour);
	if (err)
		return err;
	if (is_fixed(&neighbour))
		*state = NETLINK_NEIGHBOUR_FIXED;
	else if (neighbour.nud & NUD_RESOLVED)
		*state = NETLINK_NEIGHBOUR_VALID;
	else
		*state = NETLINK_NEIGHBOUR_NONE;
	return 0;
}

/* Before Linux 5.16 there is no managing: resolve it now, it ages as others do. */
static int put_neighbour(const struct netlink_hop *hop, bool managed)
{
	union netlink_request request;
	struct ndmsg *entry;
	int err;

	if (managed) {
		begin(&request, RTM_NEWNEIGH, NLM_F_CREATE, hop);
		mnl_attr_put_u32(&request.header, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
		err = netlink_talk(&request, NULL, NULL);
		if (err != -EINVAL && err != -EOPNOTSUPP)
			return err;
	}
	entry = begin(&request, RTM_NEWNEIGH, managed ? NLM_F_CREATE : 0, hop);
	entry->ndm_flags = NTF_USE;
	return netlink_talk(&request, NULL, NULL);
}

static int let_go(const struct netlink_hop *hop, const struct neighbour *neighbour)
{
	int err;

	if (!neighbour->is_managed)
		return 0;
	err = put_neighbour(hop, false);
	if (err && err != -ENOENT)
		return cannot(err, "let go of", hop);
	return 0;
}

/* Writing a managed entry again makes the kernel try at once, not in five seconds. */
int netlink_neighbour_manage(const struct netlink_hop *hop, bool manage)
{
	struct neighbour neighbour;
	int err;

	err = get_neighbour(hop, &neighbour);
	if (err)
		return err;
	if (is_fixed(&neighbour))
		return 0;
	if (!manage)
		return let_go(hop, &neighbour);
	if (neighbour.is_managed && neighbour.nud & NUD_RESOLVED)
		return 0;
	err = put_neighbour(hop, true);
	if (err)
		return cannot(err, "add", hop);
	return !neighbour.is_managed;
}

static int read_capacity(const struct nlmsghdr *message, void *context)
{
	const struct ndtmsg *table = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	uint32_t *capacity = context;

	if (table->ndtm_family != AF_INET && table->ndtm_family != AF_INET6)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(*table))
	{
		if (mnl_attr_get_type(attr) == NDTA_THRESH3 && mnl_attr_get_u32(attr) < *capacity)
			*capacity = mnl_attr_get_u32(attr);
	}
	return MNL_CB_OK;
}

int netlink_neighbour_capacity(uint32_t *capacity)
{
	union netlink_request request;
	int err;

	*capacity = UINT32_MAX;
	netlink_request_begin(&request, RTM_GETNEIGHTBL, NLM_F_DUMP, sizeof(struct ndtmsg));
	err = netlink_talk(&request, read_capacity, capacity);
	return err ? fail(err, "cannot read the neighbour tables' size: %s", strerror(-err)) : 0;
}
