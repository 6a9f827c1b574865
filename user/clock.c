// SPDX-License-Identifier: GPL-2.0-only
#include "clock.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>
#include <time.h>

#define MEASURE_NS 100000000L

int clock_read(int program, struct xdnat_clock *clock)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = clock, .ctx_size_in = sizeof(*clock));

	return bpf_prog_test_run_opts(program, &opts);
}

static uint32_t nearest_hz(uint64_t measured)
{
	static const uint32_t built[] = {100, 250, 300, 1000, 1024};
	uint32_t nearest = built[0];

	for (size_t i = 1; i < sizeof(built) / sizeof(*built); i++)
		if (measured * 2 > nearest + built[i])
			nearest = built[i];
	return nearest;
}

int clock_measure_hz(int program, uint32_t *hz)
{
	struct timespec wait = {.tv_nsec = MEASURE_NS};
	struct xdnat_clock start, end;
	int err;

	err = clock_read(program, &start);
	if (err)
		return err;
	nanosleep(&wait, NULL);
	err = clock_read(program, &end);
	if (err)
		return err;
	if (end.boot_ns <= start.boot_ns)
		return -ERANGE;
	*hz = nearest_hz((end.jiffies - start.jiffies) * 1000000000ULL /
			 (end.boot_ns - start.boot_ns));
	return 0;
}
