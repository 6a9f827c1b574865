// SPDX-License-Identifier: GPL-2.0-only
#include "ephemeral.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"

#define SYSCTL_DIR "/proc/sys/net/ipv4/"

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

/* "8080,9148-9200", rising: what the kernel leaves out. Not there or empty: nothing.
 * Takes from ports' beginning what is reserved; what begins in the middle stays. */
static void skip_reserved(struct spec_ports *ports, bool *is_empty)
{
	FILE *file = fopen(SYSCTL_DIR "ip_local_reserved_ports", "re");
	uint16_t first, last;
	char next;

	while (file && !*is_empty && fscanf(file, "%" SCNu16 "%c", &first, &next) == 2) {
		last = first;
		if (next == '-' && fscanf(file, "%" SCNu16 "%*c", &last) != 1)
			break;
		if (first > ports->first_host || last < ports->first_host)
			continue;
		*is_empty = last >= ports->last_host;
		ports->first_host = last + 1;
	}
	if (file)
		fclose(file);
}

bool ephemeral_meets(const struct spec_ports *range, const struct spec_ports *ports)
{
	struct spec_ports both = *ports;
	bool is_empty;

	if (both.first_host < range->first_host)
		both.first_host = range->first_host;
	if (both.last_host > range->last_host)
		both.last_host = range->last_host;
	is_empty = both.first_host > both.last_host;
	if (!is_empty)
		skip_reserved(&both, &is_empty);
	return !is_empty;
}
