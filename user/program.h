/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs and maps of this build: loaded, self-tested, pinned. Attaching them
 * is attach.h's, replacing those of a loaded instance upgrade.h's.
 */
#ifndef XDNAT_PROGRAM_H
#define XDNAT_PROGRAM_H

#include "attach.h"
#include "instance.h"
#include "store.h"

/* Loads the programs and maps and pins them: an instance without interfaces.
 * flows: capacity of each family's table. 0, or -errno with fail(); on error
 * nothing stays. A program that fails its self-test is not pinned. */
int program_create(const struct instance *instance, uint32_t flows);

struct bpf_object;
struct xdnat_bpf;

/* This build's programs, for a loaded instance. */
struct programs;

/* Self-tests the programs on maps of their own, then loads them over the
 * instance's pinned maps. 0, or -errno with fail(). */
int program_load(const struct instance *instance, const struct store *store,
		 struct programs **programs);
/* The same on the maps of an instance of ABI 3 that are as this build's, beside it, and
 * on new ones; had is what it is configured to. Pinned, as program_create() does, with
 * older's links. */
int program_take_over(const struct instance *instance, const struct instance *older,
		      const struct xdnat_config *had, struct programs **programs);
/* Gives an object that is open the instance's pinned maps instead of its own. */
int program_reuse_maps(const struct instance *instance, struct bpf_object *object);
/* Tells an object that is open what its programs must know of the instance. */
void program_configure(struct xdnat_bpf *skeleton, const struct xdnat_config *config);
void program_free(struct programs *programs); /* accepts NULL */
/* The descriptors of those that run on interfaces; they stay theirs. */
struct attach_programs program_attached(const struct programs *programs);
/* Their pins, in two steps: beside those of the instance under other names (which
 * may fail), then in their place. Discard removes what is left of the first step,
 * a killed one's too. */
int program_pin_beside(const struct instance *instance, const struct programs *programs);
int program_replace_pins(const struct instance *instance, const struct programs *programs);
void program_discard_beside(const struct instance *instance, const struct programs *programs);

#endif
