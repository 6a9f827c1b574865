// SPDX-License-Identifier: GPL-2.0-only
#include "program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "clock.skel.h"
#include "fail.h"
#include "log.h"
#include "memory.h"
#include "pins.h"
#include "progress.h"
#include "selftest.h"
#include "store_maps.h"
#include "xdnat.skel.h"

/* Seconds, in the order of XDNAT_LIFE_…; RFC 5382 REQ-5, RFC 4787 REQ-5. */
static const uint32_t life_sec[XDNAT_LIFE_MAX] = {240, 7440, 240, 120, 300};

#define BESIDE	    "new_" /* and a program's name: its pin before it takes the old one's place */
#define NOT_BESIDE  ""
#define FLOWS_LEAST 64

struct programs {
	struct xdnat_bpf *skeleton;
	struct clock_bpf *clock;
};

static int fail_load(int err)
{
	if (err == -EPERM) /* EACCES is the verifier's */
		return fail(-EPERM,
			    "the kernel refuses BPF programs here (root, CAP_BPF and "
			    "CAP_NET_ADMIN are needed): %s",
			    strerror(-err));
	if (err == -ENOMEM)
		return fail(err, "no memory for the flow tables; type a smaller --flows N");
	return fail(-EOPNOTSUPP, "the kernel does not take the program: %s (%s)", strerror(-err),
		    log_libbpf_last());
}

/* The clock loaded, the others open: what they are loaded with is still to be set. */
static int open_programs(struct programs **opened)
{
	struct programs *programs = calloc(1, sizeof(*programs));

	*opened = programs;
	if (!programs)
		return fail(-ENOMEM, "no memory");
	programs->clock = clock_bpf__open_and_load();
	if (!programs->clock)
		return fail_load(-errno);
	programs->skeleton = xdnat_bpf__open();
	return programs->skeleton ? 0 : fail_load(-errno);
}

void program_free(struct programs *programs)
{
	if (!programs)
		return;
	xdnat_bpf__destroy(programs->skeleton);
	clock_bpf__destroy(programs->clock);
	free(programs);
}

static int clock_program(const struct programs *programs)
{
	return bpf_program__fd(programs->clock->progs.xdnat_clock);
}

static int load_skeleton(struct xdnat_bpf *skeleton, uint32_t tick_jiffies)
{
	int err;

	skeleton->rodata->tick_jiffies = tick_jiffies;
	err = xdnat_bpf__load(skeleton);
	return err ? fail_load(err) : 0;
}

/* The same object once more, with small maps that nobody else ever sees. */
static int test_programs(const struct programs *programs, uint32_t tick_jiffies)
{
	struct xdnat_bpf *skeleton = xdnat_bpf__open();
	struct bpf_map *map;
	int err;

	if (!skeleton)
		return fail_load(-errno);
	bpf_object__for_each_map(map, skeleton->obj) if (bpf_map__type(map) == BPF_MAP_TYPE_HASH)
		bpf_map__set_max_entries(map, SELFTEST_ENTRIES);
	progress_begin("loading the programs");
	err = load_skeleton(skeleton, tick_jiffies);
	if (!err)
		err = selftest_run(skeleton->obj, clock_program(programs));
	xdnat_bpf__destroy(skeleton);
	progress_step(1, 2); /* the second load takes as long */
	return err;
}

/* What the kernel's hash takes for an element besides key and value, and for its
 * share of the buckets. */
#define ELEMENT_BYTES 80
/* The verifier at work on the largest program, and everything of fixed size. */
#define PROGRAM_BYTES (48ULL << 20)

/* Before the kernel is asked: beyond a control group's limit it does not refuse, it
 * kills. */
static int need_memory(uint32_t flows)
{
	uint64_t flow_bytes =
		2 * (sizeof(struct xdnat_key4) + sizeof(struct xdnat_half4) +
		     sizeof(struct xdnat_key6) + sizeof(struct xdnat_half6) + 2 * ELEMENT_BYTES);
	uint64_t available = memory_available_bytes();

	if (available >= PROGRAM_BYTES + flows * flow_bytes)
		return 0;
	if (available < PROGRAM_BYTES + FLOWS_LEAST * flow_bytes)
		return fail(-ENOMEM,
			    "loading needs %llu MiB of memory, and only %llu MiB may be had "
			    "here; free some, or raise the memory limit that it runs under",
			    (PROGRAM_BYTES >> 20) + 1, (unsigned long long)available >> 20);
	return fail(-ENOMEM,
		    "%u flows of each family need %llu MiB of memory, and only %llu MiB may be had "
		    "here; type a smaller number, at most --flows %llu",
		    flows, (unsigned long long)(PROGRAM_BYTES + flows * flow_bytes) >> 20,
		    (unsigned long long)available >> 20,
		    (unsigned long long)((available - PROGRAM_BYTES) / flow_bytes));
}

static int config_fill(struct xdnat_config *config, int clock, uint32_t flows)
{
	int err = clock_measure_hz(clock, &config->hz);

	if (err)
		return fail(-EOPNOTSUPP, "cannot read the kernel's clock by a BPF program: %s",
			    strerror(-err));
	config->abi = XDNAT_ABI;
	config->flows = flows;
	config->next_id = 1;
	if (getrandom(&config->seed, sizeof(config->seed), 0) != sizeof(config->seed))
		return fail(-errno, "cannot have a random number: %s", strerror(errno));
	config->netns_cookie = store_netns_cookie();
	config->tick_jiffies = config->hz;
	for (int i = 0; i < XDNAT_LIFE_MAX; i++)
		config->life_jiffies[i] = life_sec[i] * config->hz;
	return 0;
}

static int pin_maps(const struct programs *programs, const char *dir)
{
	char path[PATH_MAX];
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, programs->skeleton->obj)
	{
		if (bpf_map__is_internal(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, bpf_map__name(map));
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

/* Made under another name, so that an instance is there whole or not at all. */
static int pin_instance(const struct instance *instance, const struct programs *programs)
{
	char dir[PINS_DIR_BYTES];
	int err;

	pins_new_dir(instance, dir);
	pins_remove(dir);
	err = mkdir(dir, 0700) ? -errno : pin_maps(programs, dir);
	if (!err)
		err = pin_programs(programs, dir, NOT_BESIDE);
	if (!err && rename(dir, instance->pin_dir))
		err = -errno;
	if (!err)
		return 0;
	pins_remove(dir);
	return fail_kernel(err, "cannot pin maps and programs at %s", instance->pin_dir);
}

/* The programs and maps with room for config->flows flows, config written. */
static int load_new(struct programs *programs, const struct xdnat_config *config)
{
	struct xdnat_bpf *skeleton = programs->skeleton;
	uint32_t zero = 0;
	int err;

	bpf_map__set_max_entries(skeleton->maps.xdnat_flows4, 2 * config->flows);
	bpf_map__set_max_entries(skeleton->maps.xdnat_flows6, 2 * config->flows);
	err = load_skeleton(skeleton, config->tick_jiffies);
	if (err)
		return err;
	err = bpf_map__update_elem(skeleton->maps.xdnat_config, &zero, sizeof(zero), config,
				   sizeof(*config), BPF_ANY);
	return err ? fail_kernel(err, "cannot write the configuration map") : 0;
}

int program_create(const struct instance *instance, uint32_t flows)
{
	struct xdnat_config config = {};
	struct programs *programs = NULL;
	int err = need_memory(flows);

	if (!err)
		err = open_programs(&programs);
	if (!err)
		err = config_fill(&config, clock_program(programs), flows);
	if (!err)
		err = test_programs(programs, config.tick_jiffies);
	if (!err)
		err = load_new(programs, &config);
	if (!err)
		err = pin_instance(instance, programs);
	progress_end();
	program_free(programs);
	return err;
}

static int reuse_map(const struct instance *instance, struct bpf_map *map)
{
	const struct store_pin pin = {
		.name = bpf_map__name(map),
		.key_bytes = bpf_map__key_size(map),
		.value_bytes = bpf_map__value_size(map),
		.type = bpf_map__type(map),
	};
	int fd = store_pin_map(instance, &pin);
	int err;

	if (fd < 0)
		return fd;
	err = bpf_map__reuse_fd(map, fd);
	close(fd);
	return err ? fail_kernel(err, "cannot use the pinned %s", pin.name) : 0;
}

int program_reuse_maps(const struct instance *instance, struct bpf_object *object)
{
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, object)
	{
		if (!err && !bpf_map__is_internal(map))
			err = reuse_map(instance, map);
	}
	return err;
}

int program_load(const struct instance *instance, const struct store *store,
		 struct programs **loaded)
{
	struct programs *programs = NULL;
	struct xdnat_config config;
	int err;

	*loaded = NULL;
	err = need_memory(0);
	if (!err)
		err = open_programs(&programs);
	if (!err)
		err = store_config(store, &config);
	if (!err)
		err = test_programs(programs, config.tick_jiffies);
	if (!err)
		err = program_reuse_maps(instance, programs->skeleton->obj);
	if (!err)
		err = load_skeleton(programs->skeleton, config.tick_jiffies);
	progress_end();
	if (err)
		program_free(programs);
	else
		*loaded = programs;
	return err;
}

struct attach_programs program_attached(const struct programs *programs)
{
	const struct xdnat_bpf *skeleton = programs->skeleton;

	return (struct attach_programs){
		.xdp = bpf_program__fd(skeleton->progs.xdnat_xdp),
		.tc = {bpf_program__fd(skeleton->progs.xdnat_ingress),
		       bpf_program__fd(skeleton->progs.xdnat_egress)},
	};
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
