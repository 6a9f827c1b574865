// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow table under fire: packets from two processors, listing and sweeping beside
 * them, tables that are small, full, aimed at. Prints a line for each claim.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "lanes.h"
#include "phases.h"

#define SMALL_FLOWS   96
#define ROOMY_FLOWS   768
#define FLOOD_PACKETS 1000000

static const struct shape small = {"two homes", 2, 2, 1};
static const struct shape ticking = {"two homes, each packet a tick", 2, 2, 0};
static const struct shape roomy = {"256 homes", 256, 14, 1};
static const struct shape aimed = {"64 homes", 64, 5, 1};

static int load(struct world *world, const struct shape *shape, uint64_t *seed)
{
	check_of(shape->name);
	return world_load(world, shape, world_random(seed));
}

static int run_random(const struct shape *shape, uint32_t flows, uint64_t *seed, double seconds)
{
	struct world world;
	int err = load(&world, shape, seed);

	if (!err)
		err = phase_random(&world, flows, world_random(seed), seconds);
	world_unload(&world);
	return err;
}

static int run_aimed(uint64_t *seed)
{
	struct world world;
	int err = load(&world, &aimed, seed);

	if (!err)
		err = phase_flood(&world, FLOOD_PACKETS);
	if (!err)
		err = phase_aimed(&world);
	world_unload(&world);
	return err;
}

static int run(uint64_t seed, double seconds)
{
	int err = world_make();

	if (!err)
		err = run_random(&small, SMALL_FLOWS, &seed, seconds * 0.4);
	if (!err)
		err = run_random(&ticking, SMALL_FLOWS, &seed, seconds * 0.3);
	if (!err)
		err = run_random(&roomy, ROOMY_FLOWS, &seed, seconds * 0.3);
	return err ? err : run_aimed(&seed);
}

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s [SECONDS [SEED]]\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t seed = time(NULL);
	double seconds = 6;
	char *end;
	int err;

	if (argc > 3)
		return usage(argv[0]);
	if (argc > 1)
		seconds = strtod(argv[1], &end);
	if (argc > 1 && (*end || seconds <= 0))
		return usage(argv[0]);
	if (argc > 2)
		seed = strtoull(argv[2], &end, 0);
	if (argc > 2 && *end)
		return usage(argv[0]);

	printf("stress: again by %s %g %lu\n", argv[0], seconds, seed);
	err = lanes_settle();
	if (err == -ENODEV) {
		check_skip("there is one processor only");
		return 0;
	}
	if (!err)
		err = run(seed, seconds);
	if (err) {
		fprintf(stderr, "stress: it could not be tried: %s%s\n", strerror(-err),
			err == -EPERM ? " (run it as root)" : "");
		return 1;
	}
	return check_failed() ? 1 : 0;
}
