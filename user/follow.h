/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loaded interfaces whose MAC address or name changes: the datapath takes only
 * frames to the interface's own address.
 */
#ifndef XDNAT_FOLLOW_H
#define XDNAT_FOLLOW_H

#include "store.h"

/* Brings the store's interfaces up to date. Caller holds the instance's lock. */
int follow_interfaces(struct store *store);

#endif
