/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What `status` says of masquerading: how many flows it has room for.
 */
#ifndef XDNAT_SNAT_RECORD_H
#define XDNAT_SNAT_RECORD_H

#include <jansson.h>

#include "store.h"

/* {"first_port", "last_port", "ports", "targets", "capacity"}; a new reference. */
json_t *snat_record(const struct xdnat_config *config, const struct store_rule *rules,
		    size_t count);

#endif
