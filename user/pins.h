/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An instance's pins as files: the directory in the making, the links' names,
 * removal. Knows nothing of what programs and maps are for.
 */
#ifndef XDNAT_PINS_H
#define XDNAT_PINS_H

#include <limits.h>
#include <stdint.h>

#include "instance.h"

#define PINS_DIR_BYTES (INSTANCE_DIR_BYTES + 4)

/* Where pins are made that are to appear under their real name all at once, and where
 * they are removed; path has room for PINS_DIR_BYTES. */
void pins_new_dir(const struct instance *instance, char *path);
/* The pin of the link on an interface; path has room for PATH_MAX. */
void pins_link_path(const struct instance *instance, uint32_t ifindex, char *path);
/* Detaches a pinned link and removes the pin; 0 also if it is not there. */
int pins_detach_link(const char *path);
/* Removes a directory of pins, links detached. */
void pins_remove(const char *dir);
/* Removes a directory of pins whose links are pinned elsewhere, too, and stay. */
void pins_forget(const char *dir);
/* Pins the links of one directory in another, too. 0 or -errno without fail(). */
int pins_link_again(const char *from_dir, const char *to_dir);

#endif
