// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow tables of a world: their sizes, their memory, and how they are emptied.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "world.h"

struct table {
	struct bpf_map *slots;
	struct bpf_map *buckets;
	struct bpf_map *overflow;
};

static struct table table_of(const struct bench_bpf *skeleton, bool is_v6)
{
	if (is_v6)
		return (struct table){skeleton->maps.xdnat_flows6, skeleton->maps.xdnat_buckets6,
				      skeleton->maps.xdnat_overflow6};
	return (struct table){skeleton->maps.xdnat_flows4, skeleton->maps.xdnat_buckets4,
			      skeleton->maps.xdnat_overflow4};
}

static int size_table(const struct table *table, uint32_t flows)
{
	uint32_t homes = xdnat_home_buckets(flows), behind = xdnat_overflow_buckets(homes);
	int err = bpf_map__set_max_entries(table->slots, homes + behind);

	if (!err)
		err = bpf_map__set_max_entries(table->buckets, homes + behind);
	return err ? err : bpf_map__set_max_entries(table->overflow, behind * XDNAT_SLOTS);
}

/* As user/capacity.c does it, but one family may have none to speak of: there are homes
 * of its keys then that it does not have. */
int world_size_table(const struct world *world, struct xdnat_config *config)
{
	const struct world_setup *setup = &world->setup;
	struct bench_bpf *skeleton = world->skeleton;
	struct table table4 = table_of(skeleton, false), table6 = table_of(skeleton, true);
	int err = size_table(&table4, setup->flows4);

	if (!err)
		err = size_table(&table6, setup->flows6);
	config->flows = setup->flows4 > setup->flows6 ? setup->flows4 : setup->flows6;
	config->home_buckets = xdnat_home_buckets(config->flows);
	config->overflow_buckets = xdnat_overflow_buckets(config->home_buckets);
	if (getrandom(config->hash_seeds, sizeof(config->hash_seeds), 0) < 0)
		return -errno;
	xdnat_seeds_fit(config->hash_seeds);
	skeleton->rodata->home_buckets = config->home_buckets;
	skeleton->rodata->overflow_buckets = config->overflow_buckets;
	memcpy((void *)skeleton->rodata->hash_seeds, config->hash_seeds,
	       sizeof(config->hash_seeds));
	return err;
}

uint32_t world_home(const struct world *world, const struct flows *flows, uint32_t i,
		    uint8_t direction)
{
	const struct bench_bpf__rodata *rodata = world->skeleton->rodata;
	struct xdnat_key4 key4;
	struct xdnat_key6 key6;
	struct frame frame;
	uint64_t hash;

	flows_arriving(flows, i, direction, 0, &frame);
	key6 = (struct xdnat_key6){
		.ports = {.sport = htons(frame.sport_host), .dport = htons(frame.dport_host)},
		.proto = frame.is_tcp ? IPPROTO_TCP : IPPROTO_UDP,
	};
	memcpy(key6.src, frame.src, sizeof(key6.src));
	memcpy(key6.dst, frame.dst, sizeof(key6.dst));
	key4 = (struct xdnat_key4){
		.src = key6.src[0],
		.dst = key6.dst[0],
		.ports = key6.ports,
		.proto = key6.proto,
	};
	hash = flows->is_v6 ? xdnat_key6_hash(&key6, (const volatile __u64 *)rodata->hash_seeds)
			    : xdnat_key4_hash(&key4, (const volatile __u64 *)rodata->hash_seeds);
	return xdnat_home_bucket(xdnat_home(hash, rodata->home_buckets));
}

int world_embryos(const struct world *world, bool is_v6, uint32_t bucket)
{
	struct table table = table_of(world->skeleton, is_v6);
	union {
		struct xdnat_bucket4 four;
		struct xdnat_bucket6 six;
	} slots;
	size_t bytes = is_v6 ? sizeof(slots.six) : sizeof(slots.four);
	int embryos = 0,
	    err = bpf_map__lookup_elem(table.slots, &bucket, sizeof(bucket), &slots, bytes, 0);

	for (int i = 0; !err && i < XDNAT_SLOTS; i++) {
		uint32_t state = xdnat_state(is_v6 ? slots.six.slot[i].half.word
						   : slots.four.slot[i].half.word);

		embryos += (state & XDNAT_TAKEN) && !(state & XDNAT_ASSURED);
	}
	return err ? err : embryos;
}

int world_clear(const struct world *world, bool is_v6)
{
	const struct bench_bpf *skeleton = world->skeleton;
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(is_v6 ? skeleton->progs.bench_clear6
							    : skeleton->progs.bench_clear4),
				      &opts);
}

/* What the kernel says it takes. */
static int add_memory(const struct bpf_map *map, uint64_t *bytes)
{
	char path[64], line[128];
	uint64_t taken = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	file = fopen(path, "r");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %" SCNu64, &taken) == 1)
			break;
	fclose(file);
	*bytes += taken;
	return taken ? 0 : -ENODATA;
}

int world_memory(const struct world *world, bool is_v6, uint64_t *table, uint64_t *hash)
{
	const struct bench_bpf *skeleton = world->skeleton;
	struct table maps = table_of(skeleton, is_v6);
	int err;

	*table = 0;
	*hash = 0;
	err = add_memory(is_v6 ? skeleton->maps.bench_hash6 : skeleton->maps.bench_hash4, hash);
	if (!err)
		err = add_memory(maps.slots, table);
	if (!err)
		err = add_memory(maps.buckets, table);
	return err ? err : add_memory(maps.overflow, table);
}
