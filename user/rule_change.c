// SPDX-License-Identifier: GPL-2.0-only
#include "rule_change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "listener.h"
#include "log.h"
#include "rules_file.h"
#include "snat.h"
#include "target_port.h"

int rule_change_read_sources(struct rule_change *change)
{
	int err = 0;

	for (size_t i = 0; !err && i < change->added_count; i++) {
		const struct spec *spec = &change->added[i].spec;
		unsigned int families = spec_families(spec);

		if (!spec->enabled)
			continue;
		err = source_read("allow", spec->allow, families, &change->sources[i].allow);
		if (!err)
			err = source_read("deny", spec->deny, families, &change->sources[i].deny);
	}
	return err;
}

void rule_change_free(struct rule_change *change)
{
	for (size_t i = 0; change->sources && i < change->added_count; i++) {
		source_release(&change->sources[i].allow);
		source_release(&change->sources[i].deny);
	}
	free(change->sources);
	free(change->removed);
	free(change->added);
	free(change->was_enabled);
}

static int compare_keys(const void *left, const void *right)
{
	const struct store_rule *l = left, *r = right;

	return (l->key > r->key) - (l->key < r->key);
}

/* The rules as they will be. Sorts change->removed by key. */
static struct store_rule *rules_after(const struct rule_set *set, struct rule_change *change,
				      size_t *count)
{
	struct store_rule *rules = calloc(set->count + change->added_count + 1, sizeof(*rules));

	*count = 0;
	if (!rules)
		return NULL;
	qsort(change->removed, change->removed_count, sizeof(*rules), compare_keys);
	for (size_t i = 0; i < set->count; i++)
		if (!change->removed_count ||
		    !bsearch(&set->rules[i], change->removed, change->removed_count, sizeof(*rules),
			     compare_keys))
			rules[(*count)++] = set->rules[i];
	memcpy(rules + *count, change->added, change->added_count * sizeof(*rules));
	*count += change->added_count;
	return rules;
}

static int add_sources(struct store *store, const struct rule_change *change)
{
	int err = 0;

	for (size_t i = 0; !err && i < change->added_count; i++) {
		const struct store_rule *rule = &change->added[i];

		if (rule->spec.enabled && spec_has_sources(&rule->spec))
			err = store_prefixes_add(store, rule->key, &change->sources[i]);
	}
	return err;
}

/* Everything up to the moment from which it holds. */
static int prepare_and_commit(struct store *store, const struct rule_set *set,
			      struct rule_change *change)
{
	struct store_rule *rules = NULL;
	bool is_swap = false;
	size_t count;
	int err;

	err = store_change_add(store, change->added, change->added_count);
	if (!err)
		err = add_sources(store, change);
	if (!err)
		err = store_change_remove(store, change->removed, change->removed_count);
	if (err)
		return err;
	rules = rules_after(set, change, &count);
	err = rules ? snat_sync(store, rules, count) : fail(-ENOMEM, "no memory for the rules");
	if (!err)
		err = listener_prepare(store, rules, count, &is_swap);
	free(rules);
	return err ? err : store_change_commit(store, is_swap);
}

/* What comes once the rules hold: the leak guard forgets those that went, and the copy
 * of the rules is written. */
static int finish(const struct instance *instance, struct store *store)
{
	struct store_rule *rules = NULL;
	size_t count;
	int err = store_rules(store, &rules, &count);

	if (!err)
		err = target_port_prune(store, rules, count);
	if (!err)
		err = rules_file_write(instance, rules, count);
	free(rules);
	return err;
}

/* Sees to it that the rules that hold are in force: the command before may have been
 * cut short. */
static int refresh(const struct instance *instance, struct store *store)
{
	int err = listener_sync(store);

	if (!err)
		err = snat_follow(store);
	if (!err && finish(instance, store))
		log_warning("%s", fail_text());
	return err;
}

int rule_change_refresh_after(const struct instance *instance, struct store *store, int err)
{
	char why[FAIL_TEXT_BYTES];

	snprintf(why, sizeof(why), "%s", fail_text());
	if (refresh(instance, store))
		log_warning("and the rules could not be put in force: %s", fail_text());
	return fail(err, "%s", why);
}

int rule_change_apply(const struct instance *instance, struct store *store,
		      const struct rule_set *set, struct rule_change *change)
{
	int err;

	if (!change->added_count && !change->removed_count)
		return refresh(instance, store);
	err = store_change_settle(store);
	if (!err)
		err = prepare_and_commit(store, set, change);
	if (err)
		return rule_change_refresh_after(instance, store, err);
	if (store_change_settle(store))
		log_warning("%s", fail_text());
	if (finish(instance, store))
		log_warning("%s", fail_text());
	return 0;
}
