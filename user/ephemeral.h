/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ports that this host gives its own connections (ip-sysctl in the kernel's
 * Documentation/networking): their answers come back there.
 */
#ifndef XDNAT_EPHEMERAL_H
#define XDNAT_EPHEMERAL_H

#include "spec.h"

/* net.ipv4.ip_local_port_range, which holds for IPv6, too. 0, or -EIO with fail(). */
int ephemeral_read(struct spec_ports *range);
/* Ports that are in both; reversed: none. */
struct spec_ports ephemeral_shared(const struct spec_ports *range, const struct spec_ports *ports);
/* Whether some of ports may be given to a connection: one in range that is not among
 * net.ipv4.ip_local_reserved_ports. */
bool ephemeral_meets(const struct spec_ports *range, const struct spec_ports *ports);
/* What net.ipv4.ip_local_reserved_ports must be so that none of ports is given to a
 * connection: what it is now and those of range. False: connections would be left less
 * than half of range, or the list is too long. text has EPHEMERAL_REMEDY_BYTES. */
#define EPHEMERAL_REMEDY_BYTES 256
bool ephemeral_remedy(const struct spec_ports *range, const struct spec_ports *ports, char *text);

#endif
