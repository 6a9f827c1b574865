// SPDX-License-Identifier: GPL-2.0-only
#include "spec_ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "fail.h"

#define EXCEPT_BYTES (SPEC_EXCEPT_MAX * SPEC_PORTS_BYTES * 2) /* that are parsed */

static unsigned int count_ports(const struct spec_ports *ports)
{
	return ports->last_host - ports->first_host + 1u;
}

char *spec_ports_format(const struct spec_ports *ports, char *text)
{
	if (ports->first_host == ports->last_host)
		snprintf(text, SPEC_PORTS_BYTES, "%u", ports->first_host);
	else
		snprintf(text, SPEC_PORTS_BYTES, "%u-%u", ports->first_host, ports->last_host);
	return text;
}

/* "80" or "80-90". */
static int parse_range(const char *text, struct spec_ports *ports)
{
	const char *dash = strchr(text, '-');
	char low[16];
	int err;

	if (!dash) {
		err = port_parse(text, &ports->first_host);
		ports->last_host = ports->first_host;
		return err;
	}
	snprintf(low, sizeof(low), "%.*s", (int)(dash - text), text);
	err = port_parse(low, &ports->first_host);
	if (!err)
		err = port_parse(dash + 1, &ports->last_host);
	if (err)
		return fail_while(err, "the port range %s", text);
	if (ports->first_host > ports->last_host)
		return fail(-EINVAL, "the port range %s is reversed: type %u-%u", text,
			    ports->last_host, ports->first_host);
	return 0;
}

int spec_ports_parse(const char *text, struct spec_ports *ports, enum spec_form *form)
{
	int err;

	if (!strcmp(text, "*")) {
		*form = SPEC_ANY;
		*ports = (struct spec_ports){1, UINT16_MAX};
		return 0;
	}
	if (strchr(text, ','))
		return fail(-EINVAL, "\"%s\": one port or range a rule; add a rule for each", text);
	err = parse_range(text, ports);
	*form = !err && ports->first_host < ports->last_host ? SPEC_RANGE : SPEC_EXACT;
	return err;
}

static int fail_unequal(const struct spec *spec)
{
	char ports[SPEC_PORTS_BYTES], target[SPEC_PORTS_BYTES], repair[SPEC_PORTS_BYTES];
	const struct spec_ports equal = {
		spec->target_ports.first_host,
		spec->target_ports.first_host + count_ports(&spec->ports) - 1,
	};

	spec_ports_format(&spec->target_ports, target);
	if (spec->form == SPEC_ANY)
		return fail(-EINVAL,
			    "* goes to the same ports of the target or to one: leave %s out, or "
			    "type one port",
			    target);
	spec_ports_format(&spec->ports, ports);
	return fail(-EINVAL,
		    "unequal port ranges: %s and %s are %u and %u ports; type %s for the target, "
		    "or one port",
		    ports, target, count_ports(&spec->ports), count_ports(&spec->target_ports),
		    equal.last_host >= equal.first_host ? spec_ports_format(&equal, repair)
							: "as many");
}

int spec_ports_parse_target(struct spec *spec, const char *text)
{
	unsigned int count;
	int err;

	spec->target_ports = spec->ports;
	if (!text)
		return 0;
	if (!strcmp(text, "*"))
		return fail(-EINVAL, "the target's port * is refused: leave it out, and all ports "
				     "stay what they are");
	err = parse_range(text, &spec->target_ports);
	if (err)
		return err;
	count = count_ports(&spec->target_ports);
	return count == 1 || count == count_ports(&spec->ports) ? 0 : fail_unequal(spec);
}

static int compare_ports(const void *left, const void *right)
{
	const struct spec_ports *l = left, *r = right;

	return l->first_host - r->first_host;
}

/* Sorts, and makes one of those that meet. */
static void merge_except(struct spec *spec)
{
	uint8_t kept = 0;

	qsort(spec->except, spec->except_count, sizeof(*spec->except), compare_ports);
	for (uint8_t i = 0; i < spec->except_count; i++) {
		const struct spec_ports next = spec->except[i];
		struct spec_ports *last = kept ? &spec->except[kept - 1] : NULL;

		if (!last || next.first_host > last->last_host + 1)
			spec->except[kept++] = next;
		else if (next.last_host > last->last_host)
			last->last_host = next.last_host;
	}
	memset(spec->except + kept, 0, (SPEC_EXCEPT_MAX - kept) * sizeof(*spec->except));
	spec->except_count = kept;
}

static int add_except(const char *text, struct spec *spec)
{
	struct spec_ports *except = &spec->except[spec->except_count];
	char ports[SPEC_PORTS_BYTES];
	int err;

	if (spec->except_count == SPEC_EXCEPT_MAX)
		return fail(-EINVAL, "except= takes %d ports and ranges at most", SPEC_EXCEPT_MAX);
	err = parse_range(text, except);
	if (err)
		return fail_while(err, "except=");
	if (except->first_host < spec->ports.first_host ||
	    except->last_host > spec->ports.last_host)
		return fail(-EINVAL, "except=%s is not among the rule's ports, %s", text,
			    spec_ports_format(&spec->ports, ports));
	spec->except_count++;
	return 0;
}

int spec_take_except(struct spec *spec, const char *text)
{
	char copy[EXCEPT_BYTES], *rest = copy;
	int err = 0;

	if (spec->form == SPEC_EXACT)
		return fail(-EINVAL, "except= is for ranges of ports and *: leave it out");
	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return fail(-EINVAL, "except= is longer than %zu characters", sizeof(copy) - 1);
	while (!err && rest)
		err = add_except(strsep(&rest, ","), spec);
	if (err)
		return err;
	merge_except(spec);
	if (!memcmp(spec->except, &spec->ports, sizeof(spec->ports)))
		return fail(-EINVAL,
			    "except=%s leaves no port: type enabled=no to switch the "
			    "rule off",
			    text);
	return 0;
}

bool spec_show_except(const struct spec *spec, char *value)
{
	char ports[SPEC_PORTS_BYTES];

	*value = '\0';
	for (uint8_t i = 0; i < spec->except_count; i++) {
		value = stpcpy(value, i ? "," : "");
		value = stpcpy(value, spec_ports_format(&spec->except[i], ports));
	}
	return spec->except_count;
}

/* A packet of this host's that comes out as it went in has not been forwarded. */
int spec_ports_check(const struct spec *spec)
{
	uint16_t first_host = spec->target_ports.first_host;
	bool is_one = first_host == spec->target_ports.last_host;
	bool is_same =
		is_one ? spec_has_port(spec, first_host) : first_host == spec->ports.first_host;

	if (!spec->is_local || !is_same)
		return 0;
	if (is_one && spec->form != SPEC_EXACT)
		return fail(-EINVAL,
			    "port %u of this host stays port %u: leave it out of the ports, for "
			    "example by except=%u",
			    first_host, first_host, first_host);
	return fail(-EINVAL, "to this host itself a rule changes the port, and this one does not: "
			     "type another, as in 8080:local:80");
}
