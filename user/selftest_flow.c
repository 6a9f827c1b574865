// SPDX-License-Identifier: GPL-2.0-only
#include "selftest_flow.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "fail.h"

#define MTU 1500

/* A half of either family. */
union stored {
	struct xdnat_half4 v4;
	struct xdnat_half6 v6;
};

static struct xdnat_half *half_of(union stored *stored, bool is_v6)
{
	return is_v6 ? &stored->v6.half : &stored->v4.half;
}

static int flows_fd(const struct bpf_object *object, bool is_v6)
{
	return bpf_object__find_map_fd_by_name(object, is_v6 ? "xdnat_flows6" : "xdnat_flows4");
}

/* Addresses and ports as a half's packets carry them: source, then destination. */
struct ends {
	const char *src, *dst;
	uint16_t sport_host, dport_host;
};

static void set_key(const struct conversation *row, const struct ends *ends, union stored *stored)
{
	union xdnat_ports ports = {
		.sport = htons(ends->sport_host),
		.dport = htons(ends->dport_host),
	};

	memset(stored, 0, sizeof(*stored));
	if (row->is_v6) {
		memcpy(stored->v6.key.src, ends->src, 16);
		memcpy(stored->v6.key.dst, ends->dst, 16);
		stored->v6.key.ports = ports;
		stored->v6.key.proto = row->proto;
	} else {
		memcpy(&stored->v4.key.src, ends->src, 4);
		memcpy(&stored->v4.key.dst, ends->dst, 4);
		stored->v4.key.ports = ports;
		stored->v4.key.proto = row->proto;
	}
}

/* The next hop, from the frame as it must leave. */
static void set_hop(struct xdnat_half *half, const struct golden *leaving, uint32_t ifindex,
		    uint32_t until)
{
	half->word = (half->word & ~0xffffffffULL) | until;
	half->out_ifindex = ifindex;
	half->mtu = MTU;
	half->tc_mtu = MTU;
	memcpy(half->eth, leaving->bytes, sizeof(half->eth));
}

static int run_syscall(const struct bpf_object *object, const char *name, void *context,
		       size_t bytes)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = context, .ctx_size_in = bytes);

	return bpf_prog_test_run_opts(
		bpf_program__fd(bpf_object__find_program_by_name(object, name)), &opts);
}

int selftest_flow_put(const struct bpf_object *object, const struct conversation *row,
		      uint32_t until)
{
	const struct ends ends = {row->client, row->listener, row->client_port_host,
				  row->listener_port_host};
	struct xdnat_flow_put request = {.is_v6 = row->is_v6};
	union stored stored;
	struct xdnat_half *half = half_of(&stored, row->is_v6);
	int err;

	set_key(row, &ends, &stored);
	if (row->is_v6) {
		memcpy(stored.v6.src, row->client, 16);
		memcpy(stored.v6.dst, row->target, 16);
	} else {
		memcpy(&stored.v4.src, row->client, 4);
		memcpy(&stored.v4.dst, row->target, 4);
	}
	half->ports.sport = htons(row->client_port_host);
	half->ports.dport = htons(row->target_port_host);
	half->l3_delta = htons(row->l3_delta_host);
	half->l4_delta = htons(row->l4_delta_host);
	half->direction = XDNAT_ORIGINAL;
	half->rule = SELFTEST_RULE;
	half->in_ifindex = SELFTEST_IN_IFINDEX;
	memcpy(half->in_mac, row->request.bytes, sizeof(half->in_mac));
	set_hop(half, &row->request_out, SELFTEST_IN_IFINDEX, until);
	memcpy(&request.half6, &stored, sizeof(stored));
	err = run_syscall(object, "xdnat_flow_put", &request, sizeof(request));
	if (!err)
		err = request.result;
	return err ? fail_kernel(err, "%s: cannot write a flow", row->name) : 0;
}

/* A bucket of either family, and the slot of it that is asked for. */
struct found {
	union {
		struct xdnat_bucket4 v4;
		struct xdnat_bucket6 v6;
	};
	uint32_t bucket;
	struct xdnat_half *half;
};

static struct xdnat_half *half_in(struct found *found, const union stored *key, bool is_v6)
{
	for (int i = 0; i < XDNAT_SLOTS; i++) {
		struct xdnat_half4 *half4 = &found->v4.slot[i];
		struct xdnat_half6 *half6 = &found->v6.slot[i];
		struct xdnat_half *half = is_v6 ? &half6->half : &half4->half;
		bool is_it = is_v6 ? !memcmp(&half6->key, &key->v6.key, sizeof(half6->key))
				   : !memcmp(&half4->key, &key->v4.key, sizeof(half4->key));

		if (is_it && xdnat_state(half->word) & XDNAT_TAKEN)
			return half;
	}
	return NULL;
}

/* Whatever bucket it is in. */
static int find(const struct bpf_object *object, const union stored *key, bool is_v6,
		struct found *found)
{
	int flows = flows_fd(object, is_v6), err = 0;

	for (found->bucket = 0; !err; found->bucket++) {
		err = bpf_map_lookup_elem(flows, &found->bucket, found);
		found->half = err ? NULL : half_in(found, key, is_v6);
		if (found->half)
			break;
	}
	return err;
}

int selftest_flow_complete(const struct bpf_object *object, const struct conversation *row,
			   uint32_t until)
{
	const struct ends ends = {row->target, row->client, row->target_port_host,
				  row->client_port_host};
	union stored key;
	struct found found;
	int err;

	set_key(row, &ends, &key);
	err = find(object, &key, row->is_v6, &found);
	if (err)
		return fail(-EIO, "%s: no half was made for the answers", row->name);
	set_hop(found.half, &row->answer_out, SELFTEST_OUT_IFINDEX, until);
	err = bpf_map_update_elem(flows_fd(object, row->is_v6), &found.bucket, &found, BPF_EXIST);
	return err ? fail_kernel(err, "cannot write a flow") : 0;
}

int selftest_flow_end(const struct bpf_object *object, const struct conversation *row)
{
	struct xdnat_flow_end request = {
		.key.ports = {.sport = htons(row->client_port_host),
			      .dport = htons(row->listener_port_host)},
		.key.proto = row->proto,
		.is_v6 = row->is_v6,
		.force = XDNAT_END_WHOLLY,
	};
	size_t addr_bytes = row->is_v6 ? 16 : 4;
	int err;

	memcpy(request.key.src, row->client, addr_bytes);
	memcpy(request.key.dst, row->listener, addr_bytes);
	err = run_syscall(object, "xdnat_flow_end", &request, sizeof(request));
	if (!err && !request.ended)
		err = -EBUSY;
	return err ? fail_kernel(err, "%s: cannot end its flow", row->name) : 0;
}
