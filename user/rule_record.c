// SPDX-License-Identifier: GPL-2.0-only
/*
 * The members that a rule has in JSON; the contract of --json (DESIGN.md section 4).
 */
#include "rule_record.h"

#include <netinet/in.h>

#include "addr.h"

static json_t *bind_record(const struct spec *spec)
{
	char text[ADDR_TEXT_BYTES];

	switch (spec->bind) {
	case SPEC_BIND_ALL:
		return json_string("*");
	case SPEC_BIND_ADDRESS:
		return json_string(addr_format(&spec->bind_addr, false, text));
	case SPEC_BIND_INTERFACE:
		return json_string(spec->bind_interface);
	case SPEC_BIND_DEFAULT:
		break;
	}
	return json_null();
}

json_t *rule_record(const struct spec *spec)
{
	char target[ADDR_TEXT_BYTES];
	json_t *record;

	record = json_pack("{s:s, s:o, s:i, s:s, s:s, s:i, s:b, s:s, s:s?}", "name", spec->name,
			   "bind", bind_record(spec), "port", (int)spec->port_host, "proto",
			   spec->proto == IPPROTO_UDP ? "udp" : "tcp", "target",
			   addr_format(&spec->target, false, target), "target_port",
			   (int)spec->target_port_host, "enabled", (int)spec->enabled, "mode",
			   "preserve", "comment", *spec->comment ? spec->comment : NULL);
	return record;
}

void rule_record_totals(json_t *record, const struct rule_totals *totals)
{
	static const struct {
		const char *packets;
		const char *bytes;
	} names[XDNAT_DIRECTIONS] = {
		[XDNAT_ORIGINAL] = {"packets_original", "bytes_original"},
		[XDNAT_REPLY] = {"packets_reply", "bytes_reply"},
	};
	int direction;

	json_object_set_new(record, "flows_made", json_integer(totals->flows_made));
	json_object_set_new(record, "flows_live", json_integer(totals->flows_live));
	for (direction = 0; direction < XDNAT_DIRECTIONS; direction++) {
		json_object_set_new(record, names[direction].packets,
				    json_integer(totals->packets[direction]));
		json_object_set_new(record, names[direction].bytes,
				    json_integer(totals->bytes[direction]));
	}
}
