// SPDX-License-Identifier: GPL-2.0-only
#include "ephemeral.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "port_list.h"

#define SYSCTL_DIR "/proc/sys/net/ipv4/"
#define RESERVED   SYSCTL_DIR "ip_local_reserved_ports"

int ephemeral_read(struct spec_ports *range)
{
	FILE *file = fopen(SYSCTL_DIR "ip_local_port_range", "re");
	int scanned =
		file ? fscanf(file, "%" SCNu16 " %" SCNu16, &range->first_host, &range->last_host)
		     : 0;

	if (file)
		fclose(file);
	return scanned == 2 ? 0 : fail(-EIO, "cannot read net.ipv4.ip_local_port_range");
}

/* "8080,9148-9200": what the kernel leaves out. Not there or empty: nothing. */
static void read_reserved(bool *is_reserved)
{
	FILE *file = fopen(RESERVED, "re");
	uint16_t first, last;
	char next;

	while (file && fscanf(file, "%" SCNu16 "%c", &first, &next) == 2) {
		last = first;
		if (next == '-' && fscanf(file, "%" SCNu16 "%*c", &last) != 1)
			break;
		for (uint32_t port = first; port <= last; port++)
			is_reserved[port] = true;
	}
	if (file)
		fclose(file);
}

struct spec_ports ephemeral_shared(const struct spec_ports *range, const struct spec_ports *ports)
{
	struct spec_ports both = *range;

	if (both.first_host < ports->first_host)
		both.first_host = ports->first_host;
	if (both.last_host > ports->last_host)
		both.last_host = ports->last_host;
	return both;
}

/* How many of ports may be given to a connection. */
static uint32_t count_given(const bool *is_reserved, const struct spec_ports *ports)
{
	uint32_t given = 0;

	for (uint32_t port = ports->first_host; port <= ports->last_host; port++)
		given += !is_reserved[port];
	return given;
}

bool ephemeral_meets(const struct spec_ports *range, const struct spec_ports *ports)
{
	const struct spec_ports both = ephemeral_shared(range, ports);
	bool is_reserved[XDNAT_PORTS] = {};

	read_reserved(is_reserved);
	return count_given(is_reserved, &both);
}

bool ephemeral_remedy(const struct spec_ports *range, const struct spec_ports *ports, char *text)
{
	const struct spec_ports both = ephemeral_shared(range, ports);
	bool is_reserved[XDNAT_PORTS] = {};

	read_reserved(is_reserved);
	for (uint32_t port = both.first_host; port <= both.last_host; port++)
		is_reserved[port] = true;
	if (2 * count_given(is_reserved, range) <
	    (uint32_t)range->last_host - range->first_host + 1)
		return false;
	return port_list_format(is_reserved, text, EPHEMERAL_REMEDY_BYTES);
}
