// SPDX-License-Identifier: GPL-2.0-only
#include "rules.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <string.h>

#define LISTENERS	   4  /* of one target, of STRESS_SHARED */
#define IDS		   32 /* of a family */
#define FIRST_AIM_PORT	   1024
#define CLIENT_PORTS	   4 /* that masqueraded clients have */
#define MASQUERADED_GROUPS 8 /* the first ones; all others are of four that share */

struct kind {
	enum stress_port port;
	uint16_t listeners;
	uint8_t target; /* last byte; number of the neighbour, too */
	uint16_t target_port;
	uint32_t flags;
};

static const struct kind kinds[] = {
	{STRESS_PRESERVED, 1, 5, 80, 0},
	{STRESS_MASQUERADED, 1, 5, 81, XDNAT_RULE_MASQUERADE},
	{STRESS_SHARED, LISTENERS, 6, 80, 0},
	{STRESS_KEPT, 1, 7, 80, 0},
	{STRESS_KEPT_MASQUERADED, 1, 7, 81, XDNAT_RULE_MASQUERADE},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static uint32_t id_of(uint16_t port, bool is_v6)
{
	return 1 + port - STRESS_PRESERVED + IDS * is_v6;
}

bool rule_is_kept(uint32_t rule)
{
	return (rule - 1) % IDS >= STRESS_KEPT - STRESS_PRESERVED;
}

/* IPv4 in the last word. */
static void put_address(__be32 *to, bool is_v6, uint32_t prefix4, uint32_t prefix6, uint32_t low)
{
	memset(to, 0, 4 * sizeof(*to));
	if (is_v6)
		to[0] = htonl(prefix6);
	to[3] = htonl(is_v6 ? low : prefix4 | low);
}

static void put_listener(__be32 *to, bool is_v6)
{
	put_address(to, is_v6, 0xcb007100, 0x20010db8, 7);
}

static void put_target(__be32 *to, bool is_v6, uint8_t target)
{
	put_address(to, is_v6, 0x0a000000, 0xfd000000, target);
}

static void put_client(__be32 *to, bool is_v6, uint32_t client)
{
	put_address(to, is_v6, 0xc6120000, 0x20010db8, client);
	if (is_v6)
		to[1] = htonl(1); /* behind the gateway */
}

static struct xdnat_addr mapped(const __be32 *words, bool is_v6)
{
	struct xdnat_addr addr;

	memcpy(&addr, words, sizeof(addr));
	if (!is_v6)
		addr.word[2] = htonl(0xffff);
	return addr;
}

static int fill_listener(struct stress_bpf *skeleton, const struct kind *kind, uint16_t port,
			 bool is_v6)
{
	uint32_t id = id_of(port, is_v6);
	struct xdnat_listener listener = {.port = htons(port), .proto = IPPROTO_TCP};
	struct xdnat_rule rule = {
		.target_port = htons(kind->target_port),
		.id = id,
		.flags = kind->flags,
	};
	__be32 words[4];
	int err;

	put_listener(words, is_v6);
	listener.addr = mapped(words, is_v6);
	put_target(words, is_v6, kind->target);
	rule.target = mapped(words, is_v6);
	err = bpf_map__update_elem(skeleton->maps.xdnat_rules, &id, sizeof(id), &rule, sizeof(rule),
				   BPF_ANY);
	if (!err)
		err = bpf_map__update_elem(skeleton->maps.xdnat_listeners, &listener,
					   sizeof(listener), &id, sizeof(id), BPF_ANY);
	listener.proto = IPPROTO_UDP;
	return err ? err
		   : bpf_map__update_elem(skeleton->maps.xdnat_listeners, &listener,
					  sizeof(listener), &id, sizeof(id), BPF_ANY);
}

static int fill_snat(struct stress_bpf *skeleton, uint16_t port, bool is_v6)
{
	uint32_t id = id_of(port, is_v6);
	struct xdnat_snat snat;
	__be32 words[4];

	put_target(words, is_v6, 1);
	snat.addr = mapped(words, is_v6);
	return bpf_map__update_elem(skeleton->maps.xdnat_snat, &id, sizeof(id), &snat, sizeof(snat),
				    BPF_ANY);
}

static int fill_port(struct stress_bpf *skeleton, uint32_t entry)
{
	struct xdnat_snat_port port = {.port = htons(STRESS_FIRST_PORT + entry)};
	struct xdnat_snat_port may_be_kept = {.is_free_to_use = 1};
	uint32_t own = STRESS_FIRST_PORT + entry;
	int err = bpf_map__update_elem(skeleton->maps.xdnat_snat_ports, &entry, sizeof(entry),
				       &port, sizeof(port), BPF_ANY);

	return err ? err
		   : bpf_map__update_elem(skeleton->maps.xdnat_snat_ports, &own, sizeof(own),
					  &may_be_kept, sizeof(may_be_kept), BPF_ANY);
}

int rules_fill(struct stress_bpf *skeleton)
{
	int err = 0;

	/* Every port is somebody's. */
	memset(&skeleton->data_ports->xdnat_ports, 0xff, sizeof(struct xdnat_port_bits));
	for (uint32_t i = 0; !err && i < STRESS_PORTS; i++)
		err = fill_port(skeleton, i);
	for (uint32_t i = 0; !err && i < 2 * KINDS; i++) {
		const struct kind *kind = &kinds[i / 2];

		for (int n = 0; !err && n < kind->listeners; n++)
			err = fill_listener(skeleton, kind, kind->port + n, i % 2);
		if (!err && kind->flags & XDNAT_RULE_MASQUERADE)
			err = fill_snat(skeleton, kind->port, i % 2);
	}
	return err;
}

static const struct kind *kind_of(enum stress_port port)
{
	const struct kind *kind = kinds;

	while (kind->port != port)
		kind++;
	return kind;
}

void flow_fill(struct stress_flow *flows, uint32_t i, enum stress_port port, bool is_v6,
	       bool is_tcp)
{
	const struct kind *kind = kind_of(port);
	uint32_t turn = i % kind->listeners;
	struct stress_flow *flow = &flows[i];

	*flow = (struct stress_flow){
		.client_port = htons(STRESS_FIRST_PORT + i % CLIENT_PORTS),
		.listener_port = htons(port + turn),
		.target_port = htons(kind->target_port),
		.group = STRESS_NO_GROUP,
		.is_v6 = is_v6,
		.is_tcp = is_tcp,
		.is_kept = port == STRESS_KEPT || port == STRESS_KEPT_MASQUERADED,
		.target_hop = kind->target,
	};
	put_client(flow->client, is_v6, i - turn);
	put_listener(flow->listener, is_v6);
	put_target(flow->target, is_v6, kind->target);
	memcpy(flow->source, flow->client, sizeof(flow->source));
	if (kind->flags & XDNAT_RULE_MASQUERADE) {
		put_target(flow->source, is_v6, 1);
		flow->group = 4 * flow->is_kept + 2 * is_v6 + is_tcp;
	} else if (kind->listeners > 1) {
		flow->client_port = htons(STRESS_FIRST_PORT);
		flow->group =
			MASQUERADED_GROUPS + i / LISTENERS % (STRESS_GROUPS - MASQUERADED_GROUPS);
	}
}

/* IPv4 in the first word. */
static void put_words(__be32 *to, const __be32 *from, bool is_v6)
{
	if (is_v6)
		memcpy(to, from, 4 * sizeof(*to));
	else
		to[0] = from[3];
}

struct xdnat_key6 flow_key(const struct stress_flow *flow, uint8_t direction)
{
	bool is_original = direction == XDNAT_ORIGINAL;
	struct xdnat_key6 key = {.proto = flow->is_tcp ? IPPROTO_TCP : IPPROTO_UDP};

	put_words(key.src, is_original ? flow->client : flow->target, flow->is_v6);
	put_words(key.dst, is_original ? flow->listener : flow->source, flow->is_v6);
	key.ports.sport = is_original ? flow->client_port : flow->target_port;
	key.ports.dport = is_original ? flow->listener_port : flow->client_port;
	return key;
}

bool flow_aim(struct stress_flow *flow, const struct table *table, uint32_t original_home,
	      uint32_t reply_home)
{
	struct xdnat_key6 original = flow_key(flow, XDNAT_ORIGINAL);
	struct xdnat_key6 reply = flow_key(flow, XDNAT_REPLY);

	for (uint32_t port = FIRST_AIM_PORT; port < XDNAT_PORTS; port++) {
		original.ports.sport = htons(port);
		reply.ports.dport = htons(port);
		if (table_home(table, &original) != original_home ||
		    table_home(table, &reply) != reply_home)
			continue;
		flow->client_port = htons(port);
		return true;
	}
	return false;
}
