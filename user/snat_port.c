// SPDX-License-Identifier: GPL-2.0-only
#include "snat_port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "ephemeral.h"
#include "fail.h"
#include "host_port.h"

#define DEFAULT_FIRST 1024
#define DEFAULT_LAST  65535
#define EXAMPLE	      "20000-29999"
#define EXAMPLE_FIRST 20000
#define EXAMPLE_LAST  29999

/* Ports by number. */
struct ports {
	bool has[XDNAT_PORTS];
};

static void set(struct ports *ports, uint32_t first, uint32_t last, bool value)
{
	for (uint32_t port = first; port <= last && port < XDNAT_PORTS; port++)
		ports->has[port] = value;
}

/* Of connections, only UDP's: TCP's to outside have ports of the ephemeral range. */
static int add_host(struct ports *ports)
{
	struct host_socket *sockets;
	size_t count;
	int err = host_port_read_bound(&sockets, &count);

	for (size_t i = 0; !err && i < count; i++)
		ports->has[sockets[i].port_host] = true;
	free(sockets);
	return err;
}

struct snat_range snat_range_of(const struct xdnat_config *config)
{
	if (!config->snat_last_host)
		return (struct snat_range){DEFAULT_FIRST, DEFAULT_LAST};
	return (struct snat_range){config->snat_first_host, config->snat_last_host};
}

int snat_range_parse(const char *text, struct snat_range *range)
{
	const char *dash = strchr(text, '-');
	char first[8];
	int err;

	if (!dash || dash - text >= (int)sizeof(first))
		return fail(-EUSAGE,
			    "--snat-ports %s is not a range of ports: type A-B, as in " EXAMPLE,
			    text);
	snprintf(first, sizeof(first), "%.*s", (int)(dash - text), text);
	err = port_parse(first, &range->first_host);
	if (!err)
		err = port_parse(dash + 1, &range->last_host);
	if (err)
		return fail_while(-EUSAGE, "--snat-ports %s", text);
	if (range->first_host > range->last_host)
		return fail(-EUSAGE, "--snat-ports %s is reversed: type %u-%u", text,
			    range->last_host, range->first_host);
	return 0;
}

/* The kernel's own range gives way, or leaves ours out. */
static int check_ephemeral(const struct snat_range *range)
{
	const struct spec_ports ports = {range->first_host, range->last_host};
	char reserved[EPHEMERAL_REMEDY_BYTES], remedy[EPHEMERAL_REMEDY_BYTES + 128];
	struct spec_ports ephemeral;
	int err = ephemeral_read(&ephemeral);
	bool is_apart;

	if (err || !ephemeral_meets(&ephemeral, &ports))
		return err;
	is_apart = ephemeral.first_host > EXAMPLE_LAST || ephemeral.last_host < EXAMPLE_FIRST;
	if (ephemeral_remedy(&ephemeral, &ports, reserved))
		snprintf(remedy, sizeof(remedy),
			 "to keep the two apart, type: sysctl -w "
			 "net.ipv4.ip_local_reserved_ports=%s",
			 reserved);
	else
		snprintf(remedy, sizeof(remedy), "type a range outside %u-%u%s",
			 ephemeral.first_host, ephemeral.last_host,
			 is_apart ? ", for example " EXAMPLE : "");
	return fail(-EEXIST,
		    "--snat-ports %u-%u overlaps what this host gives its own connections "
		    "(net.ipv4.ip_local_port_range %u-%u); %s",
		    range->first_host, range->last_host, ephemeral.first_host, ephemeral.last_host,
		    remedy);
}

static int check_sockets(const struct snat_range *range)
{
	struct ports *used = calloc(1, sizeof(*used));
	uint32_t port = range->first_host;
	int err;

	if (!used)
		return fail(-ENOMEM, "no memory");
	err = add_host(used);
	while (!err && port <= range->last_host && !used->has[port])
		port++;
	if (!err && port <= range->last_host)
		err = fail(-EEXIST,
			   "a program on this host listens on port %u of --snat-ports %u-%u; give "
			   "another range, or see who it is: ss -lntup sport = %u",
			   port, range->first_host, range->last_host, port);
	free(used);
	return err;
}

int snat_range_check(const struct snat_range *range)
{
	int err = check_ephemeral(range);

	return err ? err : check_sockets(range);
}

static int fill(const struct xdnat_config *config, const struct store_rule *rules, size_t count,
		struct ports *ports)
{
	struct ports *used = calloc(1, sizeof(*used));
	struct snat_range range = snat_range_of(config);
	struct spec_ports ephemeral;
	int err = used ? 0 : fail(-ENOMEM, "no memory");

	set(ports, range.first_host, range.last_host, true);
	if (!err && !config->snat_last_host)
		err = ephemeral_read(&ephemeral);
	if (!err && !config->snat_last_host)
		set(used, ephemeral.first_host, ephemeral.last_host, true);
	if (!err)
		err = add_host(used);
	for (size_t i = 0; !err && i < count; i++)
		if (rules[i].spec.form != SPEC_ANY) /* that would leave none */
			set(used, rules[i].spec.ports.first_host, rules[i].spec.ports.last_host,
			    true);
	for (uint32_t port = 0; !err && port < XDNAT_PORTS; port++)
		ports->has[port] &= !used->has[port];
	free(used);
	return err;
}

int snat_port_sync(struct store *store, const struct store_rule *rules, size_t count)
{
	struct ports *wanted = calloc(1, sizeof(*wanted));
	struct ports *present = calloc(1, sizeof(*present));
	struct xdnat_config config;
	int err = wanted && present ? store_config(store, &config) : fail(-ENOMEM, "no memory");

	if (!err)
		err = fill(&config, rules, count, wanted);
	if (!err)
		err = store_snat_ports(store, present->has);
	if (!err && memcmp(wanted, present, sizeof(*wanted)))
		err = store_snat_ports_write(store, wanted->has);
	free(wanted);
	free(present);
	return err ? fail_while(err, "the ports for masquerading") : 0;
}

bool snat_port_none(const struct store *store, char *text)
{
	struct xdnat_config config;
	struct snat_range range;

	if (store_config(store, &config) || config.snat_ports)
		return false;
	range = snat_range_of(&config);
	snprintf(text, SNAT_PORT_NONE_BYTES, "none of %u-%u is free: rules and this host use them",
		 range.first_host, range.last_host);
	return true;
}
