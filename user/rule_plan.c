// SPDX-License-Identifier: GPL-2.0-only
/*
 * Planning goes over sorted lists, so that ten thousand rules meet ten thousand
 * others in a moment.
 */
#include "rule_plan.h"

#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "rule_overlap.h"

/* What a plan is made of. */
struct plan {
	const struct rule_set *set;
	const struct rule_wanted **order; /* the wanted ones, by listener */
	size_t count;
	bool *gone;	    /* as set->rules; unset again for what stays */
	const char **names; /* of all rules that will be there */
	const struct spec **specs;
	struct rule_change *change;
};

static int compare_wanted(const void *left, const void *right)
{
	const struct rule_wanted *const *l = left, *const *r = right;
	int order = spec_compare(&(*l)->spec, &(*r)->spec);

	return order ? order : ((*l)->line > (*r)->line) - ((*l)->line < (*r)->line);
}

static int compare_rule_to_spec(const void *spec, const void *rule)
{
	return spec_compare(spec, &((const struct store_rule *)rule)->spec);
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* "line 17: " before what went wrong with a line of a file. */
static int fail_line(int err, unsigned int line)
{
	return line ? fail_while(err, "line %u", line) : err;
}

static int fail_taken(const struct rule_wanted *wanted, const struct spec *other)
{
	char target[SPEC_LISTENER_BYTES], listener[SPEC_LISTENER_BYTES];
	char name[SPEC_QUOTED_BYTES(SPEC_NAME_BYTES)];
	struct spec enabled = *other;
	int err;

	spec_format_target(other, target);
	spec_format_listener(other, listener);
	spec_quote(other->name, name);
	enabled.enabled = wanted->spec.enabled;
	if (spec_equal(&enabled, &wanted->spec))
		err = fail(-EEXIST, "rule %s is there and %s; type: xdnat rule %s %s", other->name,
			   other->enabled ? "enabled" : "disabled",
			   other->enabled ? "disable" : "enable", name);
	else
		err = fail(-EEXIST,
			   "%s is already forwarded by rule %s to %s%s; to change it: "
			   "xdnat rule replace %s RULE, to delete it: xdnat rule del %s",
			   listener, other->name, target, other->enabled ? "" : " (disabled)", name,
			   name);
	return fail_line(err, wanted->line);
}

static int fail_twice(const struct rule_wanted *wanted, const struct rule_wanted *other)
{
	char listener[SPEC_LISTENER_BYTES];

	spec_format_listener(&wanted->spec, listener);
	return fail_line(
		fail(-EEXIST, "%s is forwarded otherwise by line %u", listener, other->line),
		wanted->line);
}

static const struct rule_wanted *wanted_name(const struct plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->count; i++)
		if (!strcmp(plan->order[i]->spec.name, name))
			return plan->order[i];
	return NULL;
}

/* Two rules have a port in common, and one of them at least is wanted: it is the later
 * one, since those that are there come first. */
static int fail_overlap(const struct plan *plan, const struct spec *first,
			const struct spec *second)
{
	const struct rule_wanted *wanted = wanted_name(plan, second->name);
	char first_text[SPEC_LISTENER_BYTES], second_text[SPEC_LISTENER_BYTES];
	char target[SPEC_LISTENER_BYTES], name[SPEC_QUOTED_BYTES(SPEC_NAME_BYTES)];

	spec_format_listener(first, first_text);
	spec_format_listener(second, second_text);
	spec_format_target(first, target);
	spec_quote(first->name, name);
	return fail_line(fail(-EEXIST,
			      "%s overlaps rule %s, which forwards %s to %s; leave out what both "
			      "have%s, or type: xdnat rule del %s",
			      second_text, first->name, first_text, target,
			      second->form == SPEC_EXACT ? "" : " (except=)", name),
			 wanted ? wanted->line : 0);
}

/* present: the rule of that listener which goes, or NULL. */
static void add(struct plan *plan, const struct spec *spec, const struct store_rule *present)
{
	struct rule_change *change = plan->change;
	bool is_same = present && spec_same_row(&present->spec, spec);

	change->was_enabled[change->added_count] = is_same && present->spec.enabled;
	change->added[change->added_count++] =
		(struct store_rule){.id = is_same ? present->id : 0, .spec = *spec};
}

/* Its prefixes may be others than when they were last read. */
static bool may_have_changed(const struct spec *spec)
{
	return spec->enabled && (source_is_file(spec->allow) || source_is_file(spec->deny));
}

/* The next wanted rule beside the one of that listener which is there. */
static int plan_one(struct plan *plan, const struct rule_wanted *wanted)
{
	const struct rule_set *set = plan->set;
	const struct store_rule *present =
		set->count ? bsearch(&wanted->spec, set->rules, set->count, sizeof(*set->rules),
				     compare_rule_to_spec)
			   : NULL;
	size_t at = present ? present - set->rules : 0;

	if (present && spec_equal(&present->spec, &wanted->spec) &&
	    !(plan->gone[at] && may_have_changed(&wanted->spec))) {
		plan->gone[at] = false;
		plan->change->unchanged++;
		return 0;
	}
	if (present && !plan->gone[at])
		return fail_taken(wanted, &present->spec);
	plan->change->changed += present != NULL;
	add(plan, &wanted->spec, present);
	return 0;
}

static int plan_listeners(struct plan *plan)
{
	int err = 0;

	for (size_t i = 0; !err && i < plan->count; i++) {
		const struct rule_wanted *wanted = plan->order[i];
		const struct rule_wanted *before = i ? plan->order[i - 1] : NULL;

		if (!before || !spec_same_listener(&before->spec, &wanted->spec))
			err = plan_one(plan, wanted);
		else if (!spec_equal(&before->spec, &wanted->spec))
			err = fail_twice(wanted, before);
	}
	return err;
}

/* name: of two rules that would be there, one of them wanted. */
static int fail_name(const struct plan *plan, const char *name)
{
	const struct rule_wanted *wanted = wanted_name(plan, name);
	char target[SPEC_LISTENER_BYTES];

	for (size_t i = 0; i < plan->set->count; i++) {
		const struct spec *other = &plan->set->rules[i].spec;

		if (plan->gone[i] || strcmp(other->name, name))
			continue;
		spec_format_target(other, target);
		return fail_line(fail(-EEXIST,
				      "the name %s is that of the rule to %s; give another with "
				      "name=NAME",
				      name, target),
				 wanted ? wanted->line : 0);
	}
	return fail_line(fail(-EEXIST, "the name %s is given to two rules", name),
			 wanted ? wanted->line : 0);
}

/* Notes what goes, and that no two of the others have one name. */
static int plan_names(struct plan *plan)
{
	const struct rule_set *set = plan->set;
	struct rule_change *change = plan->change;
	size_t count = 0;

	for (size_t i = 0; i < set->count; i++)
		if (plan->gone[i])
			change->removed[change->removed_count++] = set->rules[i];
		else
			plan->names[count++] = set->rules[i].spec.name;
	for (size_t i = 0; i < change->added_count; i++)
		plan->names[count++] = change->added[i].spec.name;
	qsort(plan->names, count, sizeof(*plan->names), compare_names);
	for (size_t i = 1; i < count; i++)
		if (!strcmp(plan->names[i - 1], plan->names[i]))
			return fail_name(plan, plan->names[i]);
	if (count > XDNAT_RULES_MAX)
		return fail(-EINVAL, "that would be %zu rules; there can be %u", count,
			    XDNAT_RULES_MAX);
	return 0;
}

/* Of the rules that will be there no two have a port in common, but by precedence. */
static int plan_overlaps(struct plan *plan)
{
	const struct rule_change *change = plan->change;
	struct rule_overlap overlap;
	size_t count = 0;
	int found;

	for (size_t i = 0; i < plan->set->count; i++)
		if (!plan->gone[i])
			plan->specs[count++] = &plan->set->rules[i].spec;
	for (size_t i = 0; i < change->added_count; i++)
		plan->specs[count++] = &change->added[i].spec;
	found = rule_overlap_find(plan->specs, count, &overlap);
	return found > 0
		       ? fail_overlap(plan, plan->specs[overlap.first], plan->specs[overlap.second])
		       : found;
}

static int plan_alloc(struct plan *plan, size_t count)
{
	size_t present = plan->set->count;

	plan->order = calloc(count + 1, sizeof(*plan->order));
	plan->gone = calloc(present + 1, sizeof(*plan->gone));
	plan->names = calloc(present + count + 1, sizeof(*plan->names));
	plan->specs = calloc(present + count + 1, sizeof(*plan->specs));
	plan->change->added = calloc(count + 1, sizeof(*plan->change->added));
	plan->change->sources = calloc(count + 1, sizeof(*plan->change->sources));
	plan->change->removed = calloc(present + 1, sizeof(*plan->change->removed));
	plan->change->was_enabled = calloc(count + 1, sizeof(*plan->change->was_enabled));
	if (plan->change->was_enabled && plan->order && plan->gone && plan->names && plan->specs &&
	    plan->change->added && plan->change->sources && plan->change->removed)
		return 0;
	return fail(-ENOMEM, "no memory for %zu rules", present + count);
}

int rule_plan(const struct rule_set *set, const bool *gone, const struct rule_wanted *wanted,
	      size_t count, struct rule_change *change)
{
	struct plan plan = {.set = set, .count = count, .change = change};
	int err = plan_alloc(&plan, count);

	if (err)
		goto out;
	memcpy(plan.gone, gone, set->count * sizeof(*gone));
	for (size_t i = 0; i < count; i++)
		plan.order[i] = &wanted[i];
	qsort(plan.order, count, sizeof(*plan.order), compare_wanted);
	err = plan_listeners(&plan);
	if (!err)
		err = plan_overlaps(&plan);
	if (!err)
		err = plan_names(&plan);
out:
	free(plan.order);
	free(plan.gone);
	free(plan.names);
	free(plan.specs);
	return err;
}
