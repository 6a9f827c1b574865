// SPDX-License-Identifier: GPL-2.0-only
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define CHECKED_MAX 65536 /* of a stream; of more flows every so many-th */

int stream_make(struct stream *stream, uint32_t rows_max)
{
	void *rows = mmap(NULL, rows_max * sizeof(struct bench_row), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (rows == MAP_FAILED)
		return -errno;
	stream->packets.rows = rows;
	return 0;
}

static uint32_t flow_at(const struct stream *stream, uint32_t i)
{
	return stream->order ? stream->order[i] : stream->first + i;
}

static uint32_t build(const struct stream *stream, uint32_t i, struct frame *frame, uint8_t *bytes)
{
	flows_arriving(&stream->flows, flow_at(stream, i), stream->direction, stream->tcp_flags,
		       frame);
	return frame_build(frame, bytes);
}

void stream_fill(struct stream *stream, uint32_t count)
{
	struct packets *packets = &stream->packets;
	uint8_t bytes[BENCH_FRAME6_BYTES] = {};
	struct frame frame;

	for (uint32_t i = 0; i < count; i++) {
		build(stream, i, &frame, bytes);
		frame_row(&frame, bytes, &packets->rows[i]);
	}
	memcpy(packets->frame, bytes, sizeof(packets->frame));
	packets->is_tcp = stream->flows.is_tcp;
	packets->count = count;
	packets->churning = 0;
	packets->version++;
}

void stream_churn(struct stream *stream, const struct stream *flood)
{
	struct packets *packets = &stream->packets;

	memcpy(&packets->rows[packets->count], flood->packets.rows,
	       flood->packets.count * sizeof(*packets->rows));
	packets->churning = flood->packets.count;
	packets->version++;
}

uint32_t stream_frame_bytes(const struct stream *stream)
{
	return stream->flows.is_v6 ? BENCH_FRAME6_BYTES : BENCH_FRAME4_BYTES;
}

static void print_wrong(const struct stream *stream, uint32_t i, const uint8_t *got,
			const uint8_t *want)
{
	fprintf(stderr, "wrong packet of flow %u\n", flow_at(stream, i));
	frame_print(" got", got, stream_frame_bytes(stream));
	frame_print("want", want, stream_frame_bytes(stream));
}

int stream_check(const struct stream *stream, const struct world *world, const struct shot *shot,
		 const struct outcome *outcome, uint64_t *checked)
{
	uint8_t got[BENCH_FRAME6_BYTES], want[BENCH_FRAME6_BYTES];
	uint32_t count = stream->packets.count, bytes, action;
	uint32_t step = count > CHECKED_MAX ? count / CHECKED_MAX : 1;
	struct frame frame;
	int err;

	for (uint32_t i = 0; i < count; i += step) {
		bytes = build(stream, i, &frame, want);
		if (outcome->is_translated) {
			flows_leaving(&stream->flows, flow_at(stream, i), stream->direction, &frame,
				      &frame);
			frame_build(&frame, want);
		}
		err = measure_packet(world, shot, i, got, &action);
		if (err)
			return err;
		++*checked;
		if (action == outcome->verdict && !memcmp(got, want, bytes))
			continue;
		fprintf(stderr, "verdict %d instead of %d, ", (int)action, (int)outcome->verdict);
		print_wrong(stream, i, got, want);
		return -EBADMSG;
	}
	return 0;
}
