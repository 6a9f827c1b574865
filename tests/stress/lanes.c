// SPDX-License-Identifier: GPL-2.0-only
#include "lanes.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH		4096  /* packets of a test run */
#define STALL_PERIOD_NS 50000 /* a stall takes a tenth of that */

static int processors[STRESS_LANES];

struct runner {
	const struct world *world;
	const struct lanes_limit *limit;
	uint32_t lane;
	int err;
};

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int lanes_settle(void)
{
	cpu_set_t allowed;
	int found = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return -errno;
	for (int i = 0; i < CPU_SETSIZE && found < STRESS_LANES; i++)
		if (CPU_ISSET(i, &allowed))
			processors[found++] = i;
	return found == STRESS_LANES ? 0 : -ENODEV;
}

/* Interrupts this thread, every so often. NULL: not here; it is hard enough without. */
static struct bpf_link *stall(const struct world *world)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = STALL_PERIOD_NS,
	};
	int event = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	struct bpf_link *link;

	if (event < 0)
		return NULL;
	link = bpf_program__attach_perf_event(world->skeleton->progs.stress_stall, event);
	if (!link)
		close(event);
	return link;
}

static void *run(void *argument)
{
	struct runner *runner = argument;
	const struct lanes_limit *limit = runner->limit;
	double end = seconds_now() + limit->seconds;
	struct bpf_link *stalls = stall(runner->world);
	uint64_t sent = 0;
	cpu_set_t own;

	CPU_ZERO(&own);
	CPU_SET(processors[runner->lane], &own);
	if (pthread_setaffinity_np(pthread_self(), sizeof(own), &own))
		runner->err = -EINVAL;
	while (!runner->err && !(limit->seconds > 0 && seconds_now() >= end) &&
	       !(limit->packets && sent >= limit->packets)) {
		runner->err = world_send(runner->world, runner->lane, BATCH);
		sent += BATCH;
	}
	bpf_link__destroy(stalls); /* closes the event */
	return NULL;
}

int lanes_run(const struct world *world, const struct lanes_limit *limit)
{
	struct runner runners[STRESS_LANES];
	pthread_t threads[STRESS_LANES];
	int started = 0, err = 0;

	for (; started < STRESS_LANES; started++) {
		runners[started] = (struct runner){world, limit, started, 0};
		err = -pthread_create(&threads[started], NULL, run, &runners[started]);
		if (err)
			break;
	}
	for (int i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
		err = err ? err : runners[i].err;
	}
	return err;
}

struct stress_lane lanes_total(struct world *world)
{
	struct stress_lane total = {};

	for (int i = 0; i < STRESS_LANES; i++) {
		struct stress_lane *lane = &world->skeleton->bss->stress_lanes[i];

		total.packets += lane->packets;
		total.forwarded[XDNAT_ORIGINAL] += lane->forwarded[XDNAT_ORIGINAL];
		total.forwarded[XDNAT_REPLY] += lane->forwarded[XDNAT_REPLY];
		total.dropped += lane->dropped;
		total.passed += lane->passed;
		total.kept_busy += lane->kept_busy;
		total.unclear += lane->unclear;
		for (int wrong = 0; wrong < STRESS_WRONGS; wrong++)
			total.wrong[wrong] += lane->wrong[wrong];
		*lane = (struct stress_lane){.random = lane->random};
	}
	return total;
}

int lane_send(const struct world *world, enum stress_order order, uint32_t first, uint32_t count)
{
	struct stress_lane *lane = &world->skeleton->bss->stress_lanes[0];

	lane->order = order;
	lane->first = first;
	lane->count = count;
	lane->position = 0;
	return world_send(world, 0, count);
}

int lane_establish(const struct world *world, uint32_t first, uint32_t count)
{
	int err = world_be_patient(world, true), err_after;

	for (uint32_t i = first; !err && i < first + count; i++) {
		err = lane_send(world, STRESS_OPEN, i, 1);
		if (!err)
			err = lane_send(world, STRESS_ANSWER, i, 1);
		if (!err)
			err = lane_send(world, STRESS_GO_ON, i, 1);
	}
	err_after = world_be_patient(world, false);
	return err ? err : err_after;
}
