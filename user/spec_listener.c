// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a rule listens on and where it sends: as text, and compared.
 */
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "spec.h"
#include "spec_ports.h"
#include "spec_rule.h"

unsigned int spec_families(const struct spec *spec)
{
	if (spec->bind == SPEC_BIND_ADDRESS)
		return addr_is_v4(&spec->bind_addr) ? SPEC_V4 : SPEC_V6;
	if (spec->is_local)
		return SPEC_V4 | SPEC_V6;
	return addr_is_v4(&spec->target) ? SPEC_V4 : SPEC_V6;
}

bool spec_has_port(const struct spec *spec, uint16_t port_host)
{
	for (uint8_t i = 0; i < spec->except_count; i++)
		if (port_host >= spec->except[i].first_host &&
		    port_host <= spec->except[i].last_host)
			return false;
	return port_host >= spec->ports.first_host && port_host <= spec->ports.last_host;
}

const char *spec_protos_name(const struct spec *spec)
{
	static const char *const names[] = {
		[SPEC_TCP] = "tcp", [SPEC_UDP] = "udp", [SPEC_TCP | SPEC_UDP] = "tcp+udp"};

	return names[spec->protos];
}

const char *spec_rule_bind(const struct spec *spec, char *text)
{
	if (spec->bind == SPEC_BIND_ADDRESS)
		return addr_format(&spec->bind_addr, true, text);
	if (spec->bind == SPEC_BIND_INTERFACE)
		return spec->bind_interface;
	return spec->bind == SPEC_BIND_ALL ? "*" : "";
}

char *spec_rule_ports(const struct spec *spec, char *text)
{
	return spec->form == SPEC_ANY ? strcpy(text, "*") : spec_ports_format(&spec->ports, text);
}

void spec_format_listener(const struct spec *spec, char *text)
{
	char addr[ADDR_TEXT_BYTES], ports[SPEC_PORTS_BYTES];
	const char *bind = spec_rule_bind(spec, addr);

	/* Without an address it is the target that says which family it listens in. */
	snprintf(text, SPEC_LISTENER_BYTES, "%s%s%s/%s%s", bind, *bind ? ":" : "",
		 spec_rule_ports(spec, ports), spec_protos_name(spec),
		 spec->bind != SPEC_BIND_ADDRESS && spec_families(spec) == SPEC_V6 ? "6" : "");
}

void spec_format_target(const struct spec *spec, char *text)
{
	bool is_same = spec->form == SPEC_ANY &&
		       spec->target_ports.first_host != spec->target_ports.last_host;
	char addr[ADDR_TEXT_BYTES], ports[SPEC_PORTS_BYTES];

	snprintf(text, SPEC_LISTENER_BYTES, "%s%s%s",
		 spec->is_local ? "local" : addr_format(&spec->target, true, addr),
		 is_same ? "" : ":", is_same ? "" : spec_ports_format(&spec->target_ports, ports));
}

/* Bound before unbound and one port before many, as packets see them; then as people
 * count. */
static int compare_listeners(const struct spec *left, const struct spec *right)
{
	static const int rank[] = {
		[SPEC_BIND_ADDRESS] = 0,
		[SPEC_BIND_INTERFACE] = 1,
		[SPEC_BIND_DEFAULT] = 2,
		[SPEC_BIND_ALL] = 3,
	};
	int order = rank[left->bind] - rank[right->bind];

	if (!order)
		order = memcmp(&left->bind_addr, &right->bind_addr, sizeof(left->bind_addr));
	if (!order)
		order = strcmp(left->bind_interface, right->bind_interface);
	if (!order)
		order = (int)left->form - (int)right->form;
	if (!order)
		order = left->ports.first_host - right->ports.first_host;
	if (!order)
		order = left->ports.last_host - right->ports.last_host;
	if (!order)
		order = left->protos - right->protos;
	return order ? order : (int)spec_families(left) - (int)spec_families(right);
}

bool spec_same_listener(const struct spec *left, const struct spec *right)
{
	return !compare_listeners(left, right);
}

int spec_compare(const void *left, const void *right)
{
	return compare_listeners(left, right);
}

bool spec_same_target(const struct spec *left, const struct spec *right)
{
	return left->is_local == right->is_local && addr_equal(&left->target, &right->target) &&
	       !memcmp(&left->target_ports, &right->target_ports, sizeof(left->target_ports));
}
