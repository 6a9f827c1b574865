// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which programs run against each other in a row.
 */
#include "trial.h"

bool trial_makes_flows(const struct program_case *row)
{
	return row->kind == CASE_NEW || row->kind == CASE_ANY || row->kind == CASE_NEW_BESIDE;
}

int trial_pick(bool is_v6, const struct bpf_program *four, const struct bpf_program *six)
{
	return bpf_program__fd(is_v6 ? six : four);
}

static int empty_of(const struct trial *trial, bool is_v6)
{
	const struct bench_bpf *skeleton = trial->world.skeleton;

	if (trial->row->hook != XDNAT_HOOK_XDP)
		return trial_pick(is_v6, skeleton->progs.bench_skb_empty4,
				  skeleton->progs.bench_skb_empty6);
	return trial_pick(is_v6, skeleton->progs.bench_empty4, skeleton->progs.bench_empty6);
}

int trial_datapath(const struct trial *trial, bool is_v6)
{
	const struct bench_bpf *skeleton = trial->world.skeleton;

	if (trial->row->hook == XDNAT_HOOK_INGRESS)
		return trial_pick(is_v6, skeleton->progs.bench_ingress4,
				  skeleton->progs.bench_ingress6);
	if (trial->row->hook == XDNAT_HOOK_EGRESS)
		return trial_pick(is_v6, skeleton->progs.bench_egress4,
				  skeleton->progs.bench_egress6);
	if (trial->row->kind == CASE_CHURNED)
		return trial_pick(is_v6, skeleton->progs.bench_churn4,
				  skeleton->progs.bench_churn6);
	return trial_pick(is_v6, skeleton->progs.bench_xdnat4, skeleton->progs.bench_xdnat6);
}

static int floor_of(const struct trial *trial, bool is_v6)
{
	const struct bench_bpf *skeleton = trial->world.skeleton;

	if (trial_makes_flows(trial->row))
		return trial_pick(is_v6, skeleton->progs.bench_making4,
				  skeleton->progs.bench_making6);
	return trial_pick(is_v6, skeleton->progs.bench_floor4, skeleton->progs.bench_floor6);
}

struct shot trial_shot(const struct trial *trial, const struct stream *stream, int program)
{
	return (struct shot){
		.program = program,
		.ingress = world_ingress(&trial->world, stream->direction),
		.frame = stream->packets.frame,
		.bytes = stream_frame_bytes(stream),
		.is_skb = trial->row->hook != XDNAT_HOOK_XDP,
	};
}

static void enter(struct trial *trial, int side, int program, int less)
{
	struct contest *contest = &trial->contest;
	const struct stream *stream = &trial->timed[side];

	contest->who[contest->count++] = (struct contestant){
		.shot = trial_shot(trial, stream, program),
		.packets = &stream->packets,
		.less = less,
	};
}

/* Who runs against whom. */
void trial_choose_contest(struct trial *trial)
{
	const struct bench_bpf *skeleton = trial->world.skeleton;
	bool is_v6 = trial->row->is_v6;
	int empty = empty_of(trial, is_v6), datapath = trial_datapath(trial, is_v6);
	int floor = floor_of(trial, is_v6);

	enter(trial, SIDE_OURS, empty, -1);
	switch (trial->row->kind) {
	case CASE_SELF:
		enter(trial, SIDE_OURS, floor, TRIAL_EMPTY);
		enter(trial, SIDE_OURS, floor, TRIAL_EMPTY);
		break;
	case CASE_ESTABLISHED:
		enter(trial, SIDE_OURS, datapath, TRIAL_EMPTY);
		enter(trial, SIDE_OURS, floor, TRIAL_EMPTY);
		if (!trial->world.setup.has_ticks) /* the hash has no tick */
			enter(trial, SIDE_OURS,
			      trial_pick(is_v6, skeleton->progs.bench_hash_nat4,
					 skeleton->progs.bench_hash_nat6),
			      TRIAL_EMPTY);
		break;
	case CASE_FAMILIES:
		enter(trial, SIDE_OURS, datapath, TRIAL_EMPTY);
		enter(trial, SIDE_BESIDE, trial_datapath(trial, false), 3);
		enter(trial, SIDE_BESIDE, empty_of(trial, false), -1);
		break;
	case CASE_FOREIGN:
		enter(trial, SIDE_OURS, datapath, TRIAL_EMPTY);
		enter(trial, SIDE_OURS, empty, TRIAL_EMPTY);
		break;
	case CASE_NEW:
		enter(trial, SIDE_OURS, datapath, TRIAL_EMPTY);
		enter(trial, SIDE_OURS, floor, TRIAL_EMPTY);
		break;
	case CASE_ANY:
		enter(trial, SIDE_OURS, bpf_program__fd(skeleton->progs.bench_any4), TRIAL_EMPTY);
		enter(trial, SIDE_OURS, bpf_program__fd(skeleton->progs.bench_exact4), TRIAL_EMPTY);
		break;
	case CASE_BESIDE:
	case CASE_CHURNED:
	case CASE_NEW_BESIDE:
		enter(trial, SIDE_OURS, datapath, TRIAL_EMPTY);
		enter(trial, SIDE_BESIDE, datapath, TRIAL_EMPTY);
		break;
	}
}
