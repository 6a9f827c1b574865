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
 * of both families. Each call makes an instance of its own: *instance is its number.
 * 0 or -errno. */
int router_xdnat(const struct network *network, const char *xdnat, const char *load,
		 enum flows_rule rule, int *instance);
/* DNAT, as FLOWS_PRESERVED says. 0 or -errno. */
int router_nft(const struct network *network);
/* End all flows. 0 or -errno. */
int router_xdnat_flush(const struct network *network, const char *xdnat, int instance);
int router_nft_flush(const struct network *network);

#endif
