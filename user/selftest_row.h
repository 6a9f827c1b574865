/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a row of the golden packets (selftest_packets.h) says.
 */
#ifndef XDNAT_SELFTEST_ROW_H
#define XDNAT_SELFTEST_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "xdnat_abi.h"

/* A whole frame, as it stands on the wire. */
struct golden {
	const char *bytes;
	uint32_t length;
};

/* A flow and its packets, each as it comes and as it must leave. Addresses have 4
 * bytes or 16. The deltas are as in struct xdnat_half, of the request. */
struct conversation {
	const char *name;
	bool is_v6;
	uint8_t proto;
	const char *client, *listener, *target;
	uint16_t client_port_host, listener_port_host, target_port_host;
	uint16_t l3_delta_host, l4_delta_host;
	struct golden request, request_out, answer, answer_out;
	struct golden answer_of_kernel; /* answer, translated at tc egress alone */
};

/* A packet by itself. */
struct single {
	const char *name;
	uint32_t action; /* XDP_… */
	enum xdnat_reason reason;
	struct golden in, out;
};

#endif
