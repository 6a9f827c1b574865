/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What translates in the namespace in the middle: the product with one kind of rules,
 * or nft.
 */
#ifndef ROUTER_H
#define ROUTER_H

#include "flows.h"
#include "network.h"

/* load: what `xdnat load` is to be told. rule: the kind that is added, for UDP and TCP
 * of both families. Each call makes an instance of its own. 0 or -errno. */
int router_xdnat(const struct network *network, const char *xdnat, const char *load,
		 enum flows_rule rule);
/* DNAT, as FLOWS_PRESERVED says. 0 or -errno. */
int router_nft(const struct network *network);

#endif
