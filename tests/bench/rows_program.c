// SPDX-License-Identifier: GPL-2.0-only
#include "rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "measure.h"

#define ESTABLISHED "Program time, established packets, net of an empty program (ns)"
#define FOREIGN	    "Program time, packets of nobody, beside a program that only passes (ns)"
#define MASQUERADED \
	"Program time, masqueraded packets beside preserved ones, net of an empty program (ns)"
#define NEW_FLOWS "Program time, a new flow with each packet, net of an empty program (ns)"
/* Issue figure while flows are in a kernel hash; a table of our own: 0.65. */
#define GOAL_ESTABLISHED 1.2
#define GOAL_NEW	 1.3  /* PERFORMANCE.md goal 9 */
#define GOAL_ANY	 1.3  /* a new flow under "*" beside one of a single port */
#define GOAL_PREFIXES	 1.25 /* flat, as goal 12 has it for a new flow and many rules */
#define GOAL_SAME	 1.03 /* what the scale itself may differ by */
#define GOAL_FOREIGN_NS	 8.   /* goal 15 */

enum { IS_ESTABLISHED, IS_SELF, IS_FOREIGN, IS_MASQUERADED, IS_NEW, IS_ANY, IS_SOURCES };

struct program_case {
	const char *name;
	bool is_v6;
	bool is_tcp;
	bool has_ticks;
	uint8_t direction;
	uint8_t kind;
	enum flows_rule rule;	/* of ours */
	enum flows_rule beside; /* of the others; another one: the datapath beside itself */
	uint32_t flows;
	double goal; /* 0: none */
};

#define FOREIGN_CASE(what, v6)                                                        \
	{                                                                             \
		.name = what, .is_v6 = v6, .kind = IS_FOREIGN, .rule = FLOWS_FOREIGN, \
		.beside = FLOWS_FOREIGN, .flows = 64, .goal = GOAL_FOREIGN_NS,        \
	}
#define MASQUERADED_CASE(what, v6, way)                                              \
	{                                                                            \
		.name = what, .is_v6 = v6, .direction = way, .kind = IS_MASQUERADED, \
		.rule = FLOWS_MASQUERADED, .flows = 64, .goal = GOAL_SAME,           \
	}
#define SOURCES_CASE(what, v6)                                                              \
	{                                                                                   \
		.name = what, .is_v6 = v6, .kind = IS_SOURCES, .rule = FLOWS_MANY_PREFIXES, \
		.beside = FLOWS_ONE_PREFIX, .flows = 32768, .goal = GOAL_PREFIXES,          \
	}

/* Rows of one world stand together: a world is loaded when it changes. */
static const struct program_case cases[] = {
	{.name = "Floor-P", .kind = IS_SELF, .flows = 64},
	{.name = "v4 udp original", .flows = 64, .goal = GOAL_ESTABLISHED},
	{.name = "v4 udp reply", .direction = XDNAT_REPLY, .flows = 64, .goal = GOAL_ESTABLISHED},
	{.name = "v4 tcp original", .is_tcp = true, .flows = 64, .goal = GOAL_ESTABLISHED},
	{.name = "v4 tcp reply",
	 .is_tcp = true,
	 .direction = XDNAT_REPLY,
	 .flows = 64,
	 .goal = GOAL_ESTABLISHED},
	{.name = "v6 udp original", .is_v6 = true, .flows = 64, .goal = GOAL_ESTABLISHED},
	{.name = "v6 udp reply",
	 .is_v6 = true,
	 .direction = XDNAT_REPLY,
	 .flows = 64,
	 .goal = GOAL_ESTABLISHED},
	{.name = "v6 tcp original",
	 .is_v6 = true,
	 .is_tcp = true,
	 .flows = 64,
	 .goal = GOAL_ESTABLISHED},
	{.name = "v6 tcp reply",
	 .is_v6 = true,
	 .is_tcp = true,
	 .direction = XDNAT_REPLY,
	 .flows = 64,
	 .goal = GOAL_ESTABLISHED},
	{.name = "v4 udp original", .flows = 65536, .goal = GOAL_ESTABLISHED},
	{.name = "v4 udp orig., ticking", .flows = 65536, .has_ticks = true},
	FOREIGN_CASE("v4 udp", false),
	FOREIGN_CASE("v6 udp", true),
	MASQUERADED_CASE("v4 udp original", false, XDNAT_ORIGINAL),
	MASQUERADED_CASE("v4 udp reply", false, XDNAT_REPLY),
	MASQUERADED_CASE("v6 udp original", true, XDNAT_ORIGINAL),
	MASQUERADED_CASE("v6 udp reply", true, XDNAT_REPLY),
	{.name = "v4 udp", .kind = IS_NEW, .flows = 32768, .goal = GOAL_NEW},
	{.name = "v4 tcp", .is_tcp = true, .kind = IS_NEW, .flows = 32768, .goal = GOAL_NEW},
	{.name = "v6 udp", .is_v6 = true, .kind = IS_NEW, .flows = 32768, .goal = GOAL_NEW},
	{.name = "v4 udp, 1000 rules and *", .kind = IS_ANY, .flows = 32768, .goal = GOAL_ANY},
	SOURCES_CASE("v4 udp, 10000 prefixes", false),
	SOURCES_CASE("v6 udp, 10000 prefixes", true),
};
#define CASES (sizeof(cases) / sizeof(*cases))

/* One row of the table while it is measured. */
struct trial {
	struct world world;
	uint32_t rounds;
	uint32_t flows_max;
	const struct program_case *row;
	struct flows flows;
	struct contest contest;
	struct packets packets;	       /* of the rule of ours */
	struct packets packets_beside; /* of the other one */
	int datapath;
	uint8_t tcp_flags; /* of the packets that are timed */
	uint64_t checked;
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

static bool makes_flows(const struct program_case *row)
{
	return row->kind == IS_NEW || row->kind == IS_ANY || row->kind == IS_SOURCES;
}

static bool is_beside_itself(const struct program_case *row)
{
	return row->rule != row->beside;
}

/* Which three programs run against each other. */
static void contest_choose(struct trial *trial)
{
	const struct bench_bpf *skeleton = trial->world.skeleton;
	struct contest *contest = &trial->contest;
	bool is_v6 = trial->row->is_v6;
	int floor = bpf_program__fd(is_v6 ? skeleton->progs.bench_floor6
					  : skeleton->progs.bench_floor4);
	int making = bpf_program__fd(is_v6 ? skeleton->progs.bench_making6
					   : skeleton->progs.bench_making4);

	trial->datapath = bpf_program__fd(is_v6 ? skeleton->progs.bench_xdnat6
						: skeleton->progs.bench_xdnat4);
	*contest = (struct contest){
		.ours = trial->datapath,
		.floor = floor,
		.empty = bpf_program__fd(is_v6 ? skeleton->progs.bench_empty6
					       : skeleton->progs.bench_empty4),
		.chunks = MEASURE_CHUNKS,
	};
	if (trial->row->kind == IS_SELF)
		contest->ours = floor;
	if (trial->row->kind == IS_FOREIGN) {
		contest->floor = contest->empty;
		contest->is_added = true;
	}
	if (trial->row->kind == IS_ANY) {
		contest->ours = bpf_program__fd(skeleton->progs.bench_any4);
		trial->datapath = contest->ours;
		making = bpf_program__fd(skeleton->progs.bench_exact4);
	}
	if (is_beside_itself(trial->row)) {
		contest->floor = trial->datapath;
		contest->to_ours = &trial->packets;
		contest->to_floor = &trial->packets_beside;
	} else if (makes_flows(trial->row)) {
		contest->floor = making;
	}
	if (makes_flows(trial->row)) {
		contest->is_of_new_flows = true;
		/* No flow twice, and one packet more than the chunks have. */
		contest->chunks = trial->flows.count / 2 / BENCH_CHUNK;
	}
}

static void trial_start(struct trial *trial, const struct program_case *row)
{
	trial->row = row;
	trial->flows = (struct flows){
		.is_v6 = row->is_v6,
		.is_tcp = row->is_tcp,
		.rule = row->rule,
		.count = row->flows < trial->flows_max ? row->flows : trial->flows_max,
	};
	trial->tcp_flags = makes_flows(row) ? FRAME_TCP_SYN : FRAME_TCP_ACK;
	trial->checked = 0;
	contest_choose(trial);
	order_plainly(trial);
}

/* One direction of all flows. */
static void fill_packets(const struct trial *trial, uint8_t direction, uint8_t tcp_flags,
			 struct packets *packets)
{
	uint8_t bytes[BENCH_FRAME6_BYTES] = {};
	struct frame frame;

	for (uint32_t i = 0; i < trial->flows.count; i++) {
		flows_arriving(&trial->flows, trial->order[i], direction, tcp_flags, &frame);
		frame_build(&frame, bytes);
		frame_row(&frame, bytes, &packets->rows[i]);
	}
	memcpy(packets->frame, bytes, sizeof(packets->frame));
	packets->is_tcp = trial->flows.is_tcp;
	packets->count = trial->flows.count;
}

static bool is_datapath(const struct trial *trial, int program)
{
	return program == trial->datapath ||
	       (trial->row->kind == IS_ANY && program == trial->contest.floor);
}

static struct packets *packets_of(struct trial *trial)
{
	return trial->flows.rule == trial->row->rule ? &trial->packets : &trial->packets_beside;
}

/* Runs every flow's packet once through program: the datapath must translate it,
 * all others leave it as it came. Leaves the packets loaded. */
static int check(struct trial *trial, uint8_t direction, uint8_t tcp_flags, int program,
		 uint32_t verdict)
{
	uint8_t blank[BENCH_FRAME6_BYTES] = {}, got[BENCH_FRAME6_BYTES], want[BENCH_FRAME6_BYTES];
	uint32_t ingress = world_ingress(&trial->world, direction), bytes, action;
	struct frame frame;
	int err;

	fill_packets(trial, direction, tcp_flags, packets_of(trial));
	measure_load(&trial->world, packets_of(trial));
	for (uint32_t i = 0; i < trial->flows.count; i++) {
		flows_arriving(&trial->flows, trial->order[i], direction, tcp_flags, &frame);
		if (is_datapath(trial, program))
			flows_leaving(&trial->flows, trial->order[i], direction, &frame, &frame);
		bytes = frame_build(&frame, want);
		err = measure_packet(&trial->world, program, ingress, i, blank, got, bytes,
				     &action);
		if (err)
			return err;
		trial->checked++;
		if (action == verdict && !memcmp(got, want, bytes))
			continue;
		fprintf(stderr, "%s: wrong packet of flow %u, verdict %u instead of %u\n",
			trial->row->name, trial->order[i], action, verdict);
		frame_print(" got", got, bytes);
		frame_print("want", want, bytes);
		return -EBADMSG;
	}
	return 0;
}

/* Makes the flows of one rule as clients and targets do, and fills the floor's table. */
static int establish_one(struct trial *trial)
{
	int program = trial->datapath;
	int err = check(trial, XDNAT_ORIGINAL, FRAME_TCP_SYN, program, XDP_REDIRECT);

	if (!err)
		err = check(trial, XDNAT_REPLY, FRAME_TCP_SYN | FRAME_TCP_ACK, program,
			    XDP_REDIRECT);
	if (!err)
		err = check(trial, XDNAT_ORIGINAL, FRAME_TCP_ACK, program, XDP_REDIRECT);
	for (uint32_t i = 0; !err && i < trial->flows.count; i++)
		err = world_copy_flow(&trial->world, &trial->flows, i);
	if (err == -EINVAL)
		fprintf(stderr, "%s: a flow that was answered is not settled\n", trial->row->name);
	return err;
}

static int establish(struct trial *trial)
{
	int err = establish_one(trial);

	if (err || !is_beside_itself(trial->row))
		return err;
	trial->flows.rule = trial->row->beside;
	err = establish_one(trial);
	trial->flows.rule = trial->row->rule;
	return err;
}

/* What is about to be timed does what it should, on every packet. */
static int check_contest(struct trial *trial)
{
	const struct contest *contest = &trial->contest;
	uint32_t verdict = trial->row->kind == IS_FOREIGN ? XDP_PASS : XDP_REDIRECT;
	uint8_t direction = trial->row->direction;
	int err = contest->is_of_new_flows ? world_clear(&trial->world) : 0;

	if (!err)
		err = check(trial, direction, trial->tcp_flags, contest->empty, XDP_PASS);
	trial->flows.rule = trial->row->beside;
	if (!err)
		err = check(trial, direction, trial->tcp_flags, contest->floor, verdict);
	trial->flows.rule = trial->row->rule;
	if (!err && contest->is_of_new_flows)
		err = world_clear(&trial->world);
	return err ? err : check(trial, direction, trial->tcp_flags, contest->ours, verdict);
}

static void add_score(struct report *report, const struct trial *trial, const struct result *result)
{
	static const char *const sections[] = {ESTABLISHED, ESTABLISHED, FOREIGN,  MASQUERADED,
					       NEW_FLOWS,   NEW_FLOWS,	 NEW_FLOWS};
	static const char *const against[] = {"Floor-P", "itself",   "XDP_PASS", "preserve",
					      "Floor-N", "one rule", "1 prefix"};
	static const enum score_kind kinds[] = {SCORE_AT_MOST, SCORE_SELF,    SCORE_ADDED_NS,
						SCORE_AT_MOST, SCORE_AT_MOST, SCORE_AT_MOST,
						SCORE_AT_MOST};
	const struct program_case *row = trial->row;
	struct score score = {
		.section = sections[row->kind],
		.packet = row->name,
		.against = against[row->kind],
		.measured_in = "ns",
		.flows = trial->flows.count,
		.kind = kinds[row->kind],
		.goal = row->goal,
		.result = *result,
	};

	report_add(report, &score);
}

static int measure_row(struct trial *trial, const struct program_case *row, struct report *report)
{
	struct result result;
	int err = 0;

	trial_start(trial, row);
	if (row->kind != IS_FOREIGN && !makes_flows(row))
		err = establish(trial);
	order_randomly(trial);
	if (!err)
		err = check_contest(trial);
	if (!err)
		err = measure_contest(&trial->world, &trial->contest,
				      world_ingress(&trial->world, row->direction),
				      row->is_v6 ? BENCH_FRAME6_BYTES : BENCH_FRAME4_BYTES,
				      trial->rounds, &result);
	/* Once more: nothing went wrong meanwhile. */
	if (!err)
		err = check_contest(trial);
	report->packets_checked += trial->checked;
	if (!err)
		add_score(report, trial, &result);
	return err;
}

static int measure_all(struct trial *trial, struct report *report)
{
	int err = 0;

	for (size_t i = 0; !err && i < CASES; i++) {
		fprintf(stderr, "program time %zu/%zu, %s ...\n", i + 1, CASES, cases[i].name);
		if (i == 0 || cases[i].has_ticks != cases[i - 1].has_ticks) {
			world_unload(&trial->world);
			err = world_load(&trial->world, !cases[i].has_ticks);
		}
		if (!err)
			err = measure_row(trial, &cases[i], report);
	}
	return err;
}

int rows_program(struct report *report, uint32_t rounds, uint32_t flows_max)
{
	static struct trial trial;
	int err;

	trial.rounds = rounds;
	trial.flows_max = flows_max;
	err = world_make(&trial.world);
	if (!err)
		err = measure_all(&trial, report);
	world_unload(&trial.world);
	report_note(report,
		    "Against Floor-P %g is the goal while flows are in a kernel hash, which "
		    "is Floor-P's own table;\n  0.65 is the one for a table of our own.",
		    GOAL_ESTABLISHED);
	return err;
}
