// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs and maps as pins: of a new instance, all at once; of new programs, in the
 * places of those before.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.skel.h"
#include "fail.h"
#include "pins.h"
#include "program_parts.h"
#include "xdnat.skel.h"
#include "xdnat_abi.h"

#define BESIDE	   "new_" /* and a program's name: its pin before it takes the old one's place */
#define NOT_BESIDE ""

const char *program_map_pin(const struct bpf_map *map)
{
	if (!strcmp(bpf_map__name(map), XDNAT_PORTS_SECTION))
		return "xdnat_ports";
	return bpf_map__is_internal(map) ? NULL : bpf_map__name(map);
}

static int pin_maps(const struct programs *programs, const char *dir)
{
	char path[PATH_MAX];
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, programs->skeleton->obj)
	{
		if (!program_map_pin(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, program_map_pin(map));
		err = bpf_map__pin(map, path);
		if (err)
			return err;
	}
	return 0;
}

/* Every program in turn; NULL after the last. */
static struct bpf_program *next_program(const struct programs *programs, struct bpf_program *last)
{
	struct bpf_program *clock = programs->clock->progs.xdnat_clock;

	if (last == clock)
		return NULL;
	last = bpf_object__next_program(programs->skeleton->obj, last);
	return last ? last : clock;
}

static int pin_programs(const struct programs *programs, const char *dir, const char *prefix)
{
	struct bpf_program *program = NULL;
	char path[PATH_MAX];
	int err = 0;

	while (!err && (program = next_program(programs, program))) {
		snprintf(path, sizeof(path), "%s/%s%s", dir, prefix, bpf_program__name(program));
		err = bpf_program__pin(program, path);
	}
	return err;
}

int program_pin_instance(const struct instance *instance, const struct programs *programs,
			 const struct instance *older)
{
	void (*clear)(const char *) = older ? pins_forget : pins_remove;
	char dir[PINS_DIR_BYTES];
	int err;

	pins_new_dir(instance, dir);
	clear(dir);
	err = mkdir(dir, 0700) ? -errno : pin_maps(programs, dir);
	if (!err)
		err = pin_programs(programs, dir, NOT_BESIDE);
	if (!err && older)
		err = pins_link_again(older->pin_dir, dir);
	if (!err && rename(dir, instance->pin_dir))
		err = -errno;
	if (!err)
		return 0;
	clear(dir);
	return fail_kernel(err, "cannot pin maps and programs at %s", instance->pin_dir);
}

void program_discard_beside(const struct instance *instance, const struct programs *programs)
{
	struct bpf_program *program = NULL;
	char path[PATH_MAX];

	while ((program = next_program(programs, program))) {
		snprintf(path, sizeof(path), "%s/" BESIDE "%s", instance->pin_dir,
			 bpf_program__name(program));
		unlink(path);
	}
}

int program_pin_beside(const struct instance *instance, const struct programs *programs)
{
	int err;

	program_discard_beside(instance, programs);
	err = pin_programs(programs, instance->pin_dir, BESIDE);
	if (!err)
		return 0;
	program_discard_beside(instance, programs);
	return fail_kernel(err, "cannot pin programs at %s", instance->pin_dir);
}

/* Swaps the pins of the programs before last: a second time undoes the first. */
static int exchange_pins(const struct instance *instance, const struct programs *programs,
			 const struct bpf_program *last)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct bpf_program *program = NULL;

	while ((program = next_program(programs, program)) && program != last) {
		const char *name = bpf_program__name(program);

		snprintf(from, sizeof(from), "%s/" BESIDE "%s", instance->pin_dir, name);
		snprintf(to, sizeof(to), "%s/%s", instance->pin_dir, name);
		if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE))
			continue;
		fail_kernel(-errno, "cannot replace %s", to);
		if (!last)
			exchange_pins(instance, programs, program);
		return -EIO;
	}
	return 0;
}

int program_replace_pins(const struct instance *instance, const struct programs *programs)
{
	return exchange_pins(instance, programs, NULL);
}
