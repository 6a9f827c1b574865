// SPDX-License-Identifier: GPL-2.0-only
#include "port_list.h"

#include <stdint.h>
#include <stdio.h>

#include "spec_ports.h"

bool port_list_format(const bool *has, char *text, size_t size)
{
	char one[SPEC_PORTS_BYTES];
	size_t used = 0;

	*text = '\0';
	for (uint32_t port = 0; port < XDNAT_PORTS; port++) {
		struct spec_ports ports = {.first_host = (uint16_t)port};
		int length;

		if (!has[port])
			continue;
		while (port + 1 < XDNAT_PORTS && has[port + 1])
			port++;
		ports.last_host = (uint16_t)port;
		length = snprintf(text + used, size - used, "%s%s", used ? "," : "",
				  spec_ports_format(&ports, one));
		if ((size_t)length >= size - used) {
			text[used] = '\0';
			return false;
		}
		used += (size_t)length;
	}
	return true;
}
