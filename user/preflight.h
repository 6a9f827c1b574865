/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What about an interface would make forwarding fail in silence: said at load,
 * with the command to type. Changes nothing.
 */
#ifndef XDNAT_PREFLIGHT_H
#define XDNAT_PREFLIGHT_H

#include "netlink.h"

/* mode: XDNAT_MODE_… that it was loaded in. Warnings go to stderr. */
void preflight_warn(const struct netlink_link *link, uint8_t mode);

#endif
