/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A rule and its totals as records: what --json prints, and what tables show.
 */
#ifndef XDNAT_RULE_RECORD_H
#define XDNAT_RULE_RECORD_H

#include <jansson.h>

#include "rule_set.h"
#include "spec.h"

/* Configuration only: the same rule gives the same bytes. */
json_t *rule_record(const struct spec *spec);
/* Adds flows_made, flows_live, packets_original … bytes_reply to an object. */
void rule_record_totals(json_t *record, const struct rule_totals *totals);

#endif
