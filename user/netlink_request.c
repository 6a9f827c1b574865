// SPDX-License-Identifier: GPL-2.0-only
/*
 * The socket that requests go through and the loop that reads answers. It knows
 * message framing and addresses' two lengths; what a message means is the
 * callers'. The socket is opened once a process, in the namespace it is then in.
 */
#include "netlink_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "addr.h"

#define ANSWER_BYTES	65536
#define ANSWER_WAIT_SEC 2
/* A dump of thousands of routes can be disturbed a few times in a row. */
#define TRIES 8

static struct mnl_socket *request_socket;
static uint32_t request_sequence;

void *netlink_request_begin(union netlink_request *request, uint16_t type, uint16_t flags,
			    size_t size)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	if (!(flags & NLM_F_DUMP))
		header->nlmsg_flags |= NLM_F_ACK;
	return mnl_nlmsg_put_extra_header(header, size);
}

uint8_t netlink_family(const struct xdnat_addr *addr)
{
	return addr_is_v4(addr) ? AF_INET : AF_INET6;
}

void netlink_request_put_addr(union netlink_request *request, uint16_t type,
			      const struct xdnat_addr *addr)
{
	if (addr_is_v4(addr))
		mnl_attr_put(&request->header, type, 4, &addr->word[3]);
	else
		mnl_attr_put(&request->header, type, sizeof(*addr), addr);
}

int netlink_attr_addr(const struct nlattr *attr, struct xdnat_addr *addr)
{
	__be32 v4;

	switch (mnl_attr_get_payload_len(attr)) {
	case sizeof(v4):
		memcpy(&v4, mnl_attr_get_payload(attr), sizeof(v4));
		*addr = addr_from_v4(v4);
		return 0;
	case sizeof(*addr):
		*addr = addr_from_v6(mnl_attr_get_payload(attr));
		return 0;
	default:
		return -EINVAL;
	}
}

void *netlink_list_add(struct netlink_list *list)
{
	char *item;

	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		void *items = reallocarray(list->items, room, list->item_bytes);

		if (!items)
			return NULL;
		list->items = items;
		list->room = room;
	}
	item = (char *)list->items + list->count++ * list->item_bytes;
	return memset(item, 0, list->item_bytes);
}

static int open_socket(void)
{
	struct timeval wait = {.tv_sec = ANSWER_WAIT_SEC};

	if (request_socket)
		return 0;
	request_socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!request_socket)
		return -errno;
	if (mnl_socket_bind(request_socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	if (setsockopt(mnl_socket_get_fd(request_socket), SOL_SOCKET, SO_RCVTIMEO, &wait,
		       sizeof(wait)) < 0)
		return -errno;
	return 0;
}

/* Answers to a request that went wrong may still be under way to it. */
static void drop_socket(void)
{
	if (request_socket)
		mnl_socket_close(request_socket);
	request_socket = NULL;
}

static int read_answers(uint32_t sequence, mnl_cb_t each, void *context)
{
	static char answer[ANSWER_BYTES];
	unsigned int port = mnl_socket_get_portid(request_socket);
	ssize_t bytes;
	int status;

	do {
		bytes = mnl_socket_recvfrom(request_socket, answer, sizeof(answer));
		if (bytes < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		status = mnl_cb_run(answer, bytes, sequence, port, each, context);
	} while (status > MNL_CB_STOP);
	return status < 0 ? -errno : 0;
}

static int talk_once(union netlink_request *request, mnl_cb_t each, void *context)
{
	int err = open_socket();

	if (!err) {
		request->header.nlmsg_seq = ++request_sequence;
		if (mnl_socket_sendto(request_socket, request, request->header.nlmsg_len) < 0)
			err = -errno;
	}
	if (!err)
		err = read_answers(request->header.nlmsg_seq, each, context);
	if (err)
		drop_socket();
	return err;
}

int netlink_talk(union netlink_request *request, mnl_cb_t each, void *context)
{
	int err = -EINTR;

	for (int tries = 0; err == -EINTR && tries < TRIES; tries++)
		err = talk_once(request, each, context);
	return err;
}

int netlink_dump(union netlink_request *request, mnl_cb_t each, struct netlink_list *list)
{
	int err = -EINTR;

	for (int tries = 0; err == -EINTR && tries < TRIES; tries++) {
		list->count = 0;
		err = talk_once(request, each, list);
	}
	if (err) {
		free(list->items);
		list->items = NULL;
		list->count = 0;
	}
	return err;
}
