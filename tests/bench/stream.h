/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets of many flows, all of one direction, and what each must be when it leaves.
 */
#ifndef STREAM_H
#define STREAM_H

#include "flows.h"
#include "measure.h"

struct stream {
	struct flows flows;
	struct packets packets;
	uint8_t direction;
	uint8_t tcp_flags;
	const uint32_t *order; /* of flows; NULL: as they are, from first on */
	uint32_t first;
};

/* Memory for so many rows, taken as it is used. 0 or -errno. */
int stream_make(struct stream *stream, uint32_t rows_max);
/* Makes the packets: of so many flows. */
void stream_fill(struct stream *stream, uint32_t count);
/* Adds the packets of flood, which come in between. */
void stream_churn(struct stream *stream, const struct stream *flood);
uint32_t stream_frame_bytes(const struct stream *stream);

/* What is to come of a packet. */
struct outcome {
	bool is_translated;
	uint32_t verdict;
};
/* Gives packets to the program, every step-th, and compares all their bytes. The stream
 * is loaded. Adds to *checked how many. -EBADMSG: one was wrong, which was printed. */
int stream_check(const struct stream *stream, const struct world *world, const struct shot *shot,
		 const struct outcome *outcome, uint64_t *checked);

#endif
