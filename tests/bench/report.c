// SPDX-License-Identifier: GPL-2.0-only
#include "report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench_abi.h"

#define SELF_TOLERANCE 0.03

void report_add(struct report *report, const struct score *score)
{
	if (report->count < REPORT_SCORES_MAX)
		report->scores[report->count++] = *score;
}

void report_note(struct report *report, const char *format, ...)
{
	va_list list;

	if (report->notes_count == REPORT_NOTES_MAX)
		return;
	va_start(list, format);
	vsnprintf(report->notes[report->notes_count++], REPORT_NOTE_BYTES, format, list);
	va_end(list);
}

static bool is_crooked(const struct score *score)
{
	return score->kind == SCORE_SELF && score->result.is_valid &&
	       fabs(score->result.value - 1) > SELF_TOLERANCE;
}

bool report_is_straight(const struct report *report)
{
	for (uint32_t i = 0; i < report->count; i++)
		if (is_crooked(&report->scores[i]))
			return false;
	return true;
}

const char *report_judge(const struct score *score)
{
	double value = score->result.value;

	if (!score->result.is_valid)
		return "invalid";
	if (score->kind == SCORE_SELF)
		return is_crooked(score) ? "crooked" : "ok";
	if (!score->goal)
		return "-";
	if (score->kind == SCORE_AT_LEAST)
		return value >= score->goal ? "ok" : "under";
	return value <= score->goal ? "ok" : "over";
}

static const char *unit_of(const struct score *score)
{
	if (score->kind == SCORE_BYTES)
		return " B";
	return score->kind == SCORE_ADDED_NS ? " ns" : "";
}

static void describe_goal(const struct score *score, char *text, size_t bytes)
{
	const char *unit = unit_of(score);

	if (score->kind == SCORE_SELF)
		snprintf(text, bytes, "1.00");
	else if (!score->goal)
		snprintf(text, bytes, "-");
	else
		snprintf(text, bytes, "%s %g%s",
			 score->kind == SCORE_AT_LEAST ? ">=" : "<=", score->goal, unit);
}

static void print_score(const struct score *score)
{
	const struct result *result = &score->result;
	char goal[32], value[16], interval[32];

	int decimals = strcmp(score->measured_in, "ns") ? 2 : 1;

	if (score->kind == SCORE_BYTES)
		decimals = 0;
	describe_goal(score, goal, sizeof(goal));
	snprintf(value, sizeof(value), "%.*f%s", score->kind == SCORE_BYTES ? 0 : 2, result->value,
		 unit_of(score));
	snprintf(interval, sizeof(interval), "%.2f-%.2f", result->low, result->high);
	printf("%-24s %-11s %7u %8.*f %8.*f  %9s  %-13s %-8s %-8s %u/%u\n", score->packet,
	       score->against, score->flows, decimals, result->ours, decimals, result->other, value,
	       interval, goal, report_judge(score), result->rounds - result->dropped,
	       result->rounds);
}

void report_print(const struct report *report)
{
	const struct score *score = report->scores, *last = NULL;

	for (uint32_t i = 0; i < report->count; last = score++, i++) {
		if (!last || strcmp(score->section, last->section))
			printf("\n%s\n%-24s %-11s %7s %8s %8s  %9s  %-13s %-8s %-8s %s\n",
			       score->section, "packet", "against", "flows", "ours", "theirs",
			       "ratio", "95 %", "goal", "", "rounds kept");
		print_score(score);
	}
	printf("\n");
	for (uint32_t i = 0; i < report->notes_count; i++)
		printf("%s\n", report->notes[i]);
	printf("A row is invalid if more than %d %% of its rounds were disturbed "
	       "(steal, involuntary switches).\n"
	       "Frames have %d bytes, IPv6's %d. Generator, router and sink: all on processor %d.\n"
	       "%llu packets were compared byte by byte.\n",
	       ROUNDS_DROPPED_PERCENT, BENCH_FRAME4_BYTES, BENCH_FRAME6_BYTES, report->processor,
	       (unsigned long long)report->packets_checked);
}

static const char *word_of(const struct result *result)
{
	if (!result->is_valid)
		return "invalid";
	if (result->high < 1)
		return "faster";
	return result->low > 1 ? "slower" : "as fast";
}

void report_verdict(struct report *report)
{
	uint32_t rows = 0, valid = 0, faster = 0;

	for (uint32_t i = 0; i < report->count; i++) {
		const struct score *score = &report->scores[i];
		const struct result *result = &score->result;

		if (strcmp(score->against, REPORT_HASH) || score->kind != SCORE_AT_MOST)
			continue;
		rows++;
		valid += result->is_valid;
		faster += result->is_valid && result->high < 1;
		report_note(report, "Flow table / kernel hash, %s, %u flows: %.2f (%.2f-%.2f), %s",
			    score->packet, score->flows, result->value, result->low, result->high,
			    word_of(result));
	}
	report_note(report,
		    "Verdict: the flow table is faster than the kernel hash in %u of %u rows "
		    "(%u invalid).",
		    faster, rows, rows - valid);
}

void report_missed(struct report *report)
{
	uint32_t rows = 0, missed = 0;
	char goal[32];

	for (uint32_t i = 0; i < report->count; i++) {
		const struct score *score = &report->scores[i];
		const char *verdict = report_judge(score);

		rows += score->kind != SCORE_SELF && score->goal && score->result.is_valid;
		if (strcmp(verdict, "over") && strcmp(verdict, "under"))
			continue;
		missed++;
		describe_goal(score, goal, sizeof(goal));
		report_note(report, "Missed: %s against %s, %u flows: %.2f%s, goal %s, %.2f of it",
			    score->packet, score->against, score->flows, score->result.value,
			    unit_of(score), goal, score->result.value / score->goal);
	}
	report_note(report, "Goals missed: %u of %u. README says what was tried.", missed, rows);
}

static json_t *json_score(const struct score *score)
{
	static const char *const units[] = {[SCORE_AT_MOST] = "ratio",
					    [SCORE_AT_LEAST] = "ratio",
					    [SCORE_ADDED_NS] = "ns added",
					    [SCORE_BYTES] = "bytes",
					    [SCORE_SELF] = "ratio"};
	const struct result *result = &score->result;

	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:f, s:f, s:s, s:f, s:f, s:f, s:f, s:s, s:i, "
			 "s:i}",
			 "section", score->section, "packet", score->packet, "against",
			 score->against, "flows", score->flows, "measured_in", score->measured_in,
			 "ours", result->ours, "theirs", result->other, "unit", units[score->kind],
			 "value", result->value, "low", result->low, "high", result->high, "goal",
			 score->goal, "verdict", report_judge(score), "rounds", result->rounds,
			 "dropped", result->dropped);
}

int report_write(const struct report *report, const char *path)
{
	json_t *root = json_object(), *rows = json_array(), *notes = json_array();
	struct utsname host = {};
	int err;

	uname(&host);
	for (uint32_t i = 0; i < report->count; i++)
		json_array_append_new(rows, json_score(&report->scores[i]));
	for (uint32_t i = 0; i < report->notes_count; i++)
		json_array_append_new(notes, json_string(report->notes[i]));
	json_object_set_new(root, "version", json_integer(2));
	json_object_set_new(root, "kernel", json_string(host.release));
	json_object_set_new(root, "machine", json_string(host.machine));
	json_object_set_new(root, "processor", json_integer(report->processor));
	json_object_set_new(root, "packets_checked", json_integer(report->packets_checked));
	json_object_set_new(root, "rows", rows);
	json_object_set_new(root, "notes", notes);
	err = json_dump_file(root, path, JSON_INDENT(2)) ? -EIO : 0;
	json_decref(root);
	return err;
}
