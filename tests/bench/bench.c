// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark: program time beside its floors, live frames beside a redirect and
 * nft, measured side by side; a table and JSON. A goal that is missed is printed;
 * only a wrong packet or a crooked scale fails.
 */
#include <stdio.h>
#include <string.h>

#include "network.h"
#include "rows.h"

#define JSON_PATH "build/bench.json"
#define XDNAT	  "build/xdnat"

struct mode {
	const char *option;
	uint32_t rounds;
	bool is_judged; /* of few rounds the scale is no witness */
};

static const struct mode modes[] = {
	{"", 31, true}, {"--quick", 7, false}, {"--check", 1, false}, /* packets only */
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

static int measure(struct report *report, uint32_t rounds)
{
	int err = network_privacy();

	if (err)
		return err;
	report->processor = rounds_settle();
	err = rows_program(report, rounds);
	return err ? err : rows_live(report, rounds, XDNAT);
}

int main(int argc, char **argv)
{
	const struct mode *mode = choose_mode(argc, argv);
	static struct report report;
	int err;

	if (!mode)
		return 2;
	err = measure(&report, mode->rounds);
	if (err) {
		fprintf(stderr, "cannot measure: %s\n", strerror(-err));
		return 1;
	}
	report_print(&report);
	fflush(stdout);
	err = report_write(&report, JSON_PATH);
	if (err)
		fprintf(stderr, "cannot write %s: %s\n", JSON_PATH, strerror(-err));
	if (mode->is_judged && !report_is_straight(&report)) {
		fprintf(stderr, "the scale is crooked: a program differs from itself\n");
		return 1;
	}
	return err ? 1 : 0;
}
