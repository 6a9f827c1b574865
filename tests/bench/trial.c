// SPDX-License-Identifier: GPL-2.0-only
#include "trial.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX      (4u << 20)
#define FLOOD	      16384	 /* new flows, of clients ... */
#define FLOOD_CLIENTS (8u << 20) /* ... from this one on */
/* Clients of the other side, where both are established at once. */
#define BESIDE_CLIENTS (16u << 20)
/* Flows that are made at once, of the table's capacity: more, and some of them would
 * lose their places before their clients go on. */
#define BATCH_PART	    512
#define CROWDED_BUCKETS_MAX 4096  /* of the world of CASE_CHURNED */
#define SEEN_MAX	    65536 /* flows that are made before all eyes */

int trial_make(struct trial *trial)
{
	int err = stream_make(&trial->timed[SIDE_OURS], ROWS_MAX);

	if (!err)
		err = stream_make(&trial->timed[SIDE_BESIDE], ROWS_MAX);
	if (!err)
		err = stream_make(&trial->making, ROWS_MAX);
	for (int side = 0; !err && side < SIDES; side++)
		err = stream_make(&trial->flood[side], FLOOD);
	trial->order = calloc(ROWS_MAX, sizeof(*trial->order));
	return err || trial->order ? err : -ENOMEM;
}

/* Not the order in which they were made, which is how they lie in a kernel hash. The
 * same every time. */
static void order_randomly(uint32_t *order, uint32_t count)
{
	uint64_t state = 1;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t j;

		/* D. E. Knuth, MMIX */
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		j = (state >> 32) % (i + 1);
		order[i] = order[j];
		order[j] = i;
	}
}

/* Flows of both sides are established at once. */
static bool has_both(const struct program_case *row)
{
	return row->kind == CASE_BESIDE || row->kind == CASE_FAMILIES;
}

static bool has_beside(const struct program_case *row)
{
	return has_both(row) || row->kind == CASE_CHURNED || row->kind == CASE_NEW_BESIDE;
}

/* Looks at what a program makes of a side's packets. */
static int check(struct trial *trial, struct stream *stream, const struct shot *shot,
		 const struct outcome *outcome)
{
	int err;

	measure_load(&trial->world, &stream->packets);
	err = stream_check(stream, &trial->world, shot, outcome, &trial->checked);
	if (err == -EBADMSG)
		fprintf(stderr, "%s: wrong packet\n", trial->row->name);
	return err;
}

/* A batch's packets of one direction through the datapath. */
static int exchange(struct trial *trial, uint8_t direction, uint8_t tcp_flags, uint32_t count)
{
	static const struct outcome forwarded = {.is_translated = true, .verdict = XDP_REDIRECT};
	const struct bench_bpf *skeleton = trial->world.skeleton;
	struct stream *stream = &trial->making;
	struct shot shot;

	stream->direction = direction;
	stream->tcp_flags = tcp_flags;
	stream_fill(stream, count);
	shot = trial_shot(trial, stream,
			  trial_pick(stream->flows.is_v6, skeleton->progs.bench_xdnat4,
				     skeleton->progs.bench_xdnat6));
	if (stream->flows.count <= SEEN_MAX && trial->row->kind != CASE_CHURNED)
		return check(trial, stream, &shot, &forwarded);
	measure_load(&trial->world, &stream->packets);
	return measure_send(&trial->world, &shot, count);
}

/* Takes the batch over into the others' tables. */
static int copy(struct trial *trial, uint32_t count)
{
	struct bench_bpf *skeleton = trial->world.skeleton;
	struct stream *stream = &trial->making;
	struct shot shot = trial_shot(trial, stream,
				      trial_pick(stream->flows.is_v6, skeleton->progs.bench_copy4,
						 skeleton->progs.bench_copy6));
	int err;

	skeleton->bss->copied = 0;
	err = measure_send(&trial->world, &shot, count);
	if (err || skeleton->bss->copied == count)
		return err;
	fprintf(stderr, "%s: %llu of %u flows that were answered are settled\n", trial->row->name,
		(unsigned long long)skeleton->bss->copied, count);
	return -EINVAL;
}

/* Makes flows from the at-th on, so many, as clients and targets do. */
static int establish_batch(struct trial *trial, const struct flows *flows, uint32_t at,
			   uint32_t count)
{
	int err;

	trial->making.flows = *flows;
	trial->making.first = at;
	err = exchange(trial, XDNAT_ORIGINAL, FRAME_TCP_SYN, count);
	if (!err)
		err = exchange(trial, XDNAT_REPLY, FRAME_TCP_SYN | FRAME_TCP_ACK, count);
	if (!err)
		err = exchange(trial, XDNAT_ORIGINAL, FRAME_TCP_ACK, count);
	return err ? err : copy(trial, count);
}

/* From the first-th on. Both sides' in turns: who comes late to a table finds worse
 * places. */
static int establish(struct trial *trial, uint32_t first)
{
	const struct world_setup *setup = &trial->world.setup;
	const struct flows *flows = &trial->timed[SIDE_OURS].flows;
	uint32_t part = (flows->is_v6 ? setup->flows6 : setup->flows4) / BATCH_PART;
	int err = 0;

	for (uint32_t at = first; !err && at < flows->count; at += part) {
		uint32_t count = flows->count - at < part ? flows->count - at : part;

		err = establish_batch(trial, flows, at, count);
		if (!err && has_both(trial->row))
			err = establish_batch(trial, &trial->timed[SIDE_BESIDE].flows, at, count);
	}
	return err;
}

/* Before each run of new flows: there are none. */
static int prepare_clear(void *context, uint32_t which)
{
	struct trial *trial = context;

	return which == TRIAL_EMPTY ? 0 : world_clear(&trial->world, trial->row->is_v6);
}

/* -EINVAL unless the buckets of the established flows have so many embryos each. */
static int check_quota(const struct trial *trial, int wanted)
{
	const struct flows *flows = &trial->timed[SIDE_OURS].flows;

	for (uint32_t i = 0; i < XDNAT_DIRECTIONS * flows->count; i++) {
		uint32_t bucket = world_home(&trial->world, flows, i / XDNAT_DIRECTIONS,
					     i % XDNAT_DIRECTIONS);
		int embryos = world_embryos(&trial->world, flows->is_v6, bucket);

		if (embryos == wanted)
			continue;
		fprintf(stderr, "%s: %d embryos instead of %d in bucket %u\n", trial->row->name,
			embryos, wanted, bucket);
		return embryos < 0 ? embryos : -EINVAL;
	}
	return 0;
}

/* Before each run amid new flows: all the room that they may have is theirs, but that of
 * the side that is quiet. */
static int prepare_churn(void *context, uint32_t which)
{
	struct trial *trial = context;
	struct stream *flood = &trial->flood[which == TRIAL_OURS ? SIDE_OURS : SIDE_BESIDE];
	struct shot shot;
	int err;

	if (which == TRIAL_EMPTY)
		return 0;
	err = world_clear(&trial->world, trial->row->is_v6);
	if (!err)
		err = establish(trial, 0);
	if (err)
		return err;
	shot = trial_shot(trial, flood, trial_datapath(trial, trial->row->is_v6));
	measure_load(&trial->world, &flood->packets);
	err = measure_send(&trial->world, &shot, flood->packets.count);
	return err ? err : check_quota(trial, which == TRIAL_OURS ? XDNAT_SLOTS / 2 : 0);
}

static void fill_timed(struct trial *trial, int side, uint32_t count)
{
	const struct program_case *row = trial->row;
	struct stream *stream = &trial->timed[side];

	stream->flows = (struct flows){
		.is_v6 = row->is_v6 && !(row->kind == CASE_FAMILIES && side == SIDE_BESIDE),
		.is_tcp = row->is_tcp,
		.rule = side == SIDE_OURS ? row->rule : row->beside,
		.rules = side == SIDE_OURS ? trial->world.setup.rules : CASE_FEW_RULES,
		.first = side == SIDE_BESIDE && has_both(row) ? BESIDE_CLIENTS : 0,
		.count = count,
	};
	stream->direction = row->direction;
	stream->tcp_flags = trial_makes_flows(row) ? FRAME_TCP_SYN : FRAME_TCP_ACK;
	stream->order = trial->order;
	stream_fill(stream, count);
}

/* Marks the buckets that halves of flow i are at home in, or says whether one of them
 * is marked. */
static bool is_near(const struct trial *trial, const struct flows *flows, uint32_t i, bool marks)
{
	static uint8_t marked[CROWDED_BUCKETS_MAX];
	bool was_marked = false;

	for (int direction = 0; direction < XDNAT_DIRECTIONS; direction++) {
		uint32_t bucket = world_home(&trial->world, flows, i, direction);

		was_marked |= marked[bucket % CROWDED_BUCKETS_MAX];
		marked[bucket % CROWDED_BUCKETS_MAX] |= marks;
	}
	return was_marked;
}

/* New flows anywhere, and as many that leave the established ones' buckets alone. */
static void fill_floods(struct trial *trial)
{
	static uint32_t order[SIDES][FLOOD];
	const struct flows *established = &trial->timed[SIDE_OURS].flows;

	for (uint32_t i = 0; i < established->count; i++)
		is_near(trial, established, i, true);
	for (int side = 0; side < SIDES; side++) {
		struct stream *flood = &trial->flood[side];
		uint32_t found = 0;

		flood->flows = *established;
		flood->flows.first = FLOOD_CLIENTS;
		flood->flows.count = FLOOD;
		for (uint32_t i = 0; found < FLOOD; i++)
			if (side == SIDE_OURS || !is_near(trial, &flood->flows, i, false))
				order[side][found++] = i;
		flood->order = order[side];
		stream_fill(flood, FLOOD);
		stream_churn(&trial->timed[side], flood);
	}
}

static uint32_t flows_of(const struct trial *trial, const struct program_case *row)
{
	const struct world_setup *setup = &trial->world.setup;
	uint64_t rated = row->is_v6 ? setup->flows6 : setup->flows4;

	if (row->percent)
		return rated * row->percent / 100;
	return row->flows < trial->flows_max ? row->flows : trial->flows_max;
}

static void start(struct trial *trial, const struct program_case *row)
{
	uint32_t count = flows_of(trial, row);
	struct contest *contest = &trial->contest;

	trial->row = row;
	trial->checked = 0;
	order_randomly(trial->order, count);
	fill_timed(trial, SIDE_OURS, count);
	if (has_beside(row))
		fill_timed(trial, SIDE_BESIDE, count);
	*contest = (struct contest){
		.chunks = MEASURE_CHUNKS,
		.is_added = row->kind == CASE_FOREIGN,
		.context = trial,
	};
	if (trial_makes_flows(row)) {
		contest->starts_over = true;
		contest->prepare = prepare_clear;
		/* No flow twice, and one packet more than the chunks have. */
		contest->chunks = count / 2 / BENCH_CHUNK;
	}
	if (row->kind == CASE_CHURNED) {
		fill_floods(trial);
		contest->churns = true;
		contest->prepare = prepare_churn;
	}
	trial_choose_contest(trial);
}

static int establish_row(struct trial *trial)
{
	const struct program_case *row = trial->row;
	uint32_t first = row->percent ? trial->filled : 0;
	int err = 0;

	if (row->kind == CASE_FOREIGN || trial_makes_flows(row))
		return 0;
	if (row->percent)
		trial->filled = trial->timed[SIDE_OURS].flows.count;
	/* Other rows' flows would have the better places. */
	for (int is_v6 = 0; !err && !row->percent && is_v6 < 2; is_v6++)
		err = world_clear(&trial->world, is_v6);
	return err ? err : establish(trial, first);
}

/* Whether packets must have been translated: floors only read them. */
static bool translates(const struct trial *trial, uint32_t which)
{
	const struct program_case *row = trial->row;

	if (row->kind == CASE_SELF || row->kind == CASE_FOREIGN ||
	    trial->contest.who[which].less < 0)
		return false;
	return which != TRIAL_FLOOR || (row->kind != CASE_ESTABLISHED && row->kind != CASE_NEW);
}

static uint32_t verdict_of(const struct trial *trial, uint32_t which)
{
	if (trial->row->hook != XDNAT_HOOK_XDP)
		return TC_ACT_UNSPEC;
	if (trial->row->kind == CASE_FOREIGN || trial->contest.who[which].less < 0)
		return XDP_PASS;
	return XDP_REDIRECT;
}

/* What is about to be timed does what it should. */
static int check_contest(struct trial *trial)
{
	const struct contest *contest = &trial->contest;
	int err = 0;

	for (uint32_t i = 0; !err && i < contest->count; i++) {
		const struct contestant *who = &contest->who[i];
		struct outcome outcome = {.is_translated = translates(trial, i),
					  .verdict = verdict_of(trial, i)};
		bool is_beside = who->packets == &trial->timed[SIDE_BESIDE].packets;

		if (contest->prepare)
			err = contest->prepare(trial, i);
		if (!err)
			err = check(trial, &trial->timed[is_beside], &who->shot, &outcome);
	}
	return err;
}

int trial_run(struct trial *trial, const struct program_case *row, struct result *results)
{
	int err;

	start(trial, row);
	err = establish_row(trial);
	if (!err)
		err = check_contest(trial);
	if (!err)
		err = measure_contest(&trial->world, &trial->contest, trial->rounds, results);
	/* Once more: nothing went wrong meanwhile. */
	return err ? err : check_contest(trial);
}
