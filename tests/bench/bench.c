// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark: program time beside its floors, live frames beside a redirect and
 * nft, bulk TCP beside nft, measured side by side; a table and JSON. A goal that is
 * missed is printed; only a wrong packet or a crooked scale fails.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "network.h"
#include "rows.h"

#define XDNAT "build/xdnat"

struct mode {
	const char *option;
	const char *json;
	uint32_t rounds;
	uint32_t flows_max;
	bool is_timed;	/* else what others do meanwhile is all the same */
	bool is_judged; /* of few rounds the scale is no witness */
};

static const struct mode modes[] = {
	{"", "build/bench.json", 31, 4 << 20, true, true},
	{"--quick", "build/bench.json", 7, 65536, true, false},
	{"--check", "build/bench-check.json", 1, 4096, false, false}, /* packets only */
};

static const struct mode *choose_mode(int argc, char **argv)
{
	const char *option = argc > 1 ? argv[1] : "";

	for (size_t i = 0; argc <= 2 && i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(option, modes[i].option))
			return &modes[i];
	fprintf(stderr, "usage: %s [--quick | --check]\n", argv[0]);
	return NULL;
}

static int measure(struct report *report, const struct mode *mode)
{
	int err = network_privacy();

	if (err)
		return err;
	report->processor = rounds_settle(mode->is_timed);
	err = rows_program(report, mode->rounds, mode->flows_max);
	if (!err)
		err = rows_live(report, mode->rounds, XDNAT);
	if (!err)
		err = rows_fresh(report, mode->rounds, XDNAT);
	return err ? err : rows_bulk(report, mode->rounds, XDNAT);
}

int main(int argc, char **argv)
{
	const struct mode *mode = choose_mode(argc, argv);
	static struct report report;
	int err;

	if (!mode)
		return 2;
	err = measure(&report, mode);
	if (err) {
		fprintf(stderr, "cannot measure: %s%s\n", strerror(-err),
			err == -EPERM ? " (run it as root)" : "");
		return 1;
	}
	report_missed(&report);
	report_print(&report);
	fflush(stdout);
	err = report_write(&report, mode->json);
	if (err)
		fprintf(stderr, "cannot write %s: %s\n", mode->json, strerror(-err));
	if (mode->is_judged && !report_is_straight(&report)) {
		fprintf(stderr, "the scale is crooked: a program differs from itself\n");
		return 1;
	}
	return err ? 1 : 0;
}
