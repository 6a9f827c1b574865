/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which programs are the instance's: those that use its maps.
 */
#ifndef XDNAT_ATTACH_OWN_H
#define XDNAT_ATTACH_OWN_H

#include <stdbool.h>
#include <stdint.h>

#include "instance.h"

/* Ids of two maps, as the pin of one may have been removed by hand; 0: not there. */
struct attach_own {
	uint32_t ids[2];
};

/* Of the instance whose pins are in that directory. */
struct attach_own attach_own_read(const char *pin_dir);
/* The same without those of the build that it is upgraded from. */
struct attach_own attach_own_read_build(const char *pin_dir);
bool attach_own_has(const struct attach_own *own, int program);
/* The same by the program's id; 0 is nobody's. */
bool attach_own_has_id(const struct attach_own *own, uint32_t program);
/* True if any instance's, of any build, whose pins are still there. */
bool attach_own_is_anyones(uint32_t program);
/* True in the instance's network namespace, or if nothing tells. */
bool attach_own_is_home(const struct instance *instance);

#endif
