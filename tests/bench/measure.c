// SPDX-License-Identifier: GPL-2.0-only
#include "measure.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

enum { EMPTY, OURS, FLOOR, PROGRAMS };

void measure_load(const struct world *world, const struct packets *packets)
{
	struct bench_bpf__bss *bss = world->skeleton->bss;

	memcpy(bss->frame, packets->frame, sizeof(bss->frame));
	memcpy(bss->rows, packets->rows, packets->count * sizeof(*packets->rows));
	bss->row_mask = packets->count - 1;
	bss->is_tcp = packets->is_tcp;
}

uint32_t measure_packets(const struct contest *contest)
{
	return contest->chunks * BENCH_CHUNK + 1;
}

int measure_packet(const struct world *world, int program, uint32_t ingress, uint32_t position,
		   const uint8_t *in, uint8_t *out, uint32_t bytes, uint32_t *action)
{
	struct xdp_md ctx = {.data_end = bytes, .ingress_ifindex = ingress};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = bytes, .data_out = out,
		    .data_size_out = bytes, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	int err;

	world->skeleton->bss->position = position;
	err = bpf_prog_test_run_opts(program, &opts);
	*action = opts.retval;
	return err;
}

/* Nanoseconds a packet. */
static int run(const struct world *world, const struct contest *contest, int program,
	       struct xdp_md *ctx, double *ns)
{
	uint8_t frame[BENCH_FRAME6_BYTES] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = ctx->data_end,
		    .ctx_in = ctx, .ctx_size_in = sizeof(*ctx), .repeat = measure_packets(contest));
	const volatile struct bench_bpf__bss *bss = world->skeleton->bss;
	double chunks[BENCH_STAMPS];
	int err = contest->is_of_new_flows ? world_clear(world) : 0;

	world->skeleton->bss->position = 0;
	if (!err)
		err = bpf_prog_test_run_opts(program, &opts);
	for (uint32_t i = 0; i < contest->chunks; i++)
		chunks[i] = bss->stamps_ns[i + 1] - bss->stamps_ns[i];
	*ns = rounds_median(chunks, contest->chunks) / BENCH_CHUNK;
	return err;
}

/* empty, ours, floor, floor, ours, empty */
static int run_round(const struct world *world, const struct contest *contest, struct xdp_md *ctx,
		     struct round *round)
{
	const int programs[PROGRAMS] = {contest->empty, contest->ours, contest->floor};
	const struct packets *const packets[PROGRAMS] = {NULL, contest->to_ours, contest->to_floor};
	uint64_t before = rounds_disturbances();
	double ns[PROGRAMS] = {}, taken;
	int err = 0;

	for (int i = 0; !err && i < 2 * PROGRAMS; i++) {
		int which = i < PROGRAMS ? i : 2 * PROGRAMS - 1 - i;

		if (packets[which])
			measure_load(world, packets[which]);
		err = run(world, contest, programs[which], ctx, &taken);
		ns[which] += taken / 2;
	}
	round->is_disturbed = rounds_disturbances() != before;
	round->ours = ns[OURS] - ns[EMPTY];
	round->other = ns[FLOOR] - ns[EMPTY];
	round->value = contest->is_added ? round->ours : round->ours / round->other;
	return err;
}

int measure_contest(const struct world *world, const struct contest *contest, uint32_t ingress,
		    uint32_t bytes, uint32_t rounds, struct result *result)
{
	struct xdp_md ctx = {.data_end = bytes, .ingress_ifindex = ingress};
	struct round round[ROUNDS_MAX] = {}, warm_up = {};
	int err = run_round(world, contest, &ctx, &warm_up);

	for (uint32_t i = 0; !err && i < rounds; i++)
		err = run_round(world, contest, &ctx, &round[i]);
	if (!err)
		rounds_conclude(round, rounds, result);
	return err;
}
