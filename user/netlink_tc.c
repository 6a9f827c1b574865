// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queueing disciplines and filters where packets come in and go out, as tc(8)
 * shows them.
 */
#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "netlink.h"
#include "netlink_request.h"

/* clsact and ingress have the same place. */
#define HOOKS_HANDLE TC_H_MAKE(TC_H_CLSACT, 0)

static void copy_kind(const struct nlattr *attr, char *kind)
{
	snprintf(kind, NETLINK_KIND_BYTES, "%.*s", (int)mnl_attr_get_payload_len(attr),
		 (const char *)mnl_attr_get_payload(attr));
}

struct hooks_qdisc {
	uint32_t ifindex;
	char *kind;
};

static int read_qdisc(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *qdisc = mnl_nlmsg_get_payload(message);
	struct hooks_qdisc *wanted = context;
	const struct nlattr *attr;

	if (qdisc->tcm_ifindex != (int)wanted->ifindex || qdisc->tcm_handle != HOOKS_HANDLE)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(*qdisc))
	{
		if (mnl_attr_get_type(attr) == TCA_KIND)
			copy_kind(attr, wanted->kind);
	}
	return MNL_CB_OK;
}

int netlink_hooks_qdisc(uint32_t ifindex, char *kind)
{
	struct hooks_qdisc wanted = {.ifindex = ifindex, .kind = kind};
	union netlink_request request;
	struct tcmsg *qdisc;
	int err;

	*kind = '\0';
	qdisc = netlink_request_begin(&request, RTM_GETQDISC, NLM_F_DUMP, sizeof(*qdisc));
	qdisc->tcm_ifindex = ifindex;
	err = netlink_talk(&request, read_qdisc, &wanted);
	return err ? fail(err, "cannot list the queueing disciplines: %s", strerror(-err)) : 0;
}

static void read_bpf(const struct nlattr *options, struct netlink_filter *filter)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, options)
	{
		if (mnl_attr_get_type(attr) == TCA_BPF_ID)
			filter->prog_id = mnl_attr_get_u32(attr);
	}
}

/* A priority is announced by itself (handle 0) before the filters that it has. */
static int add_filter(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *info = mnl_nlmsg_get_payload(message);
	struct netlink_filter *filter = netlink_list_add(context);
	const struct nlattr *attr, *options = NULL;

	if (!filter) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	filter->priority = TC_H_MAJ(info->tcm_info) >> 16;
	filter->handle = info->tcm_handle;
	mnl_attr_for_each(attr, message, sizeof(*info))
	{
		if (mnl_attr_get_type(attr) == TCA_KIND)
			copy_kind(attr, filter->kind);
		if (mnl_attr_get_type(attr) == TCA_OPTIONS)
			options = attr;
	}
	if (options && !strcmp(filter->kind, "bpf"))
		read_bpf(options, filter);
	return MNL_CB_OK;
}

int netlink_filters(uint32_t ifindex, bool is_egress, struct netlink_filter **filters,
		    size_t *count)
{
	struct netlink_list list = {.item_bytes = sizeof(**filters)};
	union netlink_request request;
	struct tcmsg *info;
	int err;

	*filters = NULL;
	*count = 0;
	info = netlink_request_begin(&request, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*info));
	info->tcm_ifindex = ifindex;
	info->tcm_parent = TC_H_MAKE(TC_H_CLSACT, is_egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
	err = netlink_dump(&request, add_filter, &list);
	if (err == -ENODEV) /* nothing has filters there */
		return 0;
	if (err)
		return fail(err, "cannot list the tc filters: %s", strerror(-err));
	*filters = list.items;
	*count = list.count;
	return 0;
}
