// SPDX-License-Identifier: GPL-2.0-only
#include "live.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rounds.h"

#define BATCH	     64 /* a quarter of a veth's ring */
#define PATIENCE_MS  2000
#define SILENCE_MS   20 /* after a burst: what comes later is lost */
#define ANSWER_FLAGS (FRAME_TCP_SYN | FRAME_TCP_ACK)

/* A program that is attached somewhere is run without waiting for all processors
 * to have seen it, twice, each time. The generator is attached where nothing
 * arrives. */
static int park(const struct live_bpf *skeleton)
{
	struct network parking;
	int err = network_make(&parking, NETWORK_FRAMES);

	if (!err)
		err = network_run(&parking, NETWORK_CLIENT, "ip link add park type veth");
	if (!err && !bpf_program__attach_xdp(skeleton->progs.live_generate, if_nametoindex("park")))
		err = -errno;
	return err;
}

static void fill_floor(struct live_bpf *skeleton)
{
	const struct flows flows = {};
	uint8_t bytes[BENCH_FRAME6_BYTES];
	struct frame frame;

	flows_arriving(&flows, 0, XDNAT_ORIGINAL, 0, &frame);
	flows_rerouted(&frame, &frame);
	frame_build(&frame, bytes);
	memcpy(&skeleton->bss->floor_macs, bytes, 12);
}

int live_open(struct live_bpf **skeleton)
{
	*skeleton = live_bpf__open_and_load();
	if (!*skeleton)
		return -errno;
	fill_floor(*skeleton);
	return park(*skeleton);
}

static int send_frames(struct live_bpf *skeleton, const struct lane *lane, uint32_t count)
{
	struct live_bpf__bss *bss = skeleton->bss;
	uint8_t bytes[BENCH_FRAME6_BYTES] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes,
		    .data_size_in = bss->is_v6 ? BENCH_FRAME6_BYTES : BENCH_FRAME4_BYTES,
		    .repeat = count, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	int err = network_enter(&lane->network, NETWORK_CLIENT);

	bss->sent = 0;
	memset(bss->received, 0, sizeof(bss->received));
	bss->client_ifindex = lane->network.client;
	bss->lan_ifindex = lane->network.lan;
	bss->relay_port = htons(flows_port_host(FLOWS_RELAYED));
	return err ? err
		   : bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.live_generate), &opts);
}

/* Waits while frames come in, and for patience_ms after the last. */
static bool is_arrived(const struct live_bpf *skeleton, int side, uint32_t count, int patience_ms)
{
	const volatile struct live_bpf__bss *bss = skeleton->bss;
	uint32_t last = 0;

	for (int ms = 0; bss->received[side] < count && ms < patience_ms; ms++) {
		if (bss->received[side] != last)
			ms = 0;
		last = bss->received[side];
		usleep(1000);
	}
	return bss->received[side] >= count;
}

/* count: a power of two. */
static void fill_frames(struct live_frame *frames, uint32_t count, const struct flows *flows,
			uint8_t direction, uint8_t tcp_flags)
{
	struct frame frame;

	memset(frames, 0, count * sizeof(*frames));
	for (uint32_t i = 0; i < count; i++) {
		flows_arriving(flows, i, direction, tcp_flags, &frame);
		frame.mark = i;
		frame_build(&frame, (uint8_t *)&frames[i]);
	}
}

static void aim(struct live_bpf *skeleton, uint32_t count, const struct flows *flows,
		uint8_t tcp_flags)
{
	fill_frames(skeleton->bss->frames, count, flows, XDNAT_ORIGINAL, tcp_flags);
	skeleton->bss->frames_mask = count - 1;
	skeleton->bss->is_v6 = flows->is_v6;
}

/* What was kept of each flow, is it what had to arrive? */
static int check_seen(const struct live_bpf *skeleton, const struct lane *lane,
		      const struct flows *flows, int side, uint8_t tcp_flags)
{
	uint8_t want[BENCH_FRAME6_BYTES];
	struct frame frame;
	uint32_t bytes;

	for (uint32_t i = 0; i < LIVE_FLOWS; i++) {
		const uint8_t *got = (const uint8_t *)&skeleton->bss->seen[side][i];

		if (side == LIVE_SERVER) {
			flows_arriving(flows, i, XDNAT_ORIGINAL, tcp_flags, &frame);
			lane_leaving(lane, flows, i, &frame, &frame);
		} else {
			flows_arriving(flows, i, XDNAT_REPLY, ANSWER_FLAGS, &frame);
			flows_leaving(flows, i, XDNAT_REPLY, &frame, &frame);
		}
		frame.mark = i;
		bytes = frame_build(&frame, want);
		if (!memcmp(got, want, bytes))
			continue;
		fprintf(stderr, "%s: wrong live frame of flow %u\n", lane_name(lane->kind), i);
		frame_print(" got", got, bytes);
		frame_print("want", want, bytes);
		return -EBADMSG;
	}
	return 0;
}

/* Sends one packet of each flow, has them answered if task says so. */
static int exchange(struct live_bpf *skeleton, const struct lane *lane, const struct flows *flows,
		    uint8_t tcp_flags, uint32_t task)
{
	struct live_bpf__bss *bss = skeleton->bss;
	int err;

	aim(skeleton, LIVE_FLOWS, flows, tcp_flags);
	fill_frames(bss->answers, LIVE_FLOWS, flows, XDNAT_REPLY, ANSWER_FLAGS);
	memset(bss->seen, 0, sizeof(bss->seen));
	bss->task = task;
	err = send_frames(skeleton, lane, LIVE_FLOWS);
	if (err)
		return err;
	if (is_arrived(skeleton, LIVE_SERVER, LIVE_FLOWS, PATIENCE_MS) &&
	    (task != LIVE_ANSWER || is_arrived(skeleton, LIVE_CLIENT, LIVE_FLOWS, PATIENCE_MS)))
		return 0;
	fprintf(stderr, "%s: of %d live frames %u arrived, of their answers %u\n",
		lane_name(lane->kind), LIVE_FLOWS, bss->received[LIVE_SERVER],
		bss->received[LIVE_CLIENT]);
	return -EBADMSG;
}

static int check(struct live_bpf *skeleton, const struct lane *lane, const struct flows *flows,
		 uint64_t *checked)
{
	int err = exchange(skeleton, lane, flows, FRAME_TCP_ACK, LIVE_KEEP);

	*checked += LIVE_FLOWS;
	return err ? err : check_seen(skeleton, lane, flows, LIVE_SERVER, FRAME_TCP_ACK);
}

int live_check(struct live_bpf *skeleton, const struct lane *lane, const struct flows *flows,
	       uint64_t *checked)
{
	struct flows own = lane_flows(lane, flows);

	return check(skeleton, lane, &own, checked);
}

int live_settle(struct live_bpf *skeleton, const struct lane *lane, const struct flows *flows,
		uint64_t *checked)
{
	struct flows own = lane_flows(lane, flows);
	int err = 0;

	if (lane_translates(lane->kind)) {
		err = exchange(skeleton, lane, &own, FRAME_TCP_SYN, LIVE_ANSWER);
		if (!err)
			err = check_seen(skeleton, lane, &own, LIVE_SERVER, FRAME_TCP_SYN);
		if (!err)
			err = check_seen(skeleton, lane, &own, LIVE_CLIENT, FRAME_TCP_SYN);
		*checked += 2 * LIVE_FLOWS;
	}
	return err ? err : check(skeleton, lane, &own, checked);
}

int live_burst(struct live_bpf *skeleton, const struct lane *lane, const struct flows *flows,
	       struct live_burst *burst)
{
	const volatile struct live_bpf__bss *bss = skeleton->bss;
	struct flows own = lane_flows(lane, flows);
	/* The first warms up, the last frame stamps. */
	uint32_t count = (burst->chunks + 1) * LIVE_CHUNK + 1, chunks = burst->chunks, arrived;
	double spans[LIVE_CHUNKS_MAX];
	int err;

	aim(skeleton, burst->is_fresh ? LIVE_FRESH : LIVE_FLOWS, &own,
	    burst->is_fresh ? FRAME_TCP_SYN : FRAME_TCP_ACK);
	skeleton->bss->task = LIVE_COUNT;
	err = send_frames(skeleton, lane, count);
	if (err)
		return err;
	is_arrived(skeleton, LIVE_SERVER, count, SILENCE_MS);
	arrived = bss->received[LIVE_SERVER];
	burst->lost = arrived < count ? count - arrived : 0;
	if (arrived < 2 * LIVE_CHUNK + 1)
		return -ENETDOWN;
	if (chunks > (arrived - 1) / LIVE_CHUNK - 1)
		chunks = (arrived - 1) / LIVE_CHUNK - 1;
	for (uint32_t i = 0; i < chunks; i++)
		spans[i] = bss->stamps_ns[i + 2] - bss->stamps_ns[i + 1];
	burst->ns = rounds_median(spans, chunks) / LIVE_CHUNK;
	return 0;
}
