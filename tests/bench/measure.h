/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Program time: programs run over and over, interleaved, there and back again. Knows
 * programs and repeats, not what they do.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include "rounds.h"
#include "world.h"

#define MEASURE_CHUNKS	    48 /* more than 65536 packets */
#define MEASURE_CONTESTANTS 4

/* What a run sends: the packets' common frame, and what tells them apart. */
struct packets {
	uint64_t frame[BENCH_FRAME6_BYTES / 8];
	struct bench_row *rows;
	uint32_t count;
	uint32_t churning; /* behind those: of new flows, which come in between */
	uint32_t version;  /* another one when rows change */
	bool is_tcp;
};

/* How packets are given to a program. */
struct shot {
	int program; /* descriptor */
	uint32_t ingress;
	const void *frame; /* any one of them: of skbs the kernel takes the protocol down */
	uint32_t bytes;	   /* of a frame */
	bool is_skb;	   /* a tc program */
};

/* The first of a contest is an empty program, the second ours, compared with each of
 * those after it that is not empty. */
struct contestant {
	struct shot shot;
	const struct packets *packets;
	int less; /* the contestant whose time is taken off; -1: this one is empty */
};

struct contest {
	struct contestant who[MEASURE_CONTESTANTS];
	uint32_t count;
	uint32_t chunks;  /* of a run, each BENCH_CHUNK packets */
	bool is_added;	  /* by difference, not by ratio */
	bool starts_over; /* each run with the first packet, else where the last one ended */
	bool churns;	  /* every second chunk is not ours to time */
	int (*prepare)(void *context, uint32_t which); /* before each run; may be NULL */
	void *context;
};

/* Of the runs that follow. */
void measure_load(struct world *world, const struct packets *packets);
/* Packets of a run: the last one stamps. */
uint32_t measure_packets(const struct contest *contest);
/* One packet, the position-th of those that are loaded. out: the frame afterwards. The
 * program's verdict: action. */
int measure_packet(const struct world *world, const struct shot *shot, uint32_t position,
		   uint8_t *out, uint32_t *action);
/* So many of the packets that are loaded, from the first one on. */
int measure_send(const struct world *world, const struct shot *shot, uint32_t count);
/* results: an element for each contestant; set are those of which ours is compared with. */
int measure_contest(struct world *world, const struct contest *contest, uint32_t rounds,
		    struct result *results);

#endif
