// SPDX-License-Identifier: GPL-2.0-only
#include "measure.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define BOOTSTRAPS 2000

/* Nanoseconds a packet in one round, both runs of a program together. */
struct round {
	double ours_ns;
	double floor_ns;
	double empty_ns;
	bool is_disturbed;
};

static int compare(const void *left, const void *right)
{
	const double *l = left, *r = right;

	return (*l > *r) - (*l < *r);
}

/* Sorts values. */
static double median(double *values, uint32_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return (values[count / 2] + values[(count - 1) / 2]) / 2;
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

/* Adds half of what a packet takes: a round has two runs of each program. */
static int run(const struct world *world, int program, uint32_t ingress, uint32_t bytes, double *ns)
{
	uint8_t frame[BENCH_FRAME6_BYTES] = {};
	struct xdp_md ctx = {.data_end = bytes, .ingress_ifindex = ingress};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = bytes,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = MEASURE_REPEAT);
	const volatile struct bench_bpf__bss *bss = world->skeleton->bss;
	double chunks[BENCH_CHUNKS];
	int err;

	world->skeleton->bss->position = 0;
	err = bpf_prog_test_run_opts(program, &opts);
	for (int i = 0; i < BENCH_CHUNKS; i++)
		chunks[i] = bss->stamps_ns[i + 1] - bss->stamps_ns[i];
	*ns += median(chunks, BENCH_CHUNKS) / BENCH_CHUNK / 2;
	return err;
}

/* Time that the hypervisor took from this processor, in its own ticks. */
static uint64_t steal(void)
{
	unsigned long long stolen = 0;
	FILE *file = fopen("/proc/stat", "r");
	int processor = sched_getcpu(), number;
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "cpu%d %*u %*u %*u %*u %*u %*u %*u %llu", &number, &stolen) == 2 &&
		    number == processor)
			break;
	if (file)
		fclose(file);
	return stolen;
}

static uint64_t disturbances(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw + steal();
}

void measure_settle(void)
{
	struct sched_param first = {.sched_priority = 1};
	cpu_set_t processors;

	CPU_ZERO(&processors);
	CPU_SET(sched_getcpu(), &processors);
	sched_setaffinity(0, sizeof(processors), &processors);
	sched_setscheduler(0, SCHED_FIFO, &first);
}

/* empty, ours, floor, floor, ours, empty */
static int run_round(const struct world *world, const struct contest *contest, uint32_t ingress,
		     uint32_t bytes, struct round *round)
{
	const int order[] = {contest->empty, contest->ours, contest->floor};
	double *const ns[] = {&round->empty_ns, &round->ours_ns, &round->floor_ns};
	uint64_t before = disturbances();
	int err = 0;

	for (int i = 0; !err && i < 6; i++)
		err = run(world, order[i < 3 ? i : 5 - i], ingress, bytes, ns[i < 3 ? i : 5 - i]);
	round->is_disturbed = disturbances() != before;
	return err;
}

static void bootstrap(const double *values, uint32_t count, struct result *result)
{
	static double medians[BOOTSTRAPS];
	double drawn[MEASURE_ROUNDS_MAX];
	unsigned int seed = 1;

	for (int i = 0; i < BOOTSTRAPS; i++) {
		for (uint32_t j = 0; j < count; j++)
			drawn[j] = values[rand_r(&seed) % count];
		medians[i] = median(drawn, count);
	}
	qsort(medians, BOOTSTRAPS, sizeof(*medians), compare);
	result->low = medians[BOOTSTRAPS * 25 / 1000];
	result->high = medians[BOOTSTRAPS * 975 / 1000];
}

static uint32_t undisturbed(const struct round *rounds, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		kept += !rounds[i].is_disturbed;
	return kept;
}

/* Of too few good rounds nothing can be said: then all of them are shown, and the
 * row is no measurement. */
static void conclude(const struct round *rounds, uint32_t count, bool is_added,
		     struct result *result)
{
	double values[MEASURE_ROUNDS_MAX], ours[MEASURE_ROUNDS_MAX], floors[MEASURE_ROUNDS_MAX];
	uint32_t good = undisturbed(rounds, count), kept = 0;
	bool is_valid = (count - good) * 100 <= count * MEASURE_DROPPED_PERCENT;

	for (uint32_t i = 0; i < count; i++) {
		if (rounds[i].is_disturbed && is_valid)
			continue;
		ours[kept] = rounds[i].ours_ns - rounds[i].empty_ns;
		floors[kept] = rounds[i].floor_ns - rounds[i].empty_ns;
		values[kept] = is_added ? ours[kept] : ours[kept] / floors[kept];
		kept++;
	}
	*result = (struct result){.rounds = count, .dropped = count - good, .is_valid = is_valid};
	bootstrap(values, kept, result);
	result->value = median(values, kept);
	result->ours_ns = median(ours, kept);
	result->floor_ns = median(floors, kept);
}

int measure_contest(const struct world *world, const struct contest *contest, uint32_t ingress,
		    uint32_t bytes, uint32_t rounds, struct result *result)
{
	struct round round[MEASURE_ROUNDS_MAX] = {}, warm_up = {};
	int err = run_round(world, contest, ingress, bytes, &warm_up);

	for (uint32_t i = 0; !err && i < rounds; i++)
		err = run_round(world, contest, ingress, bytes, &round[i]);
	if (!err)
		conclude(round, rounds, contest->is_added, result);
	return err;
}
