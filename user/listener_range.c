// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prefixes are found as in R. Draves et al., "Constructing Optimal IP Routing Tables"
 * (INFOCOM 1999): from the single ports upwards, which rules a prefix could name so that
 * the fewest longer ones are needed; then downwards, naming one where the shorter prefix
 * does not say it already.
 */
#include "listener_range.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PORT_BITS  16
#define PORTS_LAST UINT16_MAX

static int compare_spans(const void *left, const void *right)
{
	const struct listener_span *l = left, *r = right;

	return (l->rank > r->rank) - (l->rank < r->rank);
}

static int compare_bounds(const void *left, const void *right)
{
	const uint32_t *l = left, *r = right;

	return (*l > *r) - (*l < *r);
}

/* Where one span begins or ends, rising, without doubles; 0 and 65536 are among them. */
static size_t list_bounds(const struct listener_span *spans, size_t count, uint32_t *bounds)
{
	size_t all = 0, kept = 0;

	bounds[all++] = 0;
	bounds[all++] = PORTS_LAST + 1u;
	for (size_t i = 0; i < count; i++) {
		bounds[all++] = spans[i].first_host;
		bounds[all++] = spans[i].last_host + 1u;
	}
	qsort(bounds, all, sizeof(*bounds), compare_bounds);
	for (size_t i = 0; i < all; i++)
		if (!kept || bounds[i] != bounds[kept - 1])
			bounds[kept++] = bounds[i];
	return kept;
}

/* The runs between the bounds, nobody's as yet. */
static void clear_runs(const uint32_t *bounds, size_t count, struct listener_run *runs)
{
	for (size_t i = 0; i < count; i++)
		runs[i] = (struct listener_run){
			.first_host = bounds[i],
			.last_host = bounds[i + 1] - 1,
			.rank = UINT64_MAX,
		};
}

static size_t find_run(const struct listener_run *runs, size_t count, uint16_t port_host)
{
	size_t low = 0, high = count - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (runs[middle].last_host < port_host)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct listener_run *listener_run_at(const struct listener_run *runs, size_t count,
					   uint16_t port_host)
{
	return &runs[find_run(runs, count, port_host)];
}

/* Spans come by rising rank: who has it keeps it. At a lower level one that admits all
 * keeps it, too, for nobody. */
static void paint(const struct listener_span *span, uint8_t level, struct listener_run *runs,
		  size_t count)
{
	for (size_t i = find_run(runs, count, span->first_host);
	     i < count && runs[i].first_host <= span->last_host; i++) {
		struct listener_run *run = &runs[i];

		if (run->is_settled)
			continue;
		run->is_settled = span->admits_all || run->above == level;
		if (run->above++ < level)
			continue;
		run->rule = span->rule;
		run->rank = span->rank;
	}
}

static size_t join_runs(struct listener_run *runs, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (kept && runs[kept - 1].rank == runs[i].rank)
			runs[kept - 1].last_host = runs[i].last_host;
		else
			runs[kept++] = runs[i];
	return kept;
}

int listener_runs_make(struct listener_span *spans, size_t count, uint8_t level,
		       struct listener_run **runs, size_t *run_count)
{
	uint32_t *bounds = calloc(2 * count + 2, sizeof(*bounds));
	size_t bound_count;

	*runs = calloc(2 * count + 1, sizeof(**runs));
	if (!bounds || !*runs) {
		free(bounds);
		return -ENOMEM;
	}
	qsort(spans, count, sizeof(*spans), compare_spans);
	bound_count = list_bounds(spans, count, bounds);
	clear_runs(bounds, bound_count - 1, *runs);
	for (size_t i = 0; i < count; i++)
		paint(&spans[i], level, *runs, bound_count - 1);
	*run_count = join_runs(*runs, bound_count - 1);
	free(bounds);
	return 0;
}

/* A prefix that is looked at: it holds more than one run, or has a sibling that does. */
struct node {
	uint32_t children[2]; /* 0: none, a leaf */
	uint32_t rules;	      /* where they start in tree.rules, rising ... */
	uint32_t rule_count;  /* ... those that it could name */
};

struct tree {
	const struct listener_run *runs;
	struct node *nodes; /* 0 is not used */
	uint32_t *rules;
	size_t node_count, node_room, rule_count, rule_room;
	struct listener_prefix *prefixes;
	size_t prefix_count, prefix_room;
};

/* Room for so many more items. */
static int reserve(void **items, size_t count, size_t more, size_t *room, size_t item_bytes)
{
	size_t wanted = *room ? *room : 64;
	void *grown;

	if (count + more <= *room)
		return 0;
	while (wanted < count + more)
		wanted *= 2;
	grown = reallocarray(*items, wanted, item_bytes);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*room = wanted;
	return 0;
}

/* Of two rising lists what both have, else all. Returns how many. */
static uint32_t meet(const uint32_t *rules, const struct node *left, const struct node *right,
		     bool all, uint32_t *out)
{
	uint32_t l = 0, r = 0, count = 0;

	while (l < left->rule_count || r < right->rule_count) {
		bool has_left = l < left->rule_count, has_right = r < right->rule_count;
		uint32_t of_left = has_left ? rules[left->rules + l] : UINT32_MAX;
		uint32_t of_right = has_right ? rules[right->rules + r] : UINT32_MAX;
		bool is_both = has_left && has_right && of_left == of_right;

		if (is_both || all)
			out[count++] = of_left < of_right ? of_left : of_right;
		l += has_left && of_left <= of_right;
		r += has_right && of_right <= of_left;
	}
	return count;
}

static int join_children(struct tree *tree, struct node *node)
{
	const struct node *left = &tree->nodes[node->children[0]];
	const struct node *right = &tree->nodes[node->children[1]];
	int err = reserve((void **)&tree->rules, tree->rule_count,
			  left->rule_count + right->rule_count, &tree->rule_room,
			  sizeof(*tree->rules));

	if (err)
		return err;
	node->rules = tree->rule_count;
	node->rule_count = meet(tree->rules, left, right, false, tree->rules + tree->rule_count);
	if (!node->rule_count)
		node->rule_count =
			meet(tree->rules, left, right, true, tree->rules + tree->rule_count);
	tree->rule_count += node->rule_count;
	return 0;
}

/* The node of the prefix, run being the one of its first port. Its number, or -errno. */
static int64_t build(struct tree *tree, uint32_t first_host, unsigned int bits, size_t run)
{
	uint32_t half = 1u << (PORT_BITS - bits) >> 1;
	struct node node = {};
	int64_t child;
	int err;

	if (tree->runs[run].last_host >= first_host + (1u << (PORT_BITS - bits)) - 1) {
		err = reserve((void **)&tree->rules, tree->rule_count, 1, &tree->rule_room,
			      sizeof(*tree->rules));
		node.rules = tree->rule_count;
		node.rule_count = 1;
		if (!err)
			tree->rules[tree->rule_count++] = tree->runs[run].rule;
	} else {
		child = build(tree, first_host, bits + 1, run);
		node.children[0] = child < 0 ? 0 : child;
		while (tree->runs[run].last_host < first_host + half)
			run++;
		if (child > 0)
			child = build(tree, first_host + half, bits + 1, run);
		node.children[1] = child < 0 ? 0 : child;
		err = child < 0 ? child : join_children(tree, &node);
	}
	if (!err)
		err = reserve((void **)&tree->nodes, tree->node_count, 1, &tree->node_room,
			      sizeof(*tree->nodes));
	if (err)
		return err;
	tree->nodes[tree->node_count] = node;
	return tree->node_count++;
}

static bool may_name(const struct tree *tree, const struct node *node, uint32_t rule)
{
	for (uint32_t i = 0; i < node->rule_count; i++)
		if (tree->rules[node->rules + i] == rule)
			return true;
	return false;
}

/* inherited: what the shorter prefixes say. */
static int name(struct tree *tree, uint32_t at, struct listener_prefix prefix, uint32_t inherited)
{
	const struct node *node = &tree->nodes[at];
	int err = 0;

	prefix.rule = inherited;
	if (!may_name(tree, node, inherited)) {
		err = reserve((void **)&tree->prefixes, tree->prefix_count, 1, &tree->prefix_room,
			      sizeof(*tree->prefixes));
		if (err)
			return err;
		prefix.rule = tree->rules[node->rules];
		tree->prefixes[tree->prefix_count++] = prefix;
	}
	if (!node->children[0])
		return 0;
	inherited = prefix.rule;
	prefix.bits++;
	err = name(tree, node->children[0], prefix, inherited);
	prefix.port_host |= 1u << (PORT_BITS - prefix.bits);
	return err ? err : name(tree, node->children[1], prefix, inherited);
}

int listener_prefixes_make(const struct listener_run *runs, size_t count,
			   struct listener_prefix **prefixes, size_t *prefix_count)
{
	struct tree tree = {.runs = runs, .node_count = 1};
	int64_t root = 0;
	int err = reserve((void **)&tree.nodes, 0, 2 * count + 2, &tree.node_room,
			  sizeof(*tree.nodes));

	if (!err)
		root = build(&tree, 0, 0, 0);
	if (!err)
		err = root < 0 ? root : name(&tree, root, (struct listener_prefix){}, 0);
	free(tree.nodes);
	free(tree.rules);
	if (err) {
		free(tree.prefixes);
		tree = (struct tree){};
	}
	*prefixes = tree.prefixes;
	*prefix_count = tree.prefix_count;
	return err;
}
