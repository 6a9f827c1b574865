// SPDX-License-Identifier: GPL-2.0-only
#include "measure.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

enum { EMPTY, OURS, FIRST_OTHER };

void measure_load(struct world *world, const struct packets *packets)
{
	struct bench_bpf__bss *bss = world->skeleton->bss;

	memcpy(bss->frame, packets->frame, sizeof(bss->frame));
	bss->row_count = packets->count;
	bss->churn_count = packets->churning;
	bss->is_tcp = packets->is_tcp;
	if (world->loaded == packets->rows && world->loaded_version == packets->version)
		return;
	memcpy(world->rows, packets->rows,
	       (packets->count + packets->churning) * sizeof(*packets->rows));
	world->loaded = packets->rows;
	world->loaded_version = packets->version;
}

uint32_t measure_packets(const struct contest *contest)
{
	return contest->chunks * BENCH_CHUNK + 1;
}

/* What a test run is told of where its packets come in. */
union context {
	struct xdp_md frame;
	struct __sk_buff skb;
};

static void context_fill(union context *context, const struct shot *shot,
			 struct bpf_test_run_opts *opts)
{
	memset(context, 0, sizeof(*context));
	opts->ctx_in = context;
	if (shot->is_skb) {
		context->skb.ifindex = shot->ingress;
		context->skb.ingress_ifindex = shot->ingress;
		opts->ctx_size_in = sizeof(context->skb);
	} else {
		context->frame.data_end = shot->bytes;
		context->frame.ingress_ifindex = shot->ingress;
		opts->ctx_size_in = sizeof(context->frame);
	}
}

int measure_packet(const struct world *world, const struct shot *shot, uint32_t position,
		   uint8_t *out, uint32_t *action)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = shot->frame, .data_size_in = shot->bytes,
		    .data_out = out, .data_size_out = shot->bytes);
	union context context;
	int err;

	context_fill(&context, shot, &opts);
	world->skeleton->bss->position = 0;
	world->skeleton->bss->row_at = position;
	err = bpf_prog_test_run_opts(shot->program, &opts);
	*action = opts.retval;
	return err;
}

static int send_from(const struct world *world, const struct shot *shot, uint32_t row,
		     uint32_t count)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = shot->frame, .data_size_in = shot->bytes,
		    .repeat = count);
	union context context;

	context_fill(&context, shot, &opts);
	world->skeleton->bss->position = 0;
	world->skeleton->bss->row_at = row;
	return bpf_prog_test_run_opts(shot->program, &opts);
}

int measure_send(const struct world *world, const struct shot *shot, uint32_t count)
{
	return send_from(world, shot, 0, count);
}

/* Nanoseconds a packet. turn: so many runs of this program were before. */
static int run(struct world *world, const struct contest *contest, uint32_t which, uint32_t turn,
	       double *ns)
{
	const struct contestant *who = &contest->who[which];
	const volatile struct bench_bpf__bss *bss = world->skeleton->bss;
	uint64_t row = contest->starts_over ? 0 : (uint64_t)turn * measure_packets(contest);
	uint32_t step = contest->churns ? 2 : 1, timed = 0;
	double chunks[BENCH_STAMPS];
	int err = 0;

	if (contest->prepare)
		err = contest->prepare(contest->context, which);
	measure_load(world, who->packets);
	if (!err)
		err = send_from(world, &who->shot, row % who->packets->count,
				measure_packets(contest));
	for (uint32_t i = 0; i < contest->chunks; i += step)
		chunks[timed++] = bss->stamps_ns[i + 1] - bss->stamps_ns[i];
	*ns = rounds_median(chunks, timed) / BENCH_CHUNK;
	return err;
}

static void compare(const struct contest *contest, const double *ns, uint32_t other,
		    struct round *round)
{
	const struct contestant *who = contest->who;

	round->ours = ns[OURS] - ns[who[OURS].less];
	round->other = ns[other] - ns[who[other].less];
	round->value = contest->is_added ? round->ours : round->ours / round->other;
}

static bool is_compared(const struct contest *contest, uint32_t which)
{
	return which >= FIRST_OTHER && contest->who[which].less >= 0;
}

/* There and back again: the first and the last are the same. */
static int run_round(struct world *world, const struct contest *contest, uint32_t number,
		     struct round *rounds)
{
	uint64_t before = rounds_disturbances();
	double ns[MEASURE_CONTESTANTS] = {}, taken;
	int err = 0;

	for (uint32_t i = 0; !err && i < 2 * contest->count; i++) {
		bool is_back = i >= contest->count;
		uint32_t which = is_back ? 2 * contest->count - 1 - i : i;

		err = run(world, contest, which, 2 * number + is_back, &taken);
		ns[which] += taken / 2;
	}
	for (uint32_t i = 0; i < contest->count; i++) {
		if (!is_compared(contest, i))
			continue;
		compare(contest, ns, i, &rounds[i]);
		rounds[i].is_disturbed = rounds_disturbances() != before;
	}
	return err;
}

int measure_contest(struct world *world, const struct contest *contest, uint32_t rounds,
		    struct result *results)
{
	static struct round all[MEASURE_CONTESTANTS][ROUNDS_MAX];
	struct round round[MEASURE_CONTESTANTS];
	int err = run_round(world, contest, 0, round); /* warms up */

	for (uint32_t i = 0; !err && i < rounds; i++) {
		err = run_round(world, contest, i + 1, round);
		for (uint32_t n = 0; n < contest->count; n++)
			all[n][i] = round[n];
	}
	for (uint32_t n = 0; !err && n < contest->count; n++)
		if (is_compared(contest, n))
			rounds_conclude(all[n], rounds, &results[n]);
	return err;
}
