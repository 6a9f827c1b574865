// SPDX-License-Identifier: GPL-2.0-only
#include "progress.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#define PATIENCE_MS 2000
#define RENEW_MS    250

static bool is_enabled;
static const char *work; /* NULL: none */
static int64_t next_ms;
static int width; /* of the line that is shown */

/* Coarse (a few ms) and without a system call. */
static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_enable(void)
{
	is_enabled = true;
}

void progress_begin(const char *what)
{
	if (is_enabled && !work)
		next_ms = now_ms() + PATIENCE_MS;
	work = what;
}

/* Blanks cover what a longer line left. */
static void show(uint64_t done, uint64_t total)
{
	char text[120];
	int length;

	if (total)
		length = snprintf(text, sizeof(text),
				  "%s: %" PRIu64 " of %" PRIu64 " (%" PRIu64 " %%)", work, done,
				  total, done * 100 / total);
	else
		length = snprintf(text, sizeof(text), "%s: %" PRIu64, work, done);
	fprintf(stderr, "\r%-*s", width, text);
	fflush(stderr);
	width = length > width ? length : width;
}

void progress_step(uint64_t done, uint64_t total)
{
	int64_t now;

	if (!is_enabled || !work)
		return;
	now = now_ms();
	if (now < next_ms)
		return;
	next_ms = now + RENEW_MS;
	show(done, total);
}

void progress_end(void)
{
	if (width)
		fprintf(stderr, "\r%*s\r", width, "");
	width = 0;
	work = NULL;
}
