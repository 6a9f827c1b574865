// SPDX-License-Identifier: GPL-2.0-only
#include "capacity.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>

#include "fail.h"
#include "memory.h"
#include "xdnat.skel.h"

#define FLOWS_LEAST 64
/* What the kernel's hash takes for an element besides its key: its head, the value, and
 * its share of the hash's buckets, which are 16 bytes and a power of two. */
#define ELEMENT_BYTES (48 + 8 + 2 * 16)
/* The verifier at work on the largest program, and everything of fixed size. */
#define PROGRAM_BYTES (48ULL << 20)
/* So many that a bucket more or less is none. */
#define MANY_FLOWS (1U << 20)

void capacity_set(struct xdnat_config *config, __u32 flows)
{
	config->flows = flows;
	config->home_buckets = xdnat_home_buckets(flows);
	config->overflow_buckets = xdnat_overflow_buckets(config->home_buckets);
}

void capacity_apply(const struct xdnat_config *config, struct xdnat_bpf *skeleton)
{
	uint32_t buckets = config->home_buckets + config->overflow_buckets;
	uint32_t elsewhere = config->overflow_buckets * XDNAT_SLOTS;

	bpf_map__set_max_entries(skeleton->maps.xdnat_flows4, buckets);
	bpf_map__set_max_entries(skeleton->maps.xdnat_flows6, buckets);
	bpf_map__set_max_entries(skeleton->maps.xdnat_buckets4, buckets);
	bpf_map__set_max_entries(skeleton->maps.xdnat_buckets6, buckets);
	bpf_map__set_max_entries(skeleton->maps.xdnat_overflow4, elsewhere);
	bpf_map__set_max_entries(skeleton->maps.xdnat_overflow6, elsewhere);
}

/* Of both families. */
static uint64_t flow_bytes(void)
{
	struct xdnat_config config = {};
	uint64_t buckets, elsewhere;

	capacity_set(&config, MANY_FLOWS);
	buckets = config.home_buckets + config.overflow_buckets;
	elsewhere = config.overflow_buckets * XDNAT_SLOTS;
	return (buckets * (sizeof(struct xdnat_bucket4) + sizeof(struct xdnat_bucket6) +
			   2 * sizeof(struct xdnat_bucket)) +
		elsewhere * (sizeof(struct xdnat_key4) + sizeof(struct xdnat_key6) +
			     2 * ELEMENT_BYTES)) /
		       MANY_FLOWS +
	       1;
}

int capacity_need_memory(__u32 flows)
{
	uint64_t available = memory_available_bytes(), flow = flow_bytes();

	if (available >= PROGRAM_BYTES + flows * flow)
		return 0;
	if (available < PROGRAM_BYTES + FLOWS_LEAST * flow)
		return fail(-ENOMEM,
			    "loading needs %llu MiB of memory, and only %llu MiB may be had "
			    "here; free some, or raise the memory limit that it runs under",
			    (PROGRAM_BYTES >> 20) + 1, (unsigned long long)available >> 20);
	return fail(-ENOMEM,
		    "%u flows of each family need %llu MiB of memory, and only %llu MiB may be had "
		    "here; type a smaller number, at most --flows %llu",
		    flows, (unsigned long long)(PROGRAM_BYTES + flows * flow) >> 20,
		    (unsigned long long)available >> 20,
		    (unsigned long long)((available - PROGRAM_BYTES) / flow));
}
