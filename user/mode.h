/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands in front of tc on an interface: names, and which is best where.
 */
#ifndef XDNAT_MODE_H
#define XDNAT_MODE_H

#include "netlink.h"

/* "native", "generic", "tc"; of 0 "auto", of another "?". */
const char *mode_name(uint8_t mode);
/* The mode of that name; 0, which is none, for "auto". */
uint8_t mode_of_name(const char *name);

/* What --mode auto takes for a device, XDNAT_MODE_NATIVE or _TC, and why. Whether the
 * driver really takes native, attaching tells. */
uint8_t mode_choose(const struct netlink_link *link, const char **why);
/* Why XDP sees less on such a device than tc does; NULL: it sees all. */
const char *mode_xdp_lacks(const struct netlink_link *link);
/* -EOPNOTSUPP with fail() if the device cannot have that mode. */
int mode_check(const struct netlink_link *link, uint8_t mode);

#endif
