/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What program.c and program_pin.c share.
 */
#ifndef XDNAT_PROGRAM_PARTS_H
#define XDNAT_PROGRAM_PARTS_H

#include "program.h"

struct bpf_map;

struct programs {
	struct xdnat_bpf *skeleton;
	struct clock_bpf *clock;
};

/* The name of a map's pin; NULL: it has none. */
const char *program_map_pin(const struct bpf_map *map);
/* Pins all maps and programs. Made under another name, so that an instance is there whole
 * or not at all. older: NULL, or the instance that it is to take over from, whose links
 * are pinned in it, too. On error with fail() nothing stays. */
int program_pin_instance(const struct instance *instance, const struct programs *programs,
			 const struct instance *older);

#endif
