/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames from their description, lengths and checksums computed from scratch: the
 * oracle shares no code with what it judges.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "bench_abi.h"

#define FRAME_TCP_SYN 0x02
#define FRAME_TCP_ACK 0x10

struct frame {
	uint8_t eth_dst[6];
	uint8_t eth_src[6];
	uint8_t src[16]; /* network order; IPv4: the first four bytes */
	uint8_t dst[16];
	uint16_t sport_host;
	uint16_t dport_host;
	uint8_t ttl;
	uint8_t tcp_flags;
	uint8_t mark; /* the payload's last byte */
	bool is_v6;
	bool is_tcp;
};

/* Writes at most BENCH_FRAME6_BYTES; returns how many. */
uint32_t frame_build(const struct frame *frame, uint8_t *bytes);
/* What tells this frame, as it was built, from another of its kind. */
void frame_row(const struct frame *frame, const uint8_t *bytes, struct bench_row *row);
/* In hexadecimal, to stderr. */
void frame_print(const char *what, const uint8_t *bytes, uint32_t count);

#endif
