// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "clock.skel.h"

/* Jiffies start below 2^32 and pass it five minutes after boot, for the next two
 * hundred days they count one tick of this size. */
#define HELD_JIFFIES 0x40000000

/* As in user/program.c. */
static const uint32_t life_sec[XDNAT_LIFE_MAX] = {240, 7440, 240, 120, 300};

static int fill_interface(struct bench_bpf *skeleton, uint32_t ifindex, const char *name,
			  const uint8_t *mac)
{
	struct xdnat_interface interface = {.mode = XDNAT_MODE_NATIVE, .flags = XDNAT_XDP_OUT};

	memcpy(interface.mac, mac, sizeof(interface.mac));
	strncpy(interface.name, name, sizeof(interface.name) - 1);
	return bpf_map__update_elem(skeleton->maps.xdnat_interfaces, &ifindex, sizeof(ifindex),
				    &interface, sizeof(interface), BPF_ANY);
}

static int fill(const struct world *world, const struct xdnat_config *config)
{
	struct bench_bpf *skeleton = world->skeleton;
	uint32_t zero = 0;
	int err = bpf_map__update_elem(skeleton->maps.xdnat_config, &zero, sizeof(zero), config,
				       sizeof(*config), BPF_ANY);

	if (!err)
		err = fill_interface(skeleton, world->network.wan, "wan", flows_wan_mac);
	if (!err)
		err = fill_interface(skeleton, world->network.lan, "lan", flows_lan_mac);
	return err ? err : world_fill_rules(world);
}

static int config_make(struct xdnat_config *config, bool has_ticks)
{
	struct clock_bpf *clock = clock_bpf__open_and_load();
	int err = clock ? 0 : -errno;

	*config = (struct xdnat_config){
		.abi = XDNAT_ABI,
		.has_ranges = 1u << 1,
		.snat_ports = XDNAT_PORTS,
	};
	if (!err)
		err = clock_measure_hz(bpf_program__fd(clock->progs.xdnat_clock), &config->hz);
	clock_bpf__destroy(clock);
	if (err)
		return err;
	config->tick_jiffies = has_ticks ? config->hz : HELD_JIFFIES;
	for (int i = 0; i < XDNAT_LIFE_MAX; i++)
		config->life_jiffies[i] = life_sec[i] * config->hz;
	return 0;
}

/* Test runs need the receive queues that come with a program. And a program that
 * is attached somewhere is run without waiting for all processors to have seen it,
 * twice, each time: each is attached to an interface of its own. */
static int attach(struct world *world)
{
	struct bpf_program *program;
	char name[IF_NAMESIZE];
	int parked = 0, err = 0;

	bpf_object__for_each_program(program, world->skeleton->obj)
	{
		if (bpf_program__type(program) != BPF_PROG_TYPE_XDP)
			continue;
		if (parked == WORLD_PROGRAMS)
			return -E2BIG;
		snprintf(name, sizeof(name), "park%d", parked);
		world->parked[parked] = bpf_program__attach_xdp(program, if_nametoindex(name));
		if (!world->parked[parked++])
			err = -errno;
	}
	world->links[0] =
		bpf_program__attach_xdp(world->skeleton->progs.xdnat_xdp, world->network.wan);
	world->links[1] =
		bpf_program__attach_xdp(world->skeleton->progs.xdnat_xdp, world->network.lan);
	return world->links[0] && world->links[1] ? err : -errno;
}

int world_make(struct world *world)
{
	char command[64];
	int err = network_make(&world->network, NETWORK_FRAMES);

	for (int i = 0; !err && i < WORLD_PROGRAMS; i++) {
		snprintf(command, sizeof(command), "ip link add park%d type veth", i);
		err = network_run(&world->network, NETWORK_ROUTER, command);
	}
	return err;
}

static int set_size(struct bpf_map *map, uint32_t entries)
{
	return bpf_map__set_max_entries(map, entries);
}

/* Every table is as large as the case. */
static int set_sizes(const struct world *world, struct xdnat_config *config)
{
	const struct world_setup *setup = &world->setup;
	struct bench_bpf *skeleton = world->skeleton;
	int err = world_size_table(world, config);

	if (!err)
		err = set_size(skeleton->maps.bench_hash4, 2 * setup->flows4);
	if (!err)
		err = set_size(skeleton->maps.bench_floor_map4, 2 * setup->flows4);
	if (!err)
		err = set_size(skeleton->maps.bench_hash6, 2 * setup->flows6);
	if (!err)
		err = set_size(skeleton->maps.bench_floor_map6, 2 * setup->flows6);
	if (!err)
		err = set_size(skeleton->maps.bench_rows, setup->rows_max);
	if (err || !setup->rules)
		return err;
	err = set_size(skeleton->maps.xdnat_rules, setup->rules + XDNAT_RULES_MAX);
	return err ? err
		   : set_size(skeleton->maps.xdnat_listeners, setup->rules + XDNAT_LISTENERS_MAX);
}

static int map_rows(struct world *world)
{
	size_t bytes = world->setup.rows_max * sizeof(*world->rows);
	int rows = bpf_map__fd(world->skeleton->maps.bench_rows);

	world->rows = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, rows, 0);
	if (world->rows != MAP_FAILED)
		return 0;
	world->rows = NULL;
	return -errno;
}

int world_load(struct world *world, const struct world_setup *setup)
{
	struct xdnat_config config;
	int err = config_make(&config, setup->has_ticks);

	if (!err)
		err = network_enter(&world->network, NETWORK_ROUTER);
	if (err)
		return err;
	world->setup = *setup;
	world->skeleton = bench_bpf__open();
	if (!world->skeleton)
		return -errno;
	world->skeleton->rodata->tick_jiffies = config.tick_jiffies;
	err = set_sizes(world, &config);
	if (!err)
		err = bench_bpf__load(world->skeleton);
	if (!err)
		err = map_rows(world);
	if (!err)
		err = attach(world);
	return err ? err : fill(world, &config);
}

void world_unload(struct world *world)
{
	for (int i = 0; i < WORLD_PROGRAMS; i++)
		bpf_link__destroy(world->parked[i]);
	bpf_link__destroy(world->links[0]);
	bpf_link__destroy(world->links[1]);
	if (world->rows)
		munmap(world->rows, world->setup.rows_max * sizeof(*world->rows));
	bench_bpf__destroy(world->skeleton);
	*world = (struct world){.network = world->network};
}

uint32_t world_ingress(const struct world *world, uint8_t direction)
{
	return direction == XDNAT_ORIGINAL ? world->network.wan : world->network.lan;
}
