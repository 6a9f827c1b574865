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
/* Whether some of ports may be given to a connection: one in range that is not among
 * net.ipv4.ip_local_reserved_ports. */
bool ephemeral_meets(const struct spec_ports *range, const struct spec_ports *ports);

#endif
