/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was measured, as a table and as JSON. A goal that is missed is printed like
 * one that is met.
 */
#ifndef REPORT_H
#define REPORT_H

#include "rounds.h"

#define REPORT_SCORES_MAX 192
#define REPORT_NOTES_MAX  224
#define REPORT_NOTE_BYTES 256

#define REPORT_HASH "kernel hash" /* against: what the flow table is measured against */

enum score_kind { SCORE_AT_MOST, SCORE_AT_LEAST, SCORE_ADDED_NS, SCORE_BYTES, SCORE_SELF };

struct score {
	const char *section;
	const char *packet;
	const char *against;
	const char *measured_in; /* what ours and the other are */
	uint32_t flows;
	enum score_kind kind;
	double goal; /* 0: none */
	struct result result;
};

struct report {
	struct score scores[REPORT_SCORES_MAX]; /* those of a section stand together */
	uint32_t count;
	char notes[REPORT_NOTES_MAX][REPORT_NOTE_BYTES];
	uint32_t notes_count;
	uint64_t packets_checked; /* byte by byte */
	int processor;
};

void report_add(struct report *report, const struct score *score);
void report_note(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Notes what the rows against REPORT_HASH say about the flow table. */
void report_verdict(struct report *report);
/* Notes the goals that are missed, and by how much. */
void report_missed(struct report *report);
/* "ok", "over", "under", "crooked", "invalid" or "-". */
const char *report_judge(const struct score *score);
/* False: a thing differs from itself, on a machine that was quiet enough. */
bool report_is_straight(const struct report *report);
void report_print(const struct report *report);
/* 0 or -errno. */
int report_write(const struct report *report, const char *path);

#endif
