// SPDX-License-Identifier: GPL-2.0-only
#include "store.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"
#include "store_maps.h"

/* The pins that every command needs, and what this build makes them. */
static const struct store_pin map_table[STORE_MAPS] = {
	[STORE_CONFIG] = {"xdnat_config", 4, sizeof(struct xdnat_config), BPF_MAP_TYPE_ARRAY},
	[STORE_LISTENERS] = {"xdnat_listeners", sizeof(struct xdnat_listener), 4},
	[STORE_RANGES] = {"xdnat_ranges", sizeof(struct xdnat_range), 4, BPF_MAP_TYPE_LPM_TRIE},
	[STORE_PREFIXES] = {"xdnat_prefixes", sizeof(struct xdnat_prefix), 4,
			    BPF_MAP_TYPE_LPM_TRIE},
	[STORE_TARGET_PORTS] = {"xdnat_target_ports", sizeof(struct xdnat_target_port), 4,
				BPF_MAP_TYPE_LPM_TRIE},
	[STORE_PORTS] = {"xdnat_ports", 4, sizeof(struct xdnat_port_bits), BPF_MAP_TYPE_ARRAY,
			 BPF_F_MMAPABLE},
	[STORE_SNAT] = {"xdnat_snat", 4, sizeof(struct xdnat_snat)},
	[STORE_SNAT_PORTS] = {"xdnat_snat_ports", 4, sizeof(struct xdnat_snat_port),
			      BPF_MAP_TYPE_ARRAY},
	[STORE_RULES] = {"xdnat_rules", 4, sizeof(struct xdnat_rule)},
	[STORE_SPECS] = {"xdnat_specs", 4, sizeof(struct xdnat_spec)},
	[STORE_INTERFACES] = {"xdnat_interfaces", 4, sizeof(struct xdnat_interface)},
	[STORE_DEVICES] = {"xdnat_devices", 4, 4, BPF_MAP_TYPE_DEVMAP_HASH},
	[STORE_NEIGHBOURS] = {"xdnat_neighbours", sizeof(struct xdnat_neighbour), 4},
	[STORE_FLOWS4] = {"xdnat_flows4", 4, sizeof(struct xdnat_bucket4), BPF_MAP_TYPE_ARRAY,
			  BPF_F_MMAPABLE},
	[STORE_FLOWS6] = {"xdnat_flows6", 4, sizeof(struct xdnat_bucket6), BPF_MAP_TYPE_ARRAY,
			  BPF_F_MMAPABLE},
	[STORE_BUCKETS4] = {"xdnat_buckets4", 4, sizeof(struct xdnat_bucket), BPF_MAP_TYPE_ARRAY,
			    BPF_F_MMAPABLE},
	[STORE_BUCKETS6] = {"xdnat_buckets6", 4, sizeof(struct xdnat_bucket), BPF_MAP_TYPE_ARRAY,
			    BPF_F_MMAPABLE},
	[STORE_OVERFLOW4] = {"xdnat_overflow4", sizeof(struct xdnat_key4), 4},
	[STORE_OVERFLOW6] = {"xdnat_overflow6", sizeof(struct xdnat_key6), 4},
	[STORE_STATS] = {"xdnat_stats", 4, sizeof(struct xdnat_counter), BPF_MAP_TYPE_PERCPU_ARRAY},
};

static const struct store_pin program_table[STORE_PROGRAMS] = {
	[STORE_XDP] = {.name = "xdnat_xdp", .type = BPF_PROG_TYPE_XDP},
	[STORE_INGRESS] = {.name = "xdnat_ingress", .type = BPF_PROG_TYPE_SCHED_CLS},
	[STORE_EGRESS] = {.name = "xdnat_egress", .type = BPF_PROG_TYPE_SCHED_CLS},
	[STORE_FLOW_END] = {.name = "xdnat_flow_end", .type = BPF_PROG_TYPE_SYSCALL},
	[STORE_FLOW_PUT] = {.name = "xdnat_flow_put", .type = BPF_PROG_TYPE_SYSCALL},
	[STORE_CLOCK] = {.name = "xdnat_clock", .type = BPF_PROG_TYPE_SYSCALL},
};

/* whole: stops at the first that is not there. */
static int open_all(const struct instance *instance, struct store *store, bool whole)
{
	for (int i = 0; i < STORE_MAPS; i++) {
		store->maps[i] = store_pin_map(instance, &map_table[i]);
		if (store->maps[i] < 0 && whole)
			return store->maps[i];
	}
	for (int i = 0; i < STORE_PROGRAMS; i++) {
		store->programs[i] = store_pin_program(instance, &program_table[i]);
		if (store->programs[i] < 0 && whole)
			return store->programs[i];
	}
	return 0;
}

/* Elements of a flow table's map: all buckets, or the slots of those behind the homes. */
static uint64_t flow_map_entries(const struct xdnat_config *config, int map)
{
	if (map == STORE_OVERFLOW4 || map == STORE_OVERFLOW6)
		return (uint64_t)config->overflow_buckets * XDNAT_SLOTS;
	return (uint64_t)config->home_buckets + config->overflow_buckets;
}

/* Their size is what the configuration says it is. */
static int check_flow_tables(const struct instance *instance, const struct store *store)
{
	if (!store->config.flows || !store->config.home_buckets)
		return store_pin_fail_foreign(instance, &map_table[STORE_CONFIG]);
	for (int map = STORE_FLOWS4; map <= STORE_OVERFLOW6; map++) {
		struct bpf_map_info info = {};
		uint32_t length = sizeof(info);
		int err = bpf_obj_get_info_by_fd(store->maps[map], &info, &length);

		if (err)
			return fail_kernel(err, "cannot look at %s", map_table[map].name);
		if (info.max_entries != flow_map_entries(&store->config, map))
			return store_pin_fail_foreign(instance, &map_table[map]);
	}
	return 0;
}

static struct store *make(void)
{
	struct store *store = calloc(1, sizeof(*store));

	if (store)
		store->known = calloc(1, sizeof(*store->known));
	if (!store || !store->known) {
		free(store);
		fail(-ENOMEM, "no memory");
		return NULL;
	}
	memset(store->maps, -1, sizeof(store->maps));
	memset(store->programs, -1, sizeof(store->programs));
	return store;
}

int store_open_unfinished(const struct instance *instance, struct store **opened)
{
	struct store *store = make();
	int err;

	*opened = NULL;
	if (!store)
		return -ENOMEM;
	if (access(XDNAT_BPFFS, X_OK))
		err = store_pin_fail_open(instance, "", -errno);
	else
		err = instance_need_private_pins(instance);
	if (!err)
		err = open_all(instance, store, true);
	if (!err)
		err = store_config(store, &store->config);
	if (!err)
		err = check_flow_tables(instance, store);
	if (err)
		store_close(store);
	else
		*opened = store;
	return err;
}

int store_open(const struct instance *instance, struct store **opened)
{
	struct instance older;

	*opened = NULL;
	if (instance_older(instance, &older))
		return instance_need_own_abi(instance);
	return store_open_unfinished(instance, opened);
}

int store_open_remains(const struct instance *instance, struct store **opened)
{
	struct store *store = make();

	*opened = store;
	if (!store)
		return -ENOMEM;
	open_all(instance, store, false);
	if (store_config(store, &store->config))
		store->config = (struct xdnat_config){};
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (int i = 0; i < STORE_MAPS; i++)
		if (store->maps[i] >= 0)
			close(store->maps[i]);
	for (int i = 0; i < STORE_PROGRAMS; i++)
		if (store->programs[i] >= 0)
			close(store->programs[i]);
	free(store->known->rules);
	free(store->known);
	free(store);
}

uint64_t store_netns_cookie(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(uint64_t);
	uint64_t cookie = 0;

	if (fd < 0)
		return 0;
	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length);
	close(fd);
	return cookie;
}

int store_need_netns(const struct store *store)
{
	return store_need_netns_cookie(store->config.netns_cookie);
}

int store_need_netns_cookie(uint64_t loaded_in)
{
	uint64_t cookie = store_netns_cookie();

	if (!cookie)
		return fail_kernel(-errno, "cannot ask which network namespace this is");
	if (loaded_in == cookie)
		return 0;
	return fail(-EBUSY, "this instance was loaded in another network namespace; type: "
			    "nsenter --net=/run/netns/NAME xdnat ...");
}

int store_xdp_program(const struct store *store)
{
	return store->programs[STORE_XDP];
}

int store_tc_program(const struct store *store, bool is_egress)
{
	return store->programs[is_egress ? STORE_EGRESS : STORE_INGRESS];
}

int store_map_each(int map, struct store_entry_sizes sizes,
		   int (*each)(const void *key, const void *value, void *context), void *context)
{
	char cursor[STORE_CURSOR_BYTES];
	uint32_t read, batch = STORE_BATCH;
	void *keys, *values, *from = NULL;
	int err = 0, ended = 0;

	keys = malloc((size_t)STORE_BATCH_MAX * sizes.key_bytes);
	values = malloc((size_t)STORE_BATCH_MAX * sizes.value_bytes);
	if (!keys || !values)
		err = fail(-ENOMEM, "no memory");
	while (!err && !ended) {
		read = batch;
		err = bpf_map_lookup_batch(map, from, cursor, keys, values, &read, NULL);
		if (err == -ENOSPC && batch < STORE_BATCH_MAX) { /* a bucket is longer */
			batch *= 2;
			err = 0;
			continue;
		}
		ended = err == -ENOENT;
		if (err == -EINTR)
			err = fail(err, "a map changed while it was read; try again");
		else if (err)
			err = ended ? 0 : fail_kernel(err, "cannot read a map");
		for (uint32_t i = 0; !err && i < read; i++)
			err = each((char *)keys + (size_t)i * sizes.key_bytes,
				   (char *)values + (size_t)i * sizes.value_bytes, context);
		from = cursor;
	}
	free(keys);
	free(values);
	return err;
}

static int append(const void *key, const void *value, void *context)
{
	struct store_array *array = context;
	size_t entry = store_entry_bytes(&array->sizes);

	if (array->count == array->capacity) {
		size_t capacity = array->capacity ? 2 * array->capacity : 64;
		char *entries = realloc(array->entries, capacity * entry);

		if (!entries)
			return fail(-ENOMEM, "no memory");
		array->entries = entries;
		array->capacity = capacity;
	}
	memcpy(array->entries + array->count * entry, key, array->sizes.key_bytes);
	memcpy(array->entries + array->count * entry + array->sizes.key_bytes, value,
	       array->sizes.value_bytes);
	array->count++;
	return 0;
}

int store_map_read(int map, struct store_array *array)
{
	int err = store_map_each(map, array->sizes, append, array);

	if (err) {
		free(array->entries);
		array->entries = NULL;
		array->count = 0;
	}
	return err;
}

int store_map_write(int map, const void *keys, const void *values, size_t count)
{
	uint32_t written = count;
	int err = count ? bpf_map_update_batch(map, keys, values, &written, NULL) : 0;

	if (err == -E2BIG || err == -ENOSPC) /* of a hash, of a trie */
		return fail(-ENOSPC, "there is no room for so many rules");
	return err ? fail_kernel(err, "cannot write a map") : 0;
}

int store_map_delete(int map, const struct store_stale *stale)
{
	int err = 0;

	for (size_t i = 0; !err && i < stale->count; i++) {
		err = bpf_map_delete_elem(map, (char *)stale->keys + i * stale->key_bytes);
		if (err == -ENOENT)
			err = 0;
	}
	return err ? fail_kernel(err, "cannot remove what is left of a rule") : 0;
}

int store_config(const struct store *store, struct xdnat_config *config)
{
	uint32_t zero = 0;
	int err = bpf_map_lookup_elem(store->maps[STORE_CONFIG], &zero, config);

	if (err)
		return fail_kernel(err, "cannot read xdnat_config");
	if (config->abi != XDNAT_ABI)
		return fail(-EBUSY,
			    "the loaded xdnat speaks ABI %u, this one %u; type: xdnat unload --all",
			    config->abi, XDNAT_ABI);
	return 0;
}

int store_config_write(struct store *store, const struct xdnat_config *config)
{
	uint32_t zero = 0;
	int err = bpf_map_update_elem(store->maps[STORE_CONFIG], &zero, config, BPF_EXIST);

	return err ? fail_kernel(err, "cannot write xdnat_config") : 0;
}

int store_counters(const struct store *store, struct store_counters *counters)
{
	int cpus = libbpf_num_possible_cpus(), err = 0;
	struct xdnat_counter *each, *sum = &counters->at[0][0];

	each = cpus > 0 ? calloc(cpus, sizeof(*each)) : NULL;
	if (!each)
		return fail(-ENOMEM, "no memory");
	memset(counters, 0, sizeof(*counters));
	for (uint32_t key = 0; !err && key < XDNAT_HOOKS * XDNAT_REASON_MAX; key++, sum++) {
		err = bpf_map_lookup_elem(store->maps[STORE_STATS], &key, each);
		for (int cpu = 0; !err && cpu < cpus; cpu++) {
			sum->packets += each[cpu].packets;
			sum->bytes += each[cpu].bytes;
		}
	}
	free(each);
	return err ? fail_kernel(err, "cannot read xdnat_stats") : 0;
}

uint64_t store_reason_pkts(const struct store_counters *counters, enum xdnat_reason reason)
{
	uint64_t packets = 0;

	for (int hook = 0; hook < XDNAT_HOOKS; hook++)
		packets += counters->at[hook][reason].packets;
	return packets;
}

static uint64_t map_bytes(int map)
{
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "memlock: %lu", &bytes) == 1)
			break;
	if (info)
		fclose(info);
	return bytes;
}

static uint64_t table_bytes(const struct store *store, bool is_v6)
{
	return map_bytes(store->maps[STORE_FLOWS4 + is_v6]) +
	       map_bytes(store->maps[STORE_BUCKETS4 + is_v6]) +
	       map_bytes(store->maps[STORE_OVERFLOW4 + is_v6]);
}

int store_memory(const struct store *store, struct store_memory *memory)
{
	memory->flows4_bytes = table_bytes(store, false);
	memory->flows6_bytes = table_bytes(store, true);
	memory->flow4_bytes = memory->flows4_bytes / store->config.flows;
	memory->flow6_bytes = memory->flows6_bytes / store->config.flows;
	return 0;
}
