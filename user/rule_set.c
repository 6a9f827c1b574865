// SPDX-License-Identifier: GPL-2.0-only
/*
 * A snapshot of the rules. Prints nothing and changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "progress.h"
#include "rule_set.h"

static int compare_ids(const void *left, const void *right, void *rules)
{
	uint32_t left_id = ((struct store_rule *)rules)[*(const size_t *)left].id;
	uint32_t right_id = ((struct store_rule *)rules)[*(const size_t *)right].id;

	return (left_id > right_id) - (left_id < right_id);
}

int rule_set_read(const struct store *store, struct rule_set *set)
{
	size_t i;
	int err;

	err = store_rules(store, &set->rules, &set->count);
	if (err)
		return err;
	set->by_id = calloc(set->count + 1, sizeof(*set->by_id));
	set->totals = calloc(set->count + 1, sizeof(*set->totals));
	if (!set->by_id || !set->totals)
		return fail(-ENOMEM, "no memory for %zu rules", set->count);
	for (i = 0; i < set->count; i++)
		set->by_id[i] = i;
	qsort_r(set->by_id, set->count, sizeof(*set->by_id), compare_ids, set->rules);
	return 0;
}

static void rule_set_free(struct rule_set *set)
{
	free(set->totals);
	free(set->by_id);
	free(set->rules);
}

int rule_set_open(const struct instance *instance, struct store **store, struct rule_set *set)
{
	int err = store_open(instance, store);

	return err ? err : rule_set_read(*store, set);
}

void rule_set_close(struct store *store, struct rule_set *set)
{
	rule_set_free(set);
	store_close(store);
}

const struct store_rule *rule_set_find(const struct rule_set *set, uint32_t id)
{
	size_t low = 0;
	size_t high = set->count;
	size_t middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (set->rules[set->by_id[middle]].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == set->count || set->rules[set->by_id[low]].id != id)
		return NULL;
	return &set->rules[set->by_id[low]];
}

static void add_ended(const struct xdnat_rule *rule, struct rule_totals *totals)
{
	int direction;

	totals->flows_made = rule->flows_made;
	for (direction = 0; direction < XDNAT_DIRECTIONS; direction++) {
		totals->packets[direction] = rule->ended_packets[direction];
		totals->bytes[direction] = rule->ended_bytes[direction];
	}
}

static int add_flow(const struct store_flow *flow, void *context)
{
	struct rule_set *set = context;
	const struct store_rule *rule = rule_set_find(set, flow->rule);
	struct rule_totals *totals;
	int direction;

	if (flow->is_orphan)
		return 0;
	if (flow->is_v6)
		set->flows6++;
	else
		set->flows4++;
	progress_step(set->flows4 + set->flows6, 0);
	if (!rule)
		return 0;
	totals = &set->totals[rule - set->rules];
	totals->flows_live += !flow->expired;
	for (direction = 0; direction < XDNAT_DIRECTIONS; direction++) {
		totals->packets[direction] += flow->packets[direction];
		totals->bytes[direction] += flow->bytes[direction];
	}
	return 0;
}

int rule_set_count(const struct store *store, struct rule_set *set)
{
	size_t i;
	int err;

	for (i = 0; i < set->count; i++)
		add_ended(&set->rules[i].rule, &set->totals[i]);
	progress_begin("reading flows");
	err = store_flows_each(store, add_flow, set);
	progress_end();
	return err;
}

static const struct store_rule *find_name(const struct rule_set *set, const char *name)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		if (strcmp(set->rules[i].spec.name, name) == 0)
			return &set->rules[i];
	return NULL;
}

/* Two rules may show the same listener: one for each family. */
static int find_listener(const struct rule_set *set, const char *text,
			 const struct store_rule **rule)
{
	char listener[SPEC_LISTENER_BYTES];
	size_t i;

	for (i = 0; i < set->count; i++) {
		spec_format_listener(&set->rules[i].spec, listener);
		if (strcmp(listener, text) != 0)
			continue;
		if (*rule)
			return fail(-EUSAGE,
				    "'%s' is the listener of two rules; say which: %s or %s", text,
				    (*rule)->spec.name, set->rules[i].spec.name);
		*rule = &set->rules[i];
	}
	return 0;
}

static const struct store_rule *find_spec(const struct rule_set *set, const struct spec *spec)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		if (spec_same_listener(&set->rules[i].spec, spec) &&
		    spec_same_target(&set->rules[i].spec, spec))
			return &set->rules[i];
	return NULL;
}

/* Which of the rules have the port that a word is; what people type for a name. */
static int fail_no_rule(const struct rule_set *set, const char *word)
{
	char names[FAIL_TEXT_BYTES / 4] = "";
	size_t used = 0;
	uint16_t port_host;

	if (port_parse(word, &port_host) == 0)
		for (size_t i = 0; i < set->count && used < sizeof(names); i++)
			if (spec_has_port(&set->rules[i].spec, port_host))
				used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
							 used ? ", " : "", set->rules[i].spec.name);
	if (used)
		return fail(-ENOENT, "there is no rule '%s'; port %s has: %s%s", word, word, names,
			    used < sizeof(names) ? "" : "...");
	return fail(-ENOENT, "there is no rule '%s'; see their names: xdnat rule list", word);
}

int rule_set_match(const struct rule_set *set, const char *const *words, size_t count,
		   const struct store_rule **rule)
{
	struct spec spec;
	int err;

	*rule = NULL;
	if (count > 1 && !strchr(words[0], ':'))
		return fail(-EUSAGE, "one rule at a time, but after '%s' comes '%s'", words[0],
			    words[1]);
	if (count == 1) {
		*rule = find_name(set, words[0]);
		err = *rule ? 0 : find_listener(set, words[0], rule);
		if (err || *rule)
			return err;
	}
	/* What cannot be parsed is no rule that is there: the answer is the same. */
	if (strchr(words[0], ':') && spec_parse(words, count, &spec) == 0)
		*rule = find_spec(set, &spec);
	if (*rule)
		return 0;
	return fail_no_rule(set, words[0]);
}
