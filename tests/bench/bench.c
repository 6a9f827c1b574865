// SPDX-License-Identifier: GPL-2.0-only
/*
 * Program time of an established packet beside Floor-P (a program that parses,
 * looks up our key in a kernel hash and redirects), both net of an empty program,
 * measured side by side. Every packet is checked before it is timed. A goal that
 * is missed is printed; only a wrong packet or a crooked scale fails.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define ROUNDS	       31
#define ROUNDS_QUICK   7
#define JSON_PATH      "build/bench.json"
#define SELF_TOLERANCE 0.03
#define GOAL_RATIO     1.2 /* issue 2, established IPv4 */
#define GOAL_ADDED_NS  8.  /* PERFORMANCE.md goal 15 */

enum { IS_ESTABLISHED, IS_FOREIGN, IS_SELF };

struct bench_case {
	const char *name;
	bool is_v6;
	bool is_tcp;
	bool has_ticks;
	uint8_t direction;
	uint8_t kind;
	uint32_t flows;
	double goal; /* 0: none */
};

static const struct bench_case cases[] = {
	{.name = "floor against itself", .kind = IS_SELF, .flows = 64},
	{.name = "v4 udp original", .flows = 64, .goal = GOAL_RATIO},
	{.name = "v4 udp reply", .direction = XDNAT_REPLY, .flows = 64, .goal = GOAL_RATIO},
	{.name = "v4 tcp original", .is_tcp = true, .flows = 64, .goal = GOAL_RATIO},
	{.name = "v6 udp original", .is_v6 = true, .flows = 64},
	{.name = "v6 udp reply", .is_v6 = true, .direction = XDNAT_REPLY, .flows = 64},
	{.name = "v6 tcp original", .is_v6 = true, .is_tcp = true, .flows = 64},
	{.name = "foreign v4 udp", .kind = IS_FOREIGN, .flows = 64, .goal = GOAL_ADDED_NS},
	{.name = "v4 udp original", .flows = 65536, .goal = GOAL_RATIO},
	{.name = "v4 udp original, ticking", .flows = 65536, .has_ticks = true},
};
#define CASES (sizeof(cases) / sizeof(*cases))

/* One row of the table while it is measured. */
struct trial {
	const struct world *world;
	const struct bench_case *row;
	struct flows flows;
	struct contest contest;
	int datapath;
	uint32_t order[BENCH_ROWS]; /* of flows, as they are visited */
};

static void order_plainly(struct trial *trial)
{
	for (uint32_t i = 0; i < trial->flows.count; i++)
		trial->order[i] = i;
}

/* Not the order in which they were made, which is how they lie in memory. The same
 * every time. */
static void order_randomly(struct trial *trial)
{
	unsigned int seed = 1;

	for (uint32_t i = 0; i < trial->flows.count; i++) {
		uint32_t j = rand_r(&seed) % (i + 1);

		trial->order[i] = trial->order[j];
		trial->order[j] = i;
	}
}

static void trial_start(struct trial *trial, const struct world *world,
			const struct bench_case *row)
{
	const struct bench_bpf *skeleton = world->skeleton;
	bool is_v6 = row->is_v6;
	int floor = bpf_program__fd(is_v6 ? skeleton->progs.bench_floor6
					  : skeleton->progs.bench_floor4);

	trial->world = world;
	trial->row = row;
	trial->flows = (struct flows){
		.is_v6 = is_v6,
		.is_tcp = row->is_tcp,
		.is_foreign = row->kind == IS_FOREIGN,
		.count = row->flows,
	};
	trial->datapath = bpf_program__fd(is_v6 ? skeleton->progs.bench_xdnat6
						: skeleton->progs.bench_xdnat4);
	trial->contest.ours = row->kind == IS_SELF ? floor : trial->datapath;
	trial->contest.empty = bpf_program__fd(is_v6 ? skeleton->progs.bench_empty6
						     : skeleton->progs.bench_empty4);
	trial->contest.floor = row->kind == IS_FOREIGN ? trial->contest.empty : floor;
	trial->contest.is_added = row->kind == IS_FOREIGN;
	order_plainly(trial);
}

/* The programs will see one direction of all flows. */
static void fill_rows(const struct trial *trial, uint8_t direction, uint8_t tcp_flags)
{
	struct bench_bpf__bss *bss = trial->world->skeleton->bss;
	uint8_t bytes[BENCH_FRAME6_BYTES];
	struct frame frame;

	for (uint32_t i = 0; i < trial->flows.count; i++) {
		world_arriving(&trial->flows, trial->order[i], direction, tcp_flags, &frame);
		frame_build(&frame, bytes);
		frame_row(&frame, bytes, &bss->rows[i]);
	}
	memcpy(bss->frame, bytes, sizeof(bss->frame));
	bss->is_tcp = trial->flows.is_tcp;
	bss->row_mask = trial->flows.count - 1;
}

static void print_bytes(const char *what, const uint8_t *bytes, uint32_t count)
{
	fprintf(stderr, "%s ", what);
	for (uint32_t i = 0; i < count; i++)
		fprintf(stderr, "%02x", bytes[i]);
	fprintf(stderr, "\n");
}

/* Runs every flow's packet once through program: the datapath must translate it,
 * all others leave it as it came. Leaves the rows filled. */
static int check(const struct trial *trial, uint8_t direction, uint8_t tcp_flags, int program,
		 uint32_t verdict)
{
	uint8_t blank[BENCH_FRAME6_BYTES] = {}, got[BENCH_FRAME6_BYTES], want[BENCH_FRAME6_BYTES];
	uint32_t ingress = world_ingress(trial->world, direction), bytes, action;
	struct frame frame;
	int err;

	fill_rows(trial, direction, tcp_flags);
	for (uint32_t i = 0; i < trial->flows.count; i++) {
		world_arriving(&trial->flows, trial->order[i], direction, tcp_flags, &frame);
		if (program == trial->datapath)
			world_leaving(&trial->flows, direction, &frame, &frame);
		bytes = frame_build(&frame, want);
		err = measure_packet(trial->world, program, ingress, i, blank, got, bytes, &action);
		if (err)
			return err;
		if (action == verdict && !memcmp(got, want, bytes))
			continue;
		fprintf(stderr, "%s: wrong packet of flow %u, verdict %u instead of %u\n",
			trial->row->name, trial->order[i], action, verdict);
		print_bytes(" got", got, bytes);
		print_bytes("want", want, bytes);
		return -EBADMSG;
	}
	return 0;
}

/* Makes the flows as clients and targets do, and fills the floor's table. */
static int establish(const struct trial *trial)
{
	int program = trial->datapath;
	int err = check(trial, XDNAT_ORIGINAL, FRAME_TCP_SYN, program, XDP_REDIRECT);

	if (!err)
		err = check(trial, XDNAT_REPLY, FRAME_TCP_SYN | FRAME_TCP_ACK, program,
			    XDP_REDIRECT);
	if (!err)
		err = check(trial, XDNAT_ORIGINAL, FRAME_TCP_ACK, program, XDP_REDIRECT);
	for (uint32_t i = 0; !err && i < trial->flows.count; i++)
		err = world_copy_flow(trial->world, &trial->flows, i);
	if (err == -EINVAL)
		fprintf(stderr, "%s: a flow that was answered is not settled\n", trial->row->name);
	return err;
}

/* What is about to be timed does what it should, on every packet. */
static int check_contest(const struct trial *trial)
{
	const struct contest *contest = &trial->contest;
	uint32_t verdict = trial->row->kind == IS_FOREIGN ? XDP_PASS : XDP_REDIRECT;
	uint8_t direction = trial->row->direction;
	int err = check(trial, direction, FRAME_TCP_ACK, contest->empty, XDP_PASS);

	if (!err)
		err = check(trial, direction, FRAME_TCP_ACK, contest->floor, verdict);
	return err ? err : check(trial, direction, FRAME_TCP_ACK, contest->ours, verdict);
}

static int measure_row(const struct world *world, const struct bench_case *row, uint32_t rounds,
		       struct result *result)
{
	static struct trial trial;
	int err = 0;

	trial_start(&trial, world, row);
	if (row->kind != IS_FOREIGN)
		err = establish(&trial);
	order_randomly(&trial);
	if (!err)
		err = check_contest(&trial);
	if (!err)
		err = measure_contest(world, &trial.contest, world_ingress(world, row->direction),
				      row->is_v6 ? BENCH_FRAME6_BYTES : BENCH_FRAME4_BYTES, rounds,
				      result);
	/* Once more: nothing went wrong meanwhile. */
	return err ? err : check_contest(&trial);
}

static bool is_straight(const struct result *self)
{
	return self->is_valid && fabs(self->value - 1) <= SELF_TOLERANCE;
}

static const char *judge(const struct bench_case *row, const struct result *result)
{
	if (!result->is_valid)
		return "invalid";
	if (row->kind == IS_SELF)
		return is_straight(result) ? "ok" : "crooked";
	if (!row->goal)
		return "-";
	return result->value <= row->goal ? "ok" : "over";
}

static void print_row(const struct bench_case *row, const struct result *result)
{
	char goal[16] = "-", value[16], interval[32];
	const char *unit = row->kind == IS_FOREIGN ? " ns" : "";

	snprintf(value, sizeof(value), "%.2f%s", result->value, unit);
	snprintf(interval, sizeof(interval), "%.2f-%.2f", result->low, result->high);
	if (row->kind == IS_SELF)
		snprintf(goal, sizeof(goal), "1.00");
	else if (row->goal)
		snprintf(goal, sizeof(goal), "<= %.1f%s", row->goal, unit);
	printf("%-26s %6u %8.1f %8.1f  %9s  %-13s %-9s %-8s %u/%u\n", row->name, row->flows,
	       result->ours_ns, result->floor_ns, value, interval, goal, judge(row, result),
	       result->rounds - result->dropped, result->rounds);
}

static void print_table(const struct result *results)
{
	printf("Program time net of an empty program, %d packets a run, ABBA rounds\n"
	       "%-26s %6s %8s %8s  %9s  %-13s %-9s %-8s %s\n",
	       MEASURE_REPEAT, "packet", "flows", "ns ours", "ns floor", "ratio", "95 %", "goal",
	       "", "rounds kept");
	for (size_t i = 0; i < CASES; i++)
		print_row(&cases[i], &results[i]);
	printf("foreign: ns added to a program that only passes. A row is invalid if more than "
	       "%d %%\nof its rounds were disturbed (steal, involuntary switches).\n",
	       MEASURE_DROPPED_PERCENT);
}

static json_t *json_row(const struct bench_case *row, const struct result *result)
{
	return json_pack("{s:s, s:i, s:b, s:f, s:f, s:s, s:f, s:f, s:f, s:f, s:s, s:i, s:i}",
			 "packet", row->name, "flows", row->flows, "clock_held", !row->has_ticks,
			 "ours_ns", result->ours_ns, "floor_ns", result->floor_ns, "unit",
			 row->kind == IS_FOREIGN ? "ns added" : "ratio", "value", result->value,
			 "low", result->low, "high", result->high, "goal", row->goal, "verdict",
			 judge(row, result), "rounds", result->rounds, "dropped", result->dropped);
}

static int write_json(const struct result *results)
{
	json_t *root = json_object(), *rows = json_array();
	int err;

	for (size_t i = 0; i < CASES; i++)
		json_array_append_new(rows, json_row(&cases[i], &results[i]));
	json_object_set_new(root, "repeat", json_integer(MEASURE_REPEAT));
	json_object_set_new(root, "rows", rows);
	err = json_dump_file(root, JSON_PATH, JSON_INDENT(2)) ? -EIO : 0;
	json_decref(root);
	return err;
}

/* Rows of one world stand together in cases: a world is loaded when it changes. */
static int measure_all(struct world *world, uint32_t rounds, struct result *results)
{
	int err = 0;

	for (size_t i = 0; !err && i < CASES; i++) {
		fprintf(stderr, "%zu/%zu %s, %u flows ...\n", i + 1, CASES, cases[i].name,
			cases[i].flows);
		if (i == 0 || cases[i].has_ticks != cases[i - 1].has_ticks) {
			world_unload(world);
			err = world_load(world, !cases[i].has_ticks);
		}
		if (!err)
			err = measure_row(world, &cases[i], rounds, &results[i]);
	}
	return err;
}

int main(int argc, char **argv)
{
	bool is_quick = argc == 2 && !strcmp(argv[1], "--quick");
	struct result results[CASES] = {};
	struct world world = {};
	int err;

	if (argc > 1 && !is_quick) {
		fprintf(stderr, "usage: %s [--quick]\n", argv[0]);
		return 2;
	}
	err = world_make();
	if (!err) {
		measure_settle();
		err = measure_all(&world, is_quick ? ROUNDS_QUICK : ROUNDS, results);
	}
	world_unload(&world);
	if (err) {
		fprintf(stderr, "cannot measure: %s\n", strerror(-err));
		return 1;
	}
	print_table(results);
	fflush(stdout);
	err = write_json(results);
	if (err)
		fprintf(stderr, "cannot write %s: %s\n", JSON_PATH, strerror(-err));
	if (!is_straight(&results[0]))
		fprintf(stderr, "the scale is crooked: a program differs from itself\n");
	return err || !is_straight(&results[0]);
}
