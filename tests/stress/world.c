// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"

#define LONG_LIFE      0x10000000 /* jiffies */
#define HALF_OPEN_LIFE 2

static const uint8_t wan_mac[6] = {2, 0, 0, 0, 1, 1};

static const char *const commands[] = {
	"sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.accept_dad=0 "
	"net.ipv6.conf.default.addr_gen_mode=1 net.ipv4.ip_forward=1 "
	"net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.forwarding=1",
	"ip link add wan address 02:00:00:00:01:01 type veth peer end",
	"sysctl -qw net.ipv6.conf.end.disable_ipv6=1",
	"ip link set wan up && ip link set end up",
	"ip addr add 203.0.113.1/24 dev wan && ip addr add 10.0.0.1/24 dev wan && "
	"ip addr add 2001:db8::1/64 dev wan nodad && ip addr add fd00::1/64 dev wan nodad",
};

static int run(const char *command)
{
	if (!system(command))
		return 0;
	fprintf(stderr, "it failed: %s\n", command);
	return -EIO;
}

int world_move_neighbours(void)
{
	static const char batch[] =
		"for i in 5 6 7; do printf 'neigh replace %%s lladdr 02:0'$i':%1$s dev wan nud "
		"permanent\\n' 10.0.0.$i fd00::$i; done | ip -batch - && "
		"for a in 203.0.113.254 2001:db8::fe; do printf 'neigh replace %%s lladdr "
		"02:fe:%1$s dev wan nud permanent\\n' $a; done | ip -batch -";
	static bool is_other;
	char command[512];

	snprintf(command, sizeof(command), batch, is_other ? "bb:bb:bb:bb" : "aa:aa:aa:aa");
	is_other = !is_other;
	return run(command);
}

int world_make(void)
{
	int err = unshare(CLONE_NEWNET) ? -errno : 0;

	for (size_t i = 0; !err && i < sizeof(commands) / sizeof(*commands); i++)
		err = run(commands[i]);
	if (!err)
		err = world_move_neighbours();
	return err ? err
		   : run("ip route add default via 203.0.113.254 && "
			 "ip -6 route add default via 2001:db8::fe");
}

/* splitmix64 (G. Steele, D. Lea, C. Flood) */
uint64_t world_random(uint64_t *seed)
{
	uint64_t mixed = *seed += 0x9e3779b97f4a7c15;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	return mixed ^ mixed >> 31;
}

static int resize(const struct shape *shape, struct stress_bpf *skeleton)
{
	struct bpf_map *const buckets[] = {skeleton->maps.xdnat_flows4, skeleton->maps.xdnat_flows6,
					   skeleton->maps.xdnat_buckets4,
					   skeleton->maps.xdnat_buckets6};
	struct bpf_map *const indexes[] = {skeleton->maps.xdnat_overflow4,
					   skeleton->maps.xdnat_overflow6};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(buckets) / sizeof(*buckets); i++)
		err = bpf_map__set_max_entries(buckets[i], shape->homes + shape->overflow);
	for (size_t i = 0; !err && i < sizeof(indexes) / sizeof(*indexes); i++)
		err = bpf_map__set_max_entries(indexes[i], shape->overflow * XDNAT_SLOTS);
	return err;
}

/* What a test run needs not is not verified either. */
static void choose_programs(struct stress_bpf *skeleton)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, skeleton->obj) bpf_program__set_autoload(
		program, program == skeleton->progs.stress_packet ||
				 program == skeleton->progs.stress_stall ||
				 program == skeleton->progs.xdnat_flow_end);
}

static int fill(const struct world *world, uint64_t seed)
{
	struct xdnat_config config = {
		.abi = XDNAT_ABI,
		.hz = 250,
		.tick_jiffies = world->shape->tick_jiffies,
		.life_jiffies = {[XDNAT_LIFE_TCP_HALF_OPEN] = HALF_OPEN_LIFE,
				 [XDNAT_LIFE_TCP_ESTABLISHED] = LONG_LIFE,
				 [XDNAT_LIFE_TCP_CLOSING] = 2,
				 [XDNAT_LIFE_UDP_UNANSWERED] = 2,
				 [XDNAT_LIFE_UDP_ANSWERED] = 3},
		.snat_ports = STRESS_PORTS,
		.seed = seed,
		.home_buckets = world->shape->homes,
		.overflow_buckets = world->shape->overflow,
	};
	struct xdnat_interface interface = {
		.mode = XDNAT_MODE_NATIVE,
		.flags = XDNAT_XDP_OUT,
		.name = "wan",
	};
	struct stress_bpf *skeleton = world->skeleton;
	uint32_t zero = 0;
	int err;

	memcpy(config.hash_seeds, world->seeds, sizeof(config.hash_seeds));
	memcpy(interface.mac, wan_mac, sizeof(interface.mac));
	err = bpf_map__update_elem(skeleton->maps.xdnat_config, &zero, sizeof(zero), &config,
				   sizeof(config), BPF_ANY);
	if (!err)
		err = bpf_map__update_elem(skeleton->maps.xdnat_interfaces, &world->ifindex,
					   sizeof(world->ifindex), &interface, sizeof(interface),
					   BPF_ANY);
	return err ? err : rules_fill(skeleton);
}

static int map_tables(struct world *world)
{
	const struct stress_bpf *skeleton = world->skeleton;
	int err;

	for (int is_v6 = 0; is_v6 < WORLD_FAMILIES; is_v6++) {
		world->tables[is_v6] = (struct table){
			.is_v6 = is_v6,
			.homes = world->shape->homes,
			.overflow = world->shape->overflow,
			.seeds = world->seeds,
		};
	}
	err = table_map(&world->tables[0], bpf_map__fd(skeleton->maps.xdnat_flows4),
			bpf_map__fd(skeleton->maps.xdnat_buckets4),
			bpf_map__fd(skeleton->maps.xdnat_overflow4));
	if (err)
		return err;
	return table_map(&world->tables[1], bpf_map__fd(skeleton->maps.xdnat_flows6),
			 bpf_map__fd(skeleton->maps.xdnat_buckets6),
			 bpf_map__fd(skeleton->maps.xdnat_overflow6));
}

int world_load(struct world *world, const struct shape *shape, uint64_t seed)
{
	int err;

	*world = (struct world){.shape = shape, .ifindex = if_nametoindex("wan")};
	world->skeleton = stress_bpf__open();
	if (!world->skeleton)
		return -errno;
	for (int i = 0; i < XDNAT_SEEDS; i++)
		world->seeds[i] = world_random(&seed);
	xdnat_seeds_fit(world->seeds);
	for (int i = 0; i < XDNAT_SEEDS; i++)
		world->skeleton->rodata->hash_seeds[i] = world->seeds[i];
	world->skeleton->rodata->tick_jiffies = shape->tick_jiffies;
	world->skeleton->rodata->home_buckets = shape->homes;
	world->skeleton->rodata->overflow_buckets = shape->overflow;
	memcpy(world->skeleton->bss->stress_plan.mac, wan_mac, sizeof(wan_mac));
	world->skeleton->bss->stress_plan.gateway_hop = 0xfe;
	choose_programs(world->skeleton);
	err = resize(shape, world->skeleton);
	if (!err)
		err = stress_bpf__load(world->skeleton);
	if (err)
		return err;
	/* Test runs need the receive queues that come with a program, and do without
	 * waiting for all processors when it is attached somewhere. */
	world->link = bpf_program__attach_xdp(world->skeleton->progs.stress_packet, world->ifindex);
	if (!world->link)
		return -errno;
	err = fill(world, world_random(&seed));
	return err ? err : map_tables(world);
}

void world_unload(struct world *world)
{
	table_unmap(&world->tables[0]);
	table_unmap(&world->tables[1]);
	bpf_link__destroy(world->link);
	stress_bpf__destroy(world->skeleton);
}

static int send_frames(const struct world *world, uint32_t lane, uint32_t packets)
{
	struct xdp_md ctx = {.data_end = STRESS_FRAME_BYTES, .ingress_ifindex = world->ifindex};
	uint8_t frame[STRESS_FRAME_BYTES] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = packets);

	memcpy(frame + sizeof(frame) - sizeof(lane), &lane, sizeof(lane));
	return bpf_prog_test_run_opts(bpf_program__fd(world->skeleton->progs.stress_packet), &opts);
}

int world_send(const struct world *world, uint32_t lane, uint32_t packets)
{
	const struct stress_lane *lanes = world->skeleton->bss->stress_lanes;
	uint64_t end = lanes[lane].packets + packets;
	int err;

	do {
		err = send_frames(world, lane, end - lanes[lane].packets);
	} while (err == -EINTR && lanes[lane].packets < end);
	return err == -EINTR ? 0 : err;
}

int world_end(const struct world *world, bool is_v6, const struct xdnat_key6 *key, uint32_t force)
{
	struct xdnat_flow_end request = {.key = *key, .is_v6 = is_v6, .force = force};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &request, .ctx_size_in = sizeof(request));

	return bpf_prog_test_run_opts(bpf_program__fd(world->skeleton->progs.xdnat_flow_end),
				      &opts);
}

int world_be_patient(const struct world *world, bool is_patient)
{
	struct bpf_map *map = world->skeleton->maps.xdnat_config;
	struct xdnat_config config;
	uint32_t zero = 0;
	int err = bpf_map__lookup_elem(map, &zero, sizeof(zero), &config, sizeof(config), 0);

	if (err)
		return err;
	config.life_jiffies[XDNAT_LIFE_TCP_HALF_OPEN] = is_patient ? LONG_LIFE : HALF_OPEN_LIFE;
	return bpf_map__update_elem(map, &zero, sizeof(zero), &config, sizeof(config), BPF_ANY);
}

uint64_t world_reason(const struct world *world, uint32_t reason)
{
	uint32_t key = XDNAT_HOOK_XDP * XDNAT_REASON_MAX + reason;
	int processors = libbpf_num_possible_cpus();
	struct xdnat_counter *counters = calloc(processors, sizeof(*counters));
	uint64_t packets = 0;

	if (counters && !bpf_map__lookup_elem(world->skeleton->maps.xdnat_stats, &key, sizeof(key),
					      counters, processors * sizeof(*counters), 0))
		for (int i = 0; i < processors; i++)
			packets += counters[i].packets;
	free(counters);
	return packets;
}
