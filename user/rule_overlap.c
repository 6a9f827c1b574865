// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every rule is taken apart into spans of ports without gaps, of one protocol and one
 * family. Sorted, two that overlap are found by going over them once.
 */
#include "rule_overlap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

struct span {
	const struct spec *spec; /* whose BIND and form tell who may meet */
	size_t at;		 /* in specs */
	uint8_t proto, family;
	uint16_t first_host, last_host;
};

struct spans {
	struct span *items;
	size_t count, room;
};

static int add_span(struct spans *spans, struct span span, uint32_t first_host, uint32_t last_host)
{
	if (first_host > last_host)
		return 0;
	if (spans->count == spans->room) {
		size_t room = spans->room ? 2 * spans->room : 64;
		void *items = reallocarray(spans->items, room, sizeof(*spans->items));

		if (!items)
			return fail(-ENOMEM, "no memory for so many rules");
		spans->items = items;
		spans->room = room;
	}
	span.first_host = first_host;
	span.last_host = last_host;
	spans->items[spans->count++] = span;
	return 0;
}

/* The rule's ports without those excepted. */
static int add_ports(struct spans *spans, const struct span *span)
{
	const struct spec *spec = span->spec;
	uint32_t from_host = spec->ports.first_host;
	int err = 0;

	for (uint8_t i = 0; !err && i < spec->except_count; i++) {
		err = add_span(spans, *span, from_host, spec->except[i].first_host - 1u);
		from_host = spec->except[i].last_host + 1u;
	}
	return err ? err : add_span(spans, *span, from_host, spec->ports.last_host);
}

static int add_spec(struct spans *spans, const struct spec *spec, size_t at)
{
	struct span span = {.spec = spec, .at = at};
	int err = 0;

	for (span.proto = SPEC_TCP; span.proto <= SPEC_UDP; span.proto <<= 1)
		for (span.family = SPEC_V4; span.family <= SPEC_V6; span.family <<= 1)
			if (!err && spec->protos & span.proto && spec_families(spec) & span.family)
				err = add_ports(spans, &span);
	return err;
}

static int compare_places(const struct span *left, const struct span *right)
{
	int order = (int)left->spec->bind - (int)right->spec->bind;

	if (!order)
		order = memcmp(&left->spec->bind_addr, &right->spec->bind_addr,
			       sizeof(left->spec->bind_addr));
	if (!order)
		order = strcmp(left->spec->bind_interface, right->spec->bind_interface);
	if (!order)
		order = (int)left->spec->form - (int)right->spec->form;
	if (!order)
		order = left->proto - right->proto;
	return order ? order : left->family - right->family;
}

static int compare_spans(const void *left, const void *right)
{
	const struct span *l = left, *r = right;
	int order = compare_places(l, r);

	return order ? order : l->first_host - r->first_host;
}

int rule_overlap_find(const struct spec *const *specs, size_t count, struct rule_overlap *overlap)
{
	struct spans spans = {};
	int found = 0;

	for (size_t i = 0; !found && i < count; i++)
		found = add_spec(&spans, specs[i], i);
	if (spans.count)
		qsort(spans.items, spans.count, sizeof(*spans.items), compare_spans);
	/* The spans before did not overlap: of them, the last one reaches farthest. */
	for (size_t i = 1; !found && i < spans.count; i++) {
		const struct span *before = &spans.items[i - 1], *span = &spans.items[i];

		found = !compare_places(before, span) && before->last_host >= span->first_host;
		if (found)
			*overlap = (struct rule_overlap){
				before->at < span->at ? before->at : span->at,
				before->at < span->at ? span->at : before->at,
			};
	}
	free(spans.items);
	return found;
}
