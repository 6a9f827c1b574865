/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of the datapath's reasons, for counters and for people.
 */
#ifndef XDNAT_REASON_H
#define XDNAT_REASON_H

#include <stdint.h>

#include "xdnat_abi.h"

/* "table_full": stable, in JSON. */
const char *reason_name(enum xdnat_reason reason);
/* "the target's or gateway's MAC address is not known (yet)": one line. */
const char *reason_help(enum xdnat_reason reason);
/* "forwarded", "passed", "handed on" or "dropped". */
const char *reason_verdict(enum xdnat_reason reason);
/* "xdp", "ingress", "egress". */
const char *reason_hook(uint32_t hook);

#endif
