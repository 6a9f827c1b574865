/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ethtool features that change what XDP sees.
 */
#ifndef XDNAT_OFFLOAD_H
#define XDNAT_OFFLOAD_H

#include <stdbool.h>

/* VLAN tags stripped on receive are invisible to XDP. Returns 1 if it was
 * on and is off now, 0 if it was off, -errno if it cannot be changed. */
int offload_rxvlan_off(const char *interface);
int offload_rxvlan_on(const char *interface);
/* True if large receive offload is on. */
bool offload_has_lro(const char *interface);

#endif
