/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bulk TCP: two hosts with the offloads that they come with, the kernel's own TCP on
 * both, a router between them. Both ends are worked by the caller alone, in turns.
 */
#ifndef BULK_H
#define BULK_H

#include <stdbool.h>

#include "network.h"

enum bulk_kind {
	BULK_XDNAT, /* mode tc */
	BULK_NFT,
	BULK_NFT_AGAIN,
	BULK_ROUTED, /* nobody translates: the client talks to the target itself */
	BULK_KINDS,
};

struct bulk {
	enum bulk_kind kind;
	struct network network;
	int client; /* connected; -1: not */
	int server;
};

/* xdnat: the product's binary. 0 or -errno. */
int bulk_make(struct bulk *bulk, enum bulk_kind kind, const char *xdnat);
/* One connection, through the listener to the target; the target must see the client's
 * own address. 0 or -errno. */
int bulk_connect(struct bulk *bulk, bool is_v6);
void bulk_close(struct bulk *bulk);
/* Client to target, so many bytes. -EBADMSG: what arrived differs; -ETIMEDOUT: nothing
 * arrives any more. */
int bulk_check(const struct bulk *bulk, uint64_t bytes);
/* The same, not looked at, in so many seconds. */
int bulk_send(const struct bulk *bulk, uint64_t bytes, double *seconds);

#endif
