// SPDX-License-Identifier: GPL-2.0-only
/*
 * The members that a rule has in JSON; the contract of --json (DESIGN.md section 4).
 */
#include "rule_record.h"

#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "spec_ports.h"

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

static json_t *except_record(const struct spec *spec)
{
	json_t *except = json_array();
	char text[SPEC_PORTS_BYTES];

	for (uint8_t i = 0; i < spec->except_count; i++)
		json_array_append_new(except,
				      json_string(spec_ports_format(&spec->except[i], text)));
	return except;
}

static json_t *snat_record(const struct spec *spec)
{
	static const struct xdnat_addr none;
	char text[ADDR_TEXT_BYTES];

	if (addr_equal(&spec->snat, &none))
		return json_null();
	return json_string(addr_format(&spec->snat, false, text));
}

/* A file by its name, prefixes one by one. */
static json_t *sources_record(const char *text)
{
	char copy[SOURCE_TEXT_BYTES], *rest = copy;
	json_t *prefixes;

	if (!*text || source_is_file(text))
		return *text ? json_string(text) : json_null();
	snprintf(copy, sizeof(copy), "%s", text);
	prefixes = json_array();
	while (rest)
		json_array_append_new(prefixes, json_string(strsep(&rest, ",")));
	return prefixes;
}

static json_t *mss_record(uint16_t mss_host)
{
	if (mss_host == XDNAT_MSS_AUTO)
		return json_string("auto");
	return mss_host ? json_integer(mss_host) : json_string("off");
}

json_t *rule_record(const struct spec *spec)
{
	char target[ADDR_TEXT_BYTES];

	json_t *record = json_pack(
		"{s:s, s:o, s:i, s:i, s:b, s:s, s:s, s:i, s:i, s:o, s:b, s:s, s:o, s:b, s:s?}",
		"name", spec->name, "bind", bind_record(spec), "port", (int)spec->ports.first_host,
		"last_port", (int)spec->ports.last_host, "any_port", (int)(spec->form == SPEC_ANY),
		"proto", spec_protos_name(spec), "target",
		spec->is_local ? "local" : addr_format(&spec->target, false, target), "target_port",
		(int)spec->target_ports.first_host, "target_last_port",
		(int)spec->target_ports.last_host, "except", except_record(spec), "enabled",
		(int)spec->enabled, "mode", spec->is_masqueraded ? "masquerade" : "preserve",
		"snat", snat_record(spec), "hairpin", (int)spec->has_hairpin, "comment",
		*spec->comment ? spec->comment : NULL);

	json_object_set_new(record, "allow", sources_record(spec->allow));
	json_object_set_new(record, "deny", sources_record(spec->deny));
	json_object_set_new(record, "mss", mss_record(spec->mss_host));
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
