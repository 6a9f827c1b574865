// SPDX-License-Identifier: GPL-2.0-only
#include "program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "capacity.h"
#include "clock.h"
#include "clock.skel.h"
#include "fail.h"
#include "log.h"
#include "program_parts.h"
#include "progress.h"
#include "selftest.h"
#include "store_maps.h"
#include "xdnat.skel.h"

/* Seconds, in the order of XDNAT_LIFE_…; RFC 5382 REQ-5, RFC 4787 REQ-5. */
static const uint32_t life_sec[XDNAT_LIFE_MAX] = {240, 7440, 240, 120, 300};

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

void program_configure(struct xdnat_bpf *skeleton, const struct xdnat_config *config)
{
	skeleton->rodata->tick_jiffies = config->tick_jiffies;
	skeleton->rodata->home_buckets = config->home_buckets;
	skeleton->rodata->overflow_buckets = config->overflow_buckets;
	for (int i = 0; i < XDNAT_SEEDS; i++)
		skeleton->rodata->hash_seeds[i] = config->hash_seeds[i];
}

static int load_skeleton(struct xdnat_bpf *skeleton, const struct xdnat_config *config)
{
	int err;

	program_configure(skeleton, config);
	err = xdnat_bpf__load(skeleton);
	return err ? fail_load(err) : 0;
}

/* The same object once more, with small maps that nobody else ever sees. */
static int test_programs(const struct programs *programs, const struct xdnat_config *config)
{
	struct xdnat_bpf *skeleton = xdnat_bpf__open();
	struct xdnat_config small = *config;
	struct bpf_map *map;
	int err;

	if (!skeleton)
		return fail_load(-errno);
	bpf_object__for_each_map(map, skeleton->obj) if (bpf_map__type(map) == BPF_MAP_TYPE_HASH)
		bpf_map__set_max_entries(map, SELFTEST_ENTRIES);
	capacity_set(&small, SELFTEST_ENTRIES);
	capacity_apply(&small, skeleton);
	progress_begin("loading the programs");
	err = load_skeleton(skeleton, &small);
	if (!err)
		err = selftest_run(skeleton->obj, clock_program(programs));
	xdnat_bpf__destroy(skeleton);
	progress_step(1, 2); /* the second load takes as long */
	return err;
}

static int fill_random(void *bytes, size_t count)
{
	if (getrandom(bytes, count, 0) == (ssize_t)count)
		return 0;
	return fail(-errno, "cannot have random numbers: %s", strerror(errno));
}

static int fill_seeds(struct xdnat_config *config)
{
	int err = fill_random(config->hash_seeds, sizeof(config->hash_seeds));

	xdnat_seeds_fit(config->hash_seeds);
	return err;
}

static int config_fill(struct xdnat_config *config, int clock, uint32_t flows)
{
	int err = clock_measure_hz(clock, &config->hz);

	if (err)
		return fail(-EOPNOTSUPP, "cannot read the kernel's clock by a BPF program: %s",
			    strerror(-err));
	config->abi = XDNAT_ABI;
	capacity_set(config, flows);
	config->next_id = 1;
	config->netns_cookie = store_netns_cookie();
	config->tick_jiffies = config->hz;
	for (int i = 0; i < XDNAT_LIFE_MAX; i++)
		config->life_jiffies[i] = life_sec[i] * config->hz;
	err = fill_random(&config->seed, sizeof(config->seed));
	return err ? err : fill_seeds(config);
}

/* The programs and maps with room for config->flows flows, config written. */
static int load_new(struct programs *programs, const struct xdnat_config *config)
{
	struct xdnat_bpf *skeleton = programs->skeleton;
	uint32_t zero = 0;
	int err;

	capacity_apply(config, skeleton);
	err = load_skeleton(skeleton, config);
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
	int err = capacity_need_memory(flows);

	if (!err)
		err = open_programs(&programs);
	if (!err)
		err = config_fill(&config, clock_program(programs), flows);
	if (!err)
		err = test_programs(programs, &config);
	if (!err)
		err = load_new(programs, &config);
	if (!err)
		err = program_pin_instance(instance, programs, NULL);
	progress_end();
	program_free(programs);
	return err;
}

static int reuse_map(const struct instance *instance, struct bpf_map *map)
{
	const struct store_pin pin = {
		.name = program_map_pin(map),
		.key_bytes = bpf_map__key_size(map),
		.value_bytes = bpf_map__value_size(map),
		.type = bpf_map__type(map),
		.flags = bpf_map__map_flags(map) & BPF_F_MMAPABLE,
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
		if (!err && program_map_pin(map))
			err = reuse_map(instance, map);
	}
	return err;
}

/* Maps of the version with ABI 3 that are this one's, too; the others are made anew. */
static const char *const shared_maps[] = {
	"xdnat_listeners",  "xdnat_ranges", "xdnat_prefixes", "xdnat_target_ports", "xdnat_snat",
	"xdnat_snat_ports", "xdnat_rules",  "xdnat_specs",    "xdnat_interfaces",   "xdnat_devices",
	"xdnat_neighbours", "xdnat_stats",  "xdnat_pickups",
};

static int share_maps(const struct instance *older, struct xdnat_bpf *skeleton)
{
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(shared_maps) / sizeof(shared_maps[0]); i++)
		err = reuse_map(older, bpf_object__find_map_by_name(skeleton->obj, shared_maps[i]));
	return err;
}

int program_take_over(const struct instance *instance, const struct instance *older,
		      const struct xdnat_config *had, struct programs **loaded)
{
	struct programs *programs = NULL;
	struct xdnat_config config = *had;
	int err = capacity_need_memory(had->flows);

	*loaded = NULL;
	if (err)
		return fail(err,
			    "upgrading needs memory for tables of %u flows of each family beside "
			    "those that are loaded, and there is not so much; free some, or type: "
			    "xdnat unload --all, then load with a smaller --flows",
			    had->flows);
	config.abi = XDNAT_ABI;
	capacity_set(&config, had->flows);
	err = fill_seeds(&config);
	if (!err)
		err = open_programs(&programs);
	if (!err)
		err = test_programs(programs, &config);
	if (!err)
		err = share_maps(older, programs->skeleton);
	if (!err)
		err = load_new(programs, &config);
	if (!err)
		err = program_pin_instance(instance, programs, older);
	progress_end();
	if (err)
		program_free(programs);
	else
		*loaded = programs;
	return err;
}

int program_load(const struct instance *instance, const struct store *store,
		 struct programs **loaded)
{
	struct programs *programs = NULL;
	struct xdnat_config config;
	int err;

	*loaded = NULL;
	err = capacity_need_memory(0);
	if (!err)
		err = open_programs(&programs);
	if (!err)
		err = store_config(store, &config);
	if (!err)
		err = test_programs(programs, &config);
	if (!err)
		err = program_reuse_maps(instance, programs->skeleton->obj);
	if (!err)
		err = load_skeleton(programs->skeleton, &config);
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
