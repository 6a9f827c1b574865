// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

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
	return err ? err : world_fill_rules(skeleton);
}

static int config_make(struct xdnat_config *config, bool is_held)
{
	struct clock_bpf *clock = clock_bpf__open_and_load();
	int err = clock ? 0 : -errno;

	*config = (struct xdnat_config){
		.abi = XDNAT_ABI,
		.flows = XDNAT_FLOWS_DEFAULT,
		.has_ranges = 1u << 1,
		.snat_ports = XDNAT_PORTS,
	};
	if (!err)
		err = clock_measure_hz(bpf_program__fd(clock->progs.xdnat_clock), &config->hz);
	clock_bpf__destroy(clock);
	if (err)
		return err;
	config->tick_jiffies = is_held ? HELD_JIFFIES : config->hz;
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

int world_load(struct world *world, bool is_held)
{
	struct xdnat_config config;
	int err = config_make(&config, is_held);

	if (!err)
		err = network_enter(&world->network, NETWORK_ROUTER);
	if (err)
		return err;
	world->skeleton = bench_bpf__open();
	if (!world->skeleton)
		return -errno;
	world->skeleton->rodata->tick_jiffies = config.tick_jiffies;

	err = bench_bpf__load(world->skeleton);
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
	bench_bpf__destroy(world->skeleton);
	*world = (struct world){.network = world->network};
}

uint32_t world_ingress(const struct world *world, uint8_t direction)
{
	return direction == XDNAT_ORIGINAL ? world->network.wan : world->network.lan;
}

static void key_of(const struct frame *frame, struct xdnat_key4 *key4, struct xdnat_key6 *key6)
{
	*key6 = (struct xdnat_key6){
		.ports = {.sport = htons(frame->sport_host), .dport = htons(frame->dport_host)},
		.proto = frame->is_tcp ? IPPROTO_TCP : IPPROTO_UDP,
	};
	memcpy(key6->src, frame->src, sizeof(key6->src));
	memcpy(key6->dst, frame->dst, sizeof(key6->dst));
	*key4 = (struct xdnat_key4){
		.src = key6->src[0],
		.dst = key6->dst[0],
		.ports = key6->ports,
		.proto = key6->proto,
	};
}

static int copy4(const struct bench_bpf *skeleton, const struct xdnat_key4 *key)
{
	struct xdnat_half4 half4;
	int err = bpf_map__lookup_elem(skeleton->maps.xdnat_flows4, key, sizeof(*key), &half4,
				       sizeof(half4), 0);

	if (err)
		return err;
	if (half4.half.state != XDNAT_SETTLED)
		return -EINVAL;
	return bpf_map__update_elem(skeleton->maps.bench_floor_map4, key, sizeof(*key), &half4,
				    sizeof(half4), BPF_ANY);
}

static int copy6(const struct bench_bpf *skeleton, const struct xdnat_key6 *key)
{
	struct xdnat_half6 half6;
	int err = bpf_map__lookup_elem(skeleton->maps.xdnat_flows6, key, sizeof(*key), &half6,
				       sizeof(half6), 0);

	if (err)
		return err;
	if (half6.half.state != XDNAT_SETTLED)
		return -EINVAL;
	return bpf_map__update_elem(skeleton->maps.bench_floor_map6, key, sizeof(*key), &half6,
				    sizeof(half6), BPF_ANY);
}

int world_copy_flow(const struct world *world, const struct flows *flows, uint32_t i)
{
	struct xdnat_key4 key4;
	struct xdnat_key6 key6;
	struct frame frame;
	int err = 0;

	for (int n = 0; !err && n < XDNAT_DIRECTIONS; n++) {
		/* The reply first, as the datapath does: neighbours in memory. */
		flows_arriving(flows, i, n ? XDNAT_ORIGINAL : XDNAT_REPLY, 0, &frame);
		key_of(&frame, &key4, &key6);
		err = flows->is_v6 ? copy6(world->skeleton, &key6) : copy4(world->skeleton, &key4);
	}
	return err;
}

int world_clear(const struct world *world)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(world->skeleton->progs.bench_clear), &opts);
}
