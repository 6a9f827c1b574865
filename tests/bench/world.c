// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "clock.skel.h"

#define TTL	     64
#define PORT	     8080
#define TARGET_PORT  80
#define FOREIGN_PORT 9999
/* Jiffies start below 2^32 and pass it five minutes after boot, for the next two
 * hundred days they count one tick of this size. */
#define HELD_JIFFIES 0x40000000

static const uint8_t wan_mac[6] = {2, 0, 0, 0, 1, 1}, gateway_mac[6] = {2, 0, 0, 0, 1, 0xfe};
static const uint8_t lan_mac[6] = {2, 0, 0, 0, 2, 1}, target_mac[6] = {2, 0, 0, 0, 2, 5};
static const uint8_t listener4[4] = {203, 0, 113, 1}, target4[4] = {10, 0, 0, 5};
static const uint8_t listener6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t target6[16] = {0xfd, [15] = 5};
/* As in user/attach.c. */
static const uint32_t life_sec[XDNAT_LIFE_MAX] = {240, 7440, 240, 120, 300};

static const char *const commands[] = {
	"sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.accept_dad=0 "
	"net.ipv6.conf.default.addr_gen_mode=1 net.ipv4.ip_forward=1 "
	"net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.forwarding=1",
	"ip link add wan address 02:00:00:00:01:01 type veth peer wan_far",
	"ip link add lan address 02:00:00:00:02:01 type veth peer lan_far",
	"ip link set wan up && ip link set wan_far up",
	"ip link set lan up && ip link set lan_far up",
	"ip addr add 203.0.113.1/24 dev wan && ip addr add 10.0.0.1/24 dev lan",
	"ip addr add 2001:db8::1/64 dev wan nodad && ip addr add fd00::1/64 dev lan nodad",
	"ip neigh replace 203.0.113.254 lladdr 02:00:00:00:01:fe dev wan nud permanent",
	"ip neigh replace 2001:db8::fe lladdr 02:00:00:00:01:fe dev wan nud permanent",
	"ip neigh replace 10.0.0.5 lladdr 02:00:00:00:02:05 dev lan nud permanent",
	"ip neigh replace fd00::5 lladdr 02:00:00:00:02:05 dev lan nud permanent",
	"ip route add default via 203.0.113.254",
	"ip -6 route add default via 2001:db8::fe",
};

int world_make(void)
{
	if (unshare(CLONE_NEWNET))
		return -errno;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (system(commands[i]) != 0)
			return -EIO;
	return 0;
}

static struct xdnat_addr addr_of(const uint8_t *bytes, bool is_v6)
{
	struct xdnat_addr addr = {.word = {0, 0, htonl(0xffff), 0}};

	memcpy(is_v6 ? addr.word : &addr.word[3], bytes, is_v6 ? 16 : 4);
	return addr;
}

static int fill_rule(struct bench_bpf *skeleton, uint32_t id, bool is_v6)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct xdnat_listener listener = {
		.addr = addr_of(is_v6 ? listener6 : listener4, is_v6),
		.port = htons(PORT),
	};
	struct xdnat_rule rule = {
		.target = addr_of(is_v6 ? target6 : target4, is_v6),
		.target_port = htons(TARGET_PORT),
		.id = id,
	};
	int err = bpf_map__update_elem(skeleton->maps.xdnat_rules, &id, sizeof(id), &rule,
				       sizeof(rule), BPF_ANY);

	for (int i = 0; !err && i < 2; i++) {
		listener.proto = protos[i];
		err = bpf_map__update_elem(skeleton->maps.xdnat_listeners, &listener,
					   sizeof(listener), &id, sizeof(id), BPF_ANY);
	}
	return err;
}

static int fill_interface(struct bench_bpf *skeleton, uint32_t ifindex, const char *name,
			  const uint8_t *mac)
{
	struct xdnat_interface interface = {.mode = XDNAT_MODE_NATIVE};

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
		err = fill_interface(skeleton, world->wan, "wan", wan_mac);
	if (!err)
		err = fill_interface(skeleton, world->lan, "lan", lan_mac);
	if (!err)
		err = fill_rule(skeleton, 1, false);
	return err ? err : fill_rule(skeleton, 2, true);
}

static int config_make(struct xdnat_config *config, bool is_held)
{
	struct clock_bpf *clock = clock_bpf__open_and_load();
	int err = clock ? 0 : -errno;

	*config = (struct xdnat_config){.abi = XDNAT_ABI, .flows = XDNAT_FLOWS_DEFAULT};
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

int world_load(struct world *world, bool is_held)
{
	struct xdnat_config config;
	int err = config_make(&config, is_held);

	if (err)
		return err;
	world->skeleton = bench_bpf__open();
	if (!world->skeleton)
		return -errno;
	world->skeleton->rodata->tick_jiffies = config.tick_jiffies;

	err = bench_bpf__load(world->skeleton);
	if (err)
		return err;
	world->wan = if_nametoindex("wan");
	world->lan = if_nametoindex("lan");
	/* Test runs need the receive queues that come with a program. */
	world->links[0] = bpf_program__attach_xdp(world->skeleton->progs.xdnat_xdp, world->wan);
	world->links[1] = bpf_program__attach_xdp(world->skeleton->progs.xdnat_xdp, world->lan);
	if (!world->links[0] || !world->links[1])
		return -errno;
	return fill(world, &config);
}

void world_unload(struct world *world)
{
	bpf_link__destroy(world->links[0]);
	bpf_link__destroy(world->links[1]);
	bench_bpf__destroy(world->skeleton);
	*world = (struct world){};
}

uint32_t world_ingress(const struct world *world, uint8_t direction)
{
	return direction == XDNAT_ORIGINAL ? world->wan : world->lan;
}

/* Client i: 198.18.0.0/15 or 2001:db8:7::/64, with a port of its own. */
static void client_of(bool is_v6, uint32_t i, uint8_t *address, uint16_t *port_host)
{
	static const uint8_t prefix4[2] = {198, 18};
	static const uint8_t prefix6[6] = {0x20, 0x01, 0x0d, 0xb8, 0, 7};
	uint8_t *low = address + (is_v6 ? 14 : 2);

	memcpy(address, is_v6 ? prefix6 : prefix4, is_v6 ? sizeof(prefix6) : sizeof(prefix4));
	low[0] = i >> 8;
	low[1] = i;
	*port_host = 1024 + i * 40503 % 60000;
}

static void set_macs(struct frame *frame, const uint8_t *dst, const uint8_t *src)
{
	memcpy(frame->eth_dst, dst, 6);
	memcpy(frame->eth_src, src, 6);
}

void world_arriving(const struct flows *flows, uint32_t i, uint8_t direction, uint8_t tcp_flags,
		    struct frame *frame)
{
	uint32_t bytes = flows->is_v6 ? 16 : 4;

	*frame = (struct frame){
		.is_v6 = flows->is_v6,
		.is_tcp = flows->is_tcp,
		.tcp_flags = tcp_flags,
		.ttl = TTL,
	};
	if (direction == XDNAT_ORIGINAL) {
		set_macs(frame, wan_mac, gateway_mac);
		client_of(flows->is_v6, i, frame->src, &frame->sport_host);
		memcpy(frame->dst, flows->is_v6 ? listener6 : listener4, bytes);
		frame->dport_host = flows->is_foreign ? FOREIGN_PORT : PORT;
	} else {
		set_macs(frame, lan_mac, target_mac);
		client_of(flows->is_v6, i, frame->dst, &frame->dport_host);
		memcpy(frame->src, flows->is_v6 ? target6 : target4, bytes);
		frame->sport_host = TARGET_PORT;
	}
}

void world_leaving(const struct flows *flows, uint8_t direction, const struct frame *arriving,
		   struct frame *frame)
{
	uint32_t bytes = flows->is_v6 ? 16 : 4;

	*frame = *arriving;
	if (flows->is_foreign)
		return;
	frame->ttl--;
	if (direction == XDNAT_ORIGINAL) {
		set_macs(frame, target_mac, lan_mac);
		memcpy(frame->dst, flows->is_v6 ? target6 : target4, bytes);
		frame->dport_host = TARGET_PORT;
	} else {
		set_macs(frame, gateway_mac, wan_mac);
		memcpy(frame->src, flows->is_v6 ? listener6 : listener4, bytes);
		frame->sport_host = PORT;
	}
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
		world_arriving(flows, i, n ? XDNAT_ORIGINAL : XDNAT_REPLY, 0, &frame);
		key_of(&frame, &key4, &key6);
		err = flows->is_v6 ? copy6(world->skeleton, &key6) : copy4(world->skeleton, &key4);
	}
	return err;
}
