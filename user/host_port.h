/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this host itself uses a port for that a rule is about to take.
 */
#ifndef XDNAT_HOST_PORT_H
#define XDNAT_HOST_PORT_H

#include <stdbool.h>

#include "spec.h"

/* True if the caller is logged in by ssh ($SSH_CONNECTION) over what the rule
 * would forward: adding it would cut the session off. */
bool host_port_is_session(const struct spec *spec);
/* True if a socket of this network namespace listens there. */
bool host_port_is_listening(const struct spec *spec);

#endif
