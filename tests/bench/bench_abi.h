/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the measured programs and the benchmark agree on: how a frame is put back
 * before each packet, how live frames are sent, answered and seen.
 */
#ifndef BENCH_ABI_H
#define BENCH_ABI_H

#include <linux/types.h>

#define BENCH_FRAME4_BYTES 64
#define BENCH_FRAME6_BYTES 80 /* the longest headers are 74 */

/* A run is timed in chunks: one that a neighbour disturbed does not move the median. */
#define BENCH_CHUNK  2048
#define BENCH_STAMPS 64 /* a power of two, more than chunks in a run */

/* Value of bench_rows: what tells one flow's frame from another's, as it stands in the
 * frame. Rows lie in the order in which they are visited; the flows in it are shuffled. */
struct bench_row {
	__be32 src; /* IPv6: last words of the addresses */
	__be32 dst;
	__be16 sport;
	__be16 dport;
	__sum16 l3_check; /* IPv4 header */
	__sum16 l4_check;
};
_Static_assert(sizeof(struct bench_row) == 16, "bench_row");

/* Live frames: flow i's have i as their last byte. */
#define LIVE_FLOWS 64	 /* a power of two, at most 256 */
#define LIVE_FRESH 16384 /* a power of two: flows of one frame each */
#define LIVE_CHUNK 2048

struct live_frame {
	__u64 word[BENCH_FRAME6_BYTES / 8]; /* IPv4: the last two are zero */
};

/* Where frames arrive. */
enum { LIVE_SERVER, LIVE_CLIENT, LIVE_SIDES };
/* What is done with them: counted, also kept to be looked at, also answered (by
 * the server). */
enum { LIVE_COUNT, LIVE_KEEP, LIVE_ANSWER };

#endif
