// SPDX-License-Identifier: GPL-2.0-only
/*
 * rule add, del and flush. A change is made under the instance's lock and is in
 * force, or taken back, when the command returns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "addr.h"
#include "cmd.h"
#include "fail.h"
#include "host_port.h"
#include "interface.h"
#include "listener.h"
#include "log.h"
#include "netlink.h"
#include "nexthop.h"
#include "out.h"
#include "problem.h"
#include "rule_record.h"
#include "rule_set.h"
#include "rules_file.h"
#include "store.h"

#define RESOLVE_MS 1000

static bool add_force;
static bool flush_yes;

const struct opt cmd_rule_add_options[] = {
	{.name = "force",
	 .type = OPT_FLAG,
	 .flag = &add_force,
	 .help = "even if it takes the port of your own ssh session"},
	{},
};

const struct opt cmd_rule_flush_options[] = {
	{.name = "yes", .type = OPT_FLAG, .flag = &flush_yes, .help = "do not ask"},
	{},
};

/* What a command that changes rules works on. */
struct edit {
	struct store *store;
	struct rule_set set;
	int lock;
};

static int edit_begin(const struct cmd_context *context, struct edit *edit)
{
	int err;

	*edit = (struct edit){.lock = -1};
	/* Before the lock, which a loaded instance has. */
	err = store_open(&context->instance, &edit->store);
	if (err)
		return err;
	edit->lock = instance_lock(&context->instance);
	if (edit->lock < 0)
		return edit->lock;
	/* Again: it may have been loaded anew while we waited for the lock. */
	store_close(edit->store);
	edit->store = NULL;
	err = store_open(&context->instance, &edit->store);
	if (err)
		return err;
	err = interface_need_netns(&context->instance, edit->store);
	if (err)
		return err;
	return rule_set_read(edit->store, &edit->set);
}

static void edit_end(struct edit *edit)
{
	rule_set_free(&edit->set);
	store_close(edit->store);
	if (edit->lock >= 0)
		close(edit->lock);
}

/* After a change to the specs: listeners follow them, and what nobody needs any
 * more goes. An error leaves the specs to the caller; the rest is a convenience,
 * without which forwarding goes on. */
static int publish(const struct cmd_context *context, struct store *store)
{
	struct store_rule *rules;
	size_t count;
	int err;

	err = listener_sync(store);
	if (err)
		return err;
	err = store_rules_changed(store);
	if (err)
		return err;
	if (store_rules_prune(store, &rules, &count) ||
	    rules_file_write(&context->instance, rules, count))
		log_warning("%s", fail_text());
	free(rules);
	return 0;
}

/* The same for what a killed command left half done, or after a failure. Returns
 * err, whose message stays. */
static int publish_after(const struct cmd_context *context, struct store *store, int err)
{
	char why[512];

	snprintf(why, sizeof(why), "%s", fail_text());
	if (publish(context, store))
		log_warning("and the rules could not be put in force: %s", fail_text());
	return fail(err, "%s", why);
}

/* The rule is in force or gone; people read a line, programs an object. */
static int tell(const struct cmd_context *context, const char *change, const struct spec *spec)
{
	char listener[SPEC_LISTENER_BYTES];
	char target[SPEC_LISTENER_BYTES];
	json_t *document;

	if (context->json) {
		document = out_document("rule_change");
		json_object_set_new(document, "change", json_string(change));
		json_object_set_new(document, "rule", rule_record(spec));
		return out_json(document, false);
	}
	if (context->quiet)
		return 0;
	spec_format_listener(spec, listener);
	spec_format_target(spec, target);
	printf("%s %s -> %s\n", change, listener, target);
	return 0;
}

/* What is there already of the rule: itself (its id), or what forbids it. */
static int find_conflict(const struct rule_set *set, const struct spec *spec, uint32_t *id)
{
	char text[SPEC_LISTENER_BYTES];
	const struct spec *other;
	char name[SPEC_QUOTED_BYTES(SPEC_NAME_BYTES)];
	size_t i;

	*id = 0;
	for (i = 0; i < set->count && !*id; i++) {
		other = &set->rules[i].spec;
		if (spec_equal(other, spec)) {
			*id = set->rules[i].id;
			continue;
		}
		spec_format_target(other, text);
		if (spec_same_listener(other, spec))
			return fail(-EEXIST,
				    "port %u is already forwarded by rule %s to %s; "
				    "delete it first: xdnat rule del %s",
				    spec->port_host, other->name, text,
				    spec_quote(other->name, name));
		if (strcmp(other->name, spec->name) == 0)
			return fail(-EEXIST,
				    "the name %s is that of the rule to %s; give another with "
				    "name=NAME",
				    other->name, text);
	}
	return 0;
}

static int add_rule(const struct cmd_context *context, struct edit *edit, const struct spec *spec,
		    uint32_t *id)
{
	int err;

	err = store_rule_add(edit->store, spec, id);
	if (err)
		return err;
	err = publish(context, edit->store);
	if (!err)
		return 0;
	store_rule_hide(edit->store, *id);
	return publish_after(context, edit->store, err);
}

/* What will keep the new rule from working: said, not refused, since routes,
 * addresses and neighbours may come later. */
static void warn(const struct store *store, const struct spec *spec, uint32_t id)
{
	const struct store_rule rule = {.id = id, .spec = *spec};
	struct problem_view view = {};
	json_t *problems = json_array();
	const json_t *problem;
	size_t i;

	if (problem_view_read(store, &view))
		log_warning("cannot look for problems: %s", fail_text());
	else
		problem_of_rule(&view, &rule, problems);
	if (host_port_is_listening(spec))
		log_warning("a service of this host listens on port %u; clients from outside no "
			    "longer reach it",
			    spec->port_host);
	json_array_foreach(problems, i, problem)
		log_warning("%s", json_string_value(json_object_get(problem, "text")));
	json_decref(problems);
	problem_view_free(&view);
}

/* What forbids a new rule, other rules apart. */
static int check_new(const struct spec *spec)
{
	struct netlink_link link;
	int err;

	if (spec->bind == SPEC_BIND_INTERFACE) {
		err = netlink_link(spec->bind_interface, &link);
		if (err)
			return err;
	}
	if (!add_force && host_port_is_session(spec))
		return fail(-EBUSY,
			    "port %u carries your own ssh session, which would end; add --force "
			    "to do it all the same",
			    spec->port_host);
	return 0;
}

/* id: of the rule if it is there. Then too everything is seen to: the command that
 * added it may have been killed half-way. */
static int put_in_force(const struct cmd_context *context, struct edit *edit,
			const struct spec *spec, uint32_t id)
{
	bool is_new = !id;
	int err;

	err = nexthop_resolve(edit->store, &spec->target, RESOLVE_MS);
	if (err && err != -EHOSTUNREACH && err != -ETIMEDOUT)
		log_warning("cannot resolve the target's next hop: %s", fail_text());
	err = is_new ? add_rule(context, edit, spec, &id) : publish(context, edit->store);
	if (err)
		return err;
	if (is_new)
		warn(edit->store, spec, id);
	return tell(context, is_new ? "added" : "unchanged", spec);
}

static int add(const struct cmd_context *context, const char *const *words, size_t count)
{
	struct edit edit = {.lock = -1};
	struct spec spec;
	uint32_t id;
	int err;

	err = spec_parse(words, count, &spec);
	if (err)
		return err;
	err = edit_begin(context, &edit);
	if (err)
		goto out;
	err = find_conflict(&edit.set, &spec, &id);
	if (!err && !id)
		err = check_new(&spec);
	if (!err)
		err = put_in_force(context, &edit, &spec, id);
out:
	edit_end(&edit);
	return err;
}

int cmd_rule_add(struct cmd_context *context, const char *const *words, size_t count)
{
	int err;

	if (strcmp(words[0], "-") == 0)
		return fail(-EINVAL, "'rule add -' (rules from standard input) is not in this "
				     "version; give one rule");
	err = add(context, words, count);
	if (err && err != -ENOTLOADED)
		fail_while(err, "cannot add rule %s", words[0]);
	return err;
}

/* All or none. Their listeners go to the rules that come next, or go. */
static int remove_rules(const struct cmd_context *context, struct store *store,
			const struct store_rule *rules, size_t count)
{
	size_t hidden = 0;
	int err = 0;

	while (!err && hidden < count) {
		err = store_rule_hide(store, rules[hidden].id);
		hidden += !err;
	}
	if (!err)
		err = publish(context, store);
	if (!err)
		return 0;
	while (hidden)
		store_rule_show(store, &rules[--hidden]);
	return publish_after(context, store, err);
}

int cmd_rule_del(struct cmd_context *context, const char *const *words, size_t count)
{
	const struct store_rule *rule;
	struct edit edit;
	int err;

	err = edit_begin(context, &edit);
	if (err)
		goto out;
	err = rule_set_match(&edit.set, words, count, &rule);
	if (err == -ENOENT)
		publish_after(context, edit.store, err);
	if (err)
		goto out;
	err = remove_rules(context, edit.store, rule, 1);
	if (!err)
		err = tell(context, "deleted", &rule->spec);
out:
	edit_end(&edit);
	if (err && err != -ENOTLOADED)
		fail_while(err, "cannot delete rule %s", words[0]);
	return err;
}

static int tell_flushed(const struct cmd_context *context, size_t count)
{
	json_t *document;

	if (context->json) {
		document = out_document("rule_flush");
		json_object_set_new(document, "deleted", json_integer(count));
		return out_json(document, false);
	}
	if (!context->quiet)
		printf("deleted %zu rule%s\n", count, count == 1 ? "" : "s");
	return 0;
}

/* Nobody answers a question while others wait for the lock. */
static int ask(const struct cmd_context *context)
{
	struct store_rule *rules = NULL;
	struct store *store = NULL;
	size_t count;
	int err;

	err = store_open(&context->instance, &store);
	if (err)
		goto out;
	err = store_rules(store, &rules, &count);
	if (err)
		goto out;
	err = cmd_ask(flush_yes, "delete %zu rule%s?", count, count == 1 ? "" : "s");
out:
	free(rules);
	store_close(store);
	return err;
}

int cmd_rule_flush(struct cmd_context *context, const char *const *words, size_t count)
{
	struct edit edit = {.lock = -1};
	int err;

	(void)words;
	(void)count;
	err = ask(context);
	if (err)
		goto out;
	err = edit_begin(context, &edit);
	if (err)
		goto out;
	err = remove_rules(context, edit.store, edit.set.rules, edit.set.count);
	if (!err)
		err = tell_flushed(context, edit.set.count);
out:
	edit_end(&edit);
	return err;
}
