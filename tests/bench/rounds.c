// SPDX-License-Identifier: GPL-2.0-only
#include "rounds.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define BOOTSTRAPS 2000

static int compare(const void *left, const void *right)
{
	const double *l = left, *r = right;

	return (*l > *r) - (*l < *r);
}

double rounds_median(double *values, uint32_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return (values[count / 2] + values[(count - 1) / 2]) / 2;
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

uint64_t rounds_disturbances(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw + steal();
}

int rounds_settle(bool is_first)
{
	struct sched_param first = {.sched_priority = 1};
	int processor = sched_getcpu();
	cpu_set_t processors;

	CPU_ZERO(&processors);
	CPU_SET(processor, &processors);
	sched_setaffinity(0, sizeof(processors), &processors);
	if (is_first)
		sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
	return processor;
}

static void bootstrap(const double *values, uint32_t count, struct result *result)
{
	static double medians[BOOTSTRAPS];
	double drawn[ROUNDS_MAX];
	unsigned int seed = 1;

	for (int i = 0; i < BOOTSTRAPS; i++) {
		for (uint32_t j = 0; j < count; j++)
			drawn[j] = values[rand_r(&seed) % count];
		medians[i] = rounds_median(drawn, count);
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
void rounds_conclude(const struct round *rounds, uint32_t count, struct result *result)
{
	double values[ROUNDS_MAX], ours[ROUNDS_MAX], others[ROUNDS_MAX];
	uint32_t good = undisturbed(rounds, count), kept = 0;
	bool is_valid = (count - good) * 100 <= count * ROUNDS_DROPPED_PERCENT;

	for (uint32_t i = 0; i < count; i++) {
		if (rounds[i].is_disturbed && is_valid)
			continue;
		ours[kept] = rounds[i].ours;
		others[kept] = rounds[i].other;
		values[kept] = rounds[i].value;
		kept++;
	}
	*result = (struct result){.rounds = count, .dropped = count - good, .is_valid = is_valid};
	bootstrap(values, kept, result);
	result->value = rounds_median(values, kept);
	result->ours = rounds_median(ours, kept);
	result->other = rounds_median(others, kept);
}
