// SPDX-License-Identifier: GPL-2.0-only
#include "selftest.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fail.h"
#include "selftest_flow.h"
#include "selftest_packets.h"
#include "xdnat_abi.h"

#define FAR_JIFFIES 0x3fffffff /* no tick ends meanwhile: no route is asked for */
#define FRAME_BYTES 256

#define CONVERSATIONS (sizeof(conversations) / sizeof(conversations[0]))
#define SINGLES	      (sizeof(singles) / sizeof(singles[0]))

/* Where a packet is seen, and by which program. */
static const struct hook {
	const char *words;
	const char *program;
	uint32_t number;
} hooks[XDNAT_HOOKS] = {
	{"XDP", "xdnat_xdp", XDNAT_HOOK_XDP},
	{"tc", "xdnat_ingress", XDNAT_HOOK_INGRESS},
	{"tc egress", "xdnat_egress", XDNAT_HOOK_EGRESS},
};

struct selftest {
	const struct bpf_object *object;
	const struct hook *hook;
	int program;
	uint32_t until;
};

static int map_fd(const struct selftest *test, const char *name)
{
	return bpf_object__find_map_fd_by_name(test->object, name);
}

static int put(const struct selftest *test, const char *name, const void *key, const void *value)
{
	return bpf_map_update_elem(map_fd(test, name), key, value, BPF_ANY);
}

static void set_port_bit(__u8 *bits, uint16_t port_host)
{
	__be16 port = htons(port_host);

	bits[port / XDNAT_PORTS_A_BYTE] |= 1 << port % XDNAT_PORTS_A_BYTE;
}

/* What has other ports is foreign. */
static int put_port_bits(const struct selftest *test)
{
	struct xdnat_port_bits bits = {};
	uint32_t zero = 0;

	for (size_t i = 0; i < CONVERSATIONS; i++) {
		set_port_bit(bits.as_destination, conversations[i].listener_port_host);
		set_port_bit(bits.as_source, conversations[i].target_port_host);
	}
	return put(test, XDNAT_PORTS_SECTION, &zero, &bits);
}

/* A listener and rule for the rows that have no flow, the interface for all. */
static int fill_maps(const struct selftest *test)
{
	const struct conversation *row = &conversations[0];
	struct xdnat_interface interface = {.mode = XDNAT_MODE_NATIVE};
	struct xdnat_config config = {.abi = XDNAT_ABI, .flows = SELFTEST_ENTRIES};
	struct xdnat_listener listener = {
		.addr.word = {0, 0, htonl(0xffff)},
		.port = htons(row->listener_port_host),
		.proto = IPPROTO_TCP,
	};
	struct xdnat_rule rule = {.id = SELFTEST_RULE, .target_port = htons(row->target_port_host)};
	uint32_t in_ifindex = SELFTEST_IN_IFINDEX, out_ifindex = SELFTEST_OUT_IFINDEX;
	uint32_t zero = 0, id = SELFTEST_RULE;
	int err;

	memcpy(interface.mac, row->request.bytes, sizeof(interface.mac));
	memcpy(&listener.addr.word[3], row->listener, 4);
	rule.target = listener.addr;
	memcpy(&rule.target.word[3], row->target, 4);
	for (int i = 0; i < XDNAT_LIFE_MAX; i++)
		config.life_jiffies[i] = FAR_JIFFIES;
	err = put(test, "xdnat_config", &zero, &config);
	if (!err)
		err = put_port_bits(test);
	if (!err)
		err = put(test, "xdnat_interfaces", &in_ifindex, &interface);
	if (!err)
		err = put(test, "xdnat_interfaces", &out_ifindex, &interface);
	if (!err)
		err = put(test, "xdnat_rules", &id, &rule);
	return err ? err : put(test, "xdnat_listeners", &listener, &id);
}

static int compare(const char *name, const struct golden *want, const uint8_t *got, uint32_t length)
{
	if (length != want->length)
		return fail(-EIO, "%s: %u bytes come out, not %u", name, length, want->length);
	for (uint32_t i = 0; i < length; i++)
		if (got[i] != (uint8_t)want->bytes[i])
			return fail(-EIO, "%s: byte %u comes out as %02x, not %02x", name, i,
				    got[i], (uint8_t)want->bytes[i]);
	return 0;
}

/* XDP's action, as tc says it. */
static int action_at(const struct hook *hook, uint32_t action)
{
	if (hook->number == XDNAT_HOOK_XDP)
		return action;
	if (action == XDP_PASS)
		return TC_ACT_UNSPEC;
	return action == XDP_DROP ? TC_ACT_SHOT : TC_ACT_REDIRECT;
}

/* action: XDP's. */
static int send_packet(const struct selftest *test, const char *name, const struct golden *in,
		       const struct golden *want, uint32_t action)
{
	int wanted = action_at(test->hook, action);
	uint8_t out[FRAME_BYTES];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->bytes, .data_size_in = in->length,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	int err = bpf_prog_test_run_opts(test->program, &opts);

	if (err)
		return fail_kernel(err, "%s: cannot run the program", name);
	if ((int)opts.retval != wanted)
		return fail(-EIO, "%s: %s action %d, not %d", name, test->hook->words,
			    (int)opts.retval, wanted);
	return compare(name, want, out, opts.data_size_out);
}

static int send_request(const struct selftest *test, const struct conversation *row)
{
	int err = send_packet(test, row->name, &row->request, &row->request_out, XDP_TX);

	return err ? fail_while(err, "request") : 0;
}

static int send_answer(const struct selftest *test, const struct conversation *row)
{
	int err = send_packet(test, row->name, &row->answer, &row->answer_out, XDP_REDIRECT);

	return err ? fail_while(err, "answer") : 0;
}

/* The third request and second answer find the flow established: the fast path. */
static int hold_conversation(const struct selftest *test, const struct conversation *row)
{
	int err = selftest_flow_put(test->object, row, test->until);

	if (!err)
		err = send_request(test, row);
	if (!err)
		err = selftest_flow_complete(test->object, row, test->until);
	if (!err)
		err = send_answer(test, row);
	if (!err)
		err = send_request(test, row);
	if (!err)
		err = send_request(test, row);
	return err ? err : send_answer(test, row);
}

/* The kernel routed it itself, and its filter on the way out finds the flow. */
static int send_answer_of_kernel(const struct selftest *test, const struct conversation *row)
{
	return send_packet(test, row->name, &row->answer, &row->answer_of_kernel, XDP_PASS);
}

/* How many packets were counted under a reason, by all processors. */
static int count(const struct selftest *test, uint32_t reason, uint64_t *packets)
{
	int cpus = libbpf_num_possible_cpus(), err;
	struct xdnat_counter *each = cpus > 0 ? calloc(cpus, sizeof(*each)) : NULL;
	uint32_t key = test->hook->number * XDNAT_REASON_MAX + reason;

	if (!each)
		return fail(-ENOMEM, "no memory");
	err = bpf_map_lookup_elem(map_fd(test, "xdnat_stats"), &key, each);
	*packets = 0;
	for (int cpu = 0; !err && cpu < cpus; cpu++)
		*packets += each[cpu].packets;
	free(each);
	return err ? fail_kernel(err, "cannot read counters") : 0;
}

static int send_single(const struct selftest *test, const struct single *row)
{
	uint64_t before, after;
	int err = count(test, row->reason, &before);

	if (!err)
		err = send_packet(test, row->name, &row->in, &row->out, row->action);
	if (!err)
		err = count(test, row->reason, &after);
	if (!err && after != before + 1)
		err = fail(-EIO, "%s: not counted under its reason", row->name);
	return err;
}

/* Packets that come in. Conversations stay for who comes after them. */
static int run_way_in(const struct selftest *test)
{
	int err = 0;

	for (size_t i = 0; !err && i < CONVERSATIONS; i++)
		err = hold_conversation(test, &conversations[i]);
	for (size_t i = 0; !err && i < SINGLES; i++)
		err = send_single(test, &singles[i]);
	return err;
}

static int run_way_out(const struct selftest *test)
{
	int err = 0;

	for (size_t i = 0; !err && i < CONVERSATIONS; i++)
		err = send_answer_of_kernel(test, &conversations[i]);
	for (size_t i = 0; !err && i < SINGLES; i++)
		if (singles[i].reason == XDNAT_PASS_NO_RULE)
			err = send_single(test, &singles[i]);
	return err;
}

static int run(struct selftest *test)
{
	int err = 0;

	for (size_t h = 0; !err && h < XDNAT_HOOKS; h++) {
		test->hook = &hooks[h];
		test->program = bpf_program__fd(
			bpf_object__find_program_by_name(test->object, hooks[h].program));
		if (hooks[h].number == XDNAT_HOOK_INGRESS)
			for (size_t i = 0; !err && i < CONVERSATIONS; i++)
				err = selftest_flow_end(test->object, &conversations[i]);
		if (!err)
			err = hooks[h].number == XDNAT_HOOK_EGRESS ? run_way_out(test)
								   : run_way_in(test);
	}
	return err ? fail_while(err, "the new program fails its self-test") : 0;
}

int selftest_run(const struct bpf_object *object, int clock)
{
	struct selftest test = {.object = object};
	struct xdnat_clock now;
	int err = clock_read(clock, &now);

	if (!err) {
		test.until = now.jiffies + FAR_JIFFIES;
		err = fill_maps(&test);
	}
	if (err)
		return fail_kernel(err, "cannot prepare the self-test");
	return run(&test);
}
