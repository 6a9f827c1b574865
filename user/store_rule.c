// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's rules: reading those that hold. store_change.c changes them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "store_maps.h"

/* Each takes a few milliseconds, a change some twenty. */
#define READ_TRIES 100

static int compare_rules(const void *left, const void *right)
{
	const struct store_rule *l = left, *r = right;

	return spec_compare(&l->spec, &r->spec);
}

static int compare_keys(const void *left, const void *right)
{
	const struct store_rule *l = left, *r = right;

	return (l->key > r->key) - (l->key < r->key);
}

static int compare_words(const void *left, const void *right)
{
	const uint32_t *l = left, *r = right;

	return (*l > *r) - (*l < *r);
}

bool store_spec_holds(const struct xdnat_spec *spec, uint32_t generation)
{
	return spec->since <= generation && (!spec->until || spec->until > generation);
}

int store_rule_maps_read(const struct store *store, struct store_rule_maps *maps)
{
	int err;

	*maps = (struct store_rule_maps){
		.specs.sizes = {sizeof(uint32_t), sizeof(struct xdnat_spec)},
		.rows.sizes = {sizeof(uint32_t), sizeof(struct xdnat_rule)},
	};
	err = store_map_read(store->maps[STORE_SPECS], &maps->specs);
	if (!err)
		err = store_map_read(store->maps[STORE_RULES], &maps->rows);
	if (!err && maps->rows.count)
		qsort(maps->rows.entries, maps->rows.count, store_entry_bytes(&maps->rows.sizes),
		      compare_words);
	return err;
}

void store_rule_maps_free(struct store_rule_maps *maps)
{
	free(maps->specs.entries);
	free(maps->rows.entries);
}

/* The entry that starts with word, items being sorted by it; NULL if there is none. */
static const void *find_word(uint32_t word, const void *items, size_t count, size_t item_bytes)
{
	return count ? bsearch(&word, items, count, item_bytes, compare_words) : NULL;
}

static int parse_spec(const struct store_known *known, const char *text, struct store_rule *rule)
{
	const struct store_rule *same = known->count ? bsearch(rule, known->rules, known->count,
							       sizeof(*same), compare_keys)
						     : NULL;
	int err = 0;

	if (same)
		rule->spec = same->spec;
	else
		err = spec_parse_line(text, &rule->spec);
	return err ? fail_while(err, "rule %u in the map", rule->id) : 0;
}

/* Failing to is no loss. rules: as they were made, by whatever order. */
static void remember(struct store_known *known, const struct store_rule *rules, size_t count)
{
	struct store_rule *copy = malloc(count * sizeof(*copy) + 1);

	if (!copy)
		return;
	memcpy(copy, rules, count * sizeof(*copy));
	qsort(copy, count, sizeof(*copy), compare_keys);
	free(known->rules);
	*known = (struct store_known){.rules = copy, .count = count};
}

/* entry: of SPECS. 1 if the rule is there as a whole and holds. */
static int make_rule(const struct store_known *known, const char *entry, uint32_t generation,
		     const struct store_rule_maps *maps, struct store_rule *rule)
{
	const struct xdnat_spec *spec = (const void *)(entry + sizeof(uint32_t));
	const char *row;
	int err;

	if (!store_spec_holds(spec, generation))
		return 0;
	row = find_word(spec->rule, maps->rows.entries, maps->rows.count,
			store_entry_bytes(&maps->rows.sizes));
	if (!row)
		return 0;
	memcpy(&rule->key, entry, sizeof(rule->key));
	rule->id = spec->rule;
	memcpy(&rule->rule, row + sizeof(uint32_t), sizeof(rule->rule));
	err = parse_spec(known, spec->text, rule);
	return err ? err : 1;
}

/* In listener order; *rules is malloc'd. */
static int make_rules(struct store_known *known, const struct store_rule_maps *maps,
		      uint32_t generation, struct store_rule **rules, size_t *count)
{
	size_t entry_bytes = store_entry_bytes(&maps->specs.sizes);
	struct store_rule *made = calloc(maps->specs.count + 1, sizeof(*made));
	int status = 0;

	if (!made)
		return fail(-ENOMEM, "no memory for %zu rules", maps->specs.count);
	for (size_t i = 0; i < maps->specs.count && status >= 0; i++) {
		status = make_rule(known, maps->specs.entries + i * entry_bytes, generation, maps,
				   &made[*count]);
		*count += status > 0;
	}
	if (status < 0) {
		free(made);
		*count = 0;
		return status;
	}
	remember(known, made, *count);
	qsort(made, *count, sizeof(*made), compare_rules);
	*rules = made;
	return 0;
}

int store_read_again(const struct store *store, uint32_t generation, int tries)
{
	struct xdnat_config config;
	int err = store_config(store, &config);

	if (err || config.generation == generation)
		return err;
	return tries < READ_TRIES ? 1
				  : fail(-EBUSY, "the rules change faster than they can be "
						 "read; try again");
}

/* What holds at one generation is all there while that is the present one. */
int store_rules(const struct store *store, struct store_rule **rules, size_t *count)
{
	struct store_rule_maps maps = {};
	struct xdnat_config config;
	int err, tries = 0;

	*rules = NULL;
	*count = 0;
	do {
		store_rule_maps_free(&maps);
		err = store_config(store, &config);
		if (!err)
			err = store_rule_maps_read(store, &maps);
		if (!err)
			err = store_read_again(store, config.generation, ++tries);
	} while (err > 0);
	if (!err)
		err = make_rules(store->known, &maps, config.generation, rules, count);
	store_rule_maps_free(&maps);
	return err;
}
