// SPDX-License-Identifier: GPL-2.0-only
/*
 * For eyes: the same live frames through nft DNAT and through xdnat, in turns, the
 * rates side by side. `make bench` is the measurement.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "live.h"
#include "rounds.h"

#define XDNAT	   "build/xdnat"
#define SECONDS	   4
#define BURSTS_MAX 4096
#define KINDS	   2

/* Bursts of about the same time. */
struct runner {
	enum lane_kind kind;
	uint32_t chunks;
	struct lane lane;
	double ns[BURSTS_MAX]; /* a frame, burst by burst */
};

static double now_sec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Millions of frames a second in the bursts since one. */
static double rate(const struct runner *runner, uint32_t from, uint32_t to)
{
	double ns[BURSTS_MAX];

	memcpy(ns, &runner->ns[from], (to - from) * sizeof(*ns));
	return 1000 / rounds_median(ns, to - from);
}

static void show(const struct runner *runners, double second, uint32_t from, uint32_t to)
{
	double nft = rate(&runners[0], from, to), ours = rate(&runners[1], from, to);

	printf("  %6.1f  %14.2f  %14.2f  %10.1f x%s", second, nft, ours, ours / nft,
	       isatty(STDOUT_FILENO) ? "\r" : "\n");
	fflush(stdout);
}

static void show_all(const struct runner *runners, uint32_t bursts, uint64_t lost)
{
	double nft = rate(&runners[0], 0, bursts), ours = rate(&runners[1], 0, bursts);

	if (isatty(STDOUT_FILENO))
		printf("\n");
	printf("\n  %-10s  %12s  %12s\n", "", "packets/s", "ns a packet");
	printf("  %-10s  %10.2f M  %12.0f\n", "nft DNAT", nft, 1000 / nft);
	printf("  %-10s  %10.2f M  %12.0f   %.1f x\n", "xdnat", ours, 1000 / ours, ours / nft);
	if (lost)
		printf("  %llu packets were lost\n", (unsigned long long)lost);
}

static int prepare(struct live_bpf *skeleton, struct runner *runners, const struct flows *flows)
{
	uint64_t checked = 0;
	int err = 0;

	for (int i = 0; !err && i < KINDS; i++) {
		err = lane_make(&runners[i].lane, runners[i].kind, skeleton, XDNAT);
		if (!err)
			err = live_settle(skeleton, &runners[i].lane, flows, &checked);
	}
	return err;
}

static int run(struct live_bpf *skeleton, struct runner *runners, const struct flows *flows)
{
	double start = now_sec(), shown = start, pause = isatty(STDOUT_FILENO) ? 0.3 : 1;
	uint32_t bursts = 0, from = 0;
	uint64_t lost = 0;
	int err = 0;

	printf("  %6s  %14s  %14s\n", "second", "nft DNAT, M/s", "xdnat, M/s");
	while (now_sec() - start < SECONDS && bursts < BURSTS_MAX) {
		for (int i = 0; !err && i < KINDS; i++) {
			struct live_burst burst = {.chunks = runners[i].chunks};

			err = live_burst(skeleton, &runners[i].lane, flows, &burst);
			runners[i].ns[bursts] = burst.ns;
			lost += burst.lost;
		}
		if (err)
			return err;
		bursts++;
		if (now_sec() - shown < pause)
			continue;
		shown = now_sec();
		show(runners, shown - start, from, bursts);
		from = bursts;
	}
	show_all(runners, bursts, lost);
	return 0;
}

int main(void)
{
	static struct runner runners[KINDS] = {
		{.kind = LANE_NFT, .chunks = 15},
		{.kind = LANE_XDNAT, .chunks = LIVE_CHUNKS_MAX},
	};
	static const struct flows flows = {.count = LIVE_FLOWS};
	struct live_bpf *skeleton = NULL;
	int err = network_privacy();

	if (!err)
		err = live_open(&skeleton);
	if (!err)
		err = prepare(skeleton, runners, &flows);
	if (!err) {
		rounds_settle(true);
		err = run(skeleton, runners, &flows);
	}
	live_bpf__destroy(skeleton);
	if (err)
		fprintf(stderr, "cannot compare with nft: %s\n", strerror(-err));
	return err ? 1 : 0;
}
