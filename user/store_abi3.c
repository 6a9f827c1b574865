// SPDX-License-Identifier: GPL-2.0-only
#include "store_abi3.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "abi3.h"
#include "clock.h"
#include "fail.h"
#include "progress.h"
#include "store_maps.h"

#define PUT_TRIES 16 /* somebody else is just at the half's bucket */

static const struct store_pin config_pin = {
	.name = "xdnat_config",
	.key_bytes = sizeof(uint32_t),
	.value_bytes = sizeof(struct abi3_config),
	.type = BPF_MAP_TYPE_ARRAY,
};
static const struct store_pin flows4_pin = {
	.name = "xdnat_flows4",
	.key_bytes = sizeof(struct xdnat_key4),
	.value_bytes = sizeof(struct abi3_half4),
};
static const struct store_pin flows6_pin = {
	.name = "xdnat_flows6",
	.key_bytes = sizeof(struct xdnat_key6),
	.value_bytes = sizeof(struct abi3_half6),
};

static int open_pin(const struct instance *older, const struct store_pin *pin, int *map)
{
	int fd = store_pin_map(older, pin);

	*map = fd;
	return fd < 0 ? fd : 0;
}

int store_abi3_open(const struct instance *older, struct store_abi3 *abi3)
{
	int err = open_pin(older, &config_pin, &abi3->config);

	if (!err)
		err = open_pin(older, &flows4_pin, &abi3->flows4);
	return err ?: open_pin(older, &flows6_pin, &abi3->flows6);
}

void store_abi3_close(struct store_abi3 *abi3)
{
	const int maps[] = {abi3->config, abi3->flows4, abi3->flows6};

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (maps[i] >= 0)
			close(maps[i]);
}

int store_abi3_config(const struct store_abi3 *abi3, struct xdnat_config *config)
{
	struct abi3_config had;
	uint32_t zero = 0;
	int err = bpf_map_lookup_elem(abi3->config, &zero, &had);

	if (err)
		return fail_kernel(err, "cannot read xdnat_config of the earlier version");
	if (had.abi != ABI3)
		return fail(-EBUSY,
			    "the earlier version's configuration is of ABI %u, not %u; type: "
			    "xdnat unload --all",
			    had.abi, ABI3);
	config->active_set = had.active_set;
	config->hz = had.hz;
	config->tick_jiffies = had.tick_jiffies;
	config->flows = had.flows;
	config->next_id = had.next_id;
	config->generation = had.generation;
	memcpy(config->life_jiffies, had.life_jiffies, sizeof(config->life_jiffies));
	config->has_ranges = had.has_ranges;
	config->snat_ports = had.snat_ports;
	config->snat_first_host = had.snat_first_host;
	config->snat_last_host = had.snat_last_host;
	config->seed = had.seed;
	config->netns_cookie = had.netns_cookie;
	return 0;
}

int store_abi3_keep_config(const struct store_abi3 *abi3, struct store *store)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (!err)
		err = store_abi3_config(abi3, &config);
	return err ?: store_config_write(store, &config);
}

/* One pass. */
struct pass {
	const struct store *store;
	bool embryos;
	uint32_t now; /* jiffies */
	struct store_abi3_copied *copied;
};

/* A half that is freed just now is left out: what follows it makes it anew. */
static bool is_wanted(const struct pass *pass, const struct abi3_half *half)
{
	if (half->state & XDNAT_DEAD)
		return half->state & XDNAT_RESTING;
	return pass->embryos || half->state & XDNAT_CONFIRMED;
}

/* The first packet begins a tick: it looks at the other half, and the way out up. */
static uint32_t until_of(const struct pass *pass, const struct abi3_half *half)
{
	bool is_later = (int32_t)(half->until - pass->now) > 0;

	return is_later && !(half->state & XDNAT_RESTING) ? pass->now : half->until;
}

static struct xdnat_half convert(const struct pass *pass, const struct abi3_half *from)
{
	struct xdnat_half half = {
		.word = until_of(pass, from) | (uint64_t)(from->state & 0xff) << XDNAT_WORD_STATE,
		.in_ifindex = from->in_ifindex,
		.out_ifindex = from->out_ifindex,
		.ports = from->ports,
		.l3_delta = from->l3_delta,
		.l4_delta = from->l4_delta,
		.rule = from->rule,
		.direction = from->direction,
		.packets = from->packets,
		.bytes = from->bytes,
	};

	half.word |= (uint64_t)XDNAT_TAKEN << XDNAT_WORD_STATE;
	if (from->state & XDNAT_CONFIRMED)
		half.word |= (uint64_t)XDNAT_ASSURED << XDNAT_WORD_STATE;
	memcpy(half.in_mac, from->in_mac, sizeof(half.in_mac));
	if (from->version & 1) /* mtu 0: the way out is not known */
		return half;
	half.mtu = from->mtu;
	half.tc_mtu = from->tc_mtu;
	memcpy(half.eth, from->eth, sizeof(half.eth));
	return half;
}

static int put(const struct pass *pass, struct xdnat_flow_put *request, bool is_original)
{
	struct store_abi3_copied *copied = pass->copied;
	int err = -EBUSY;

	for (int tries = 0; err == -EBUSY && tries < PUT_TRIES; tries++)
		err = store_flow_put(pass->store, request);
	copied->flows += !err && is_original;
	copied->no_room += err == -EBUSY || err == -ENOSPC;
	return err == -EEXIST || err == -EBUSY || err == -ENOSPC ? 0 : err;
}

static int copy4(const void *key, const void *value, void *context)
{
	const struct abi3_half4 *from = value;
	struct pass *pass = context;
	struct xdnat_flow_put request = {.half4 = {.src = from->src, .dst = from->dst}};

	progress_step(++pass->copied->seen, 0);
	if (!is_wanted(pass, &from->half))
		return 0;
	memcpy(&request.half4.key, key, sizeof(request.half4.key));
	request.half4.half = convert(pass, &from->half);
	return put(pass, &request, from->half.direction == XDNAT_ORIGINAL);
}

static int copy6(const void *key, const void *value, void *context)
{
	const struct abi3_half6 *from = value;
	struct xdnat_flow_put request = {.is_v6 = 1};
	struct pass *pass = context;

	progress_step(++pass->copied->seen, 0);
	if (!is_wanted(pass, &from->half))
		return 0;
	memcpy(&request.half6.key, key, sizeof(request.half6.key));
	request.half6.half = convert(pass, &from->half);
	memcpy(request.half6.src, from->src, sizeof(request.half6.src));
	memcpy(request.half6.dst, from->dst, sizeof(request.half6.dst));
	return put(pass, &request, from->half.direction == XDNAT_ORIGINAL);
}

int store_abi3_copy(const struct store_abi3 *abi3, const struct store *store, bool embryos,
		    struct store_abi3_copied *copied)
{
	struct store_entry_sizes sizes4 = {sizeof(struct xdnat_key4), sizeof(struct abi3_half4)};
	struct store_entry_sizes sizes6 = {sizeof(struct xdnat_key6), sizeof(struct abi3_half6)};
	struct pass pass = {
		.store = store,
		.embryos = embryos,
		.copied = copied,
	};
	struct xdnat_clock clock;
	int err = clock_read(store->programs[STORE_CLOCK], &clock);

	if (err)
		return fail_kernel(err, "cannot read the datapath's clock");
	pass.now = clock.jiffies;
	*copied = (struct store_abi3_copied){};
	err = store_map_each(abi3->flows4, sizes4, copy4, &pass);
	return err ?: store_map_each(abi3->flows6, sizes6, copy6, &pass);
}
