// SPDX-License-Identifier: GPL-2.0-only
/*
 * rule add, del, replace, enable, disable and flush: what each wants the rules to be,
 * and what it says then. rule_edit.c makes it so.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "fail.h"
#include "log.h"
#include "out.h"
#include "rule_edit.h"
#include "rule_lines.h"
#include "rule_record.h"

static struct rule_edit_options options;
static const char *flows = "keep";
static bool flush_yes;

#define FORCE_ROW                                                           \
	{                                                                   \
		.name = "force", .type = OPT_FLAG, .flag = &options.force,  \
		.help = "even if it takes the port of your own ssh session" \
	}
#define FLOWS_ROW                                                                          \
	{                                                                                  \
		.name = "flows", .type = OPT_CHOICE, .value = "keep|kill", .text = &flows, \
		.help = "keep (default): the rule's live flows go on; kill: they end"      \
	}

const struct opt cmd_rule_add_options[] = {FORCE_ROW, {}};
const struct opt cmd_rule_replace_options[] = {FORCE_ROW, FLOWS_ROW, {}};
const struct opt cmd_rule_del_options[] = {FLOWS_ROW, {}};
const struct opt cmd_rule_flush_options[] = {
	{.name = "yes", .type = OPT_FLAG, .flag = &flush_yes, .help = "do not ask"},
	FLOWS_ROW,
	{},
};

/* " and ended 3 flows", or "" if none were to be ended; text has ENDED_BYTES. */
#define ENDED_BYTES 48
static const char *ended_text(const struct rule_edit *edit, char *text)
{
	*text = '\0';
	if (options.kill_flows)
		snprintf(text, ENDED_BYTES, " and ended %" PRIu64 " flow%s", edit->ended,
			 edit->ended == 1 ? "" : "s");
	return text;
}

/* The rule is in force or gone; people read a line, programs an object. */
static int tell(const struct cmd_context *context, const struct rule_edit *edit, const char *change,
		const struct spec *spec)
{
	char listener[SPEC_LISTENER_BYTES], target[SPEC_LISTENER_BYTES], ended[ENDED_BYTES];
	json_t *document;

	if (context->json) {
		document = out_document("rule_change");
		json_object_set_new(document, "change", json_string(change));
		json_object_set_new(document, "rule", rule_record(spec));
		json_object_set_new(document, "flows_ended", json_integer(edit->ended));
		return out_json(document, false);
	}
	if (context->quiet)
		return 0;
	spec_format_listener(spec, listener);
	spec_format_target(spec, target);
	printf("%s %s -> %s%s%s\n", change, listener, target,
	       spec->enabled || !strcmp(change, "disabled") ? "" : " (disabled)",
	       ended_text(edit, ended));
	return 0;
}

/* The same of many rules. */
static int tell_counts(const struct cmd_context *context, const struct rule_edit *edit)
{
	const struct rule_change *change = &edit->change;
	size_t added = change->added_count - change->changed;
	size_t removed = change->removed_count - change->changed;
	char ended[ENDED_BYTES];
	json_t *document;

	if (context->json) {
		document = out_document("rule_changes");
		json_object_set_new(document, "added", json_integer(added));
		json_object_set_new(document, "changed", json_integer(change->changed));
		json_object_set_new(document, "deleted", json_integer(removed));
		json_object_set_new(document, "unchanged", json_integer(change->unchanged));
		json_object_set_new(document, "flows_ended", json_integer(edit->ended));
		return out_json(document, false);
	}
	if (!context->quiet)
		printf("%zu added, %zu changed, %zu deleted, %zu unchanged%s\n", added,
		       change->changed, removed, change->unchanged, ended_text(edit, ended));
	return 0;
}

/* Rules on standard input beside those that are there, or instead of them. */
static int edit_lines(const struct cmd_context *context, bool instead)
{
	struct rule_edit edit = {.lock = -1};
	struct rule_wanted *wanted;
	size_t count;
	int err;

	if (isatty(STDIN_FILENO))
		log_info("type rules, one a line; end with Ctrl-D");
	err = rule_lines_read(stdin, &wanted, &count);
	if (!err && !count && instead) /* more likely what makes them has failed */
		err = fail(-EINVAL, "there are no rules on standard input; to delete all that are "
				    "there, type: xdnat rule flush");
	if (err)
		goto out;
	err = rule_edit_begin(&context->instance, &edit);
	if (err)
		goto out;
	memset(edit.gone, instead, edit.set.count * sizeof(*edit.gone));
	err = rule_edit_apply(&edit, wanted, count, &options);
	if (!err)
		err = tell_counts(context, &edit);
out:
	if (err && err != -ENOTLOADED && !edit.is_committed)
		fail_while(err, "cannot %s the rules, nothing was changed",
			   instead ? "replace" : "add");
	rule_edit_end(&edit);
	free(wanted);
	return err;
}

static int add(const struct cmd_context *context, const char *const *words, size_t count)
{
	struct rule_edit edit = {.lock = -1};
	struct rule_wanted wanted = {};
	int err;

	err = spec_parse(words, count, &wanted.spec);
	if (err)
		return err;
	err = rule_edit_begin(&context->instance, &edit);
	if (!err)
		err = rule_edit_apply(&edit, &wanted, 1, &options);
	if (!err)
		err = tell(context, &edit, edit.change.unchanged ? "unchanged" : "added",
			   &wanted.spec);
	rule_edit_end(&edit);
	return err;
}

int cmd_rule_add(struct cmd_context *context, const char *const *words, size_t count)
{
	bool is_stdin = !strcmp(words[0], "-");
	int err;

	if (is_stdin && count > 1)
		return fail(-EUSAGE, "after '-' comes nothing: the rules are read from standard "
				     "input, one a line");
	err = is_stdin ? edit_lines(context, false) : add(context, words, count);
	if (err && err != -ENOTLOADED && !is_stdin)
		fail_while(err, "cannot add rule %s", words[0]);
	return err;
}

/* Another rule that says the same is no place for this one. */
static int check_others(const struct rule_edit *edit, const struct store_rule *rule,
			const struct spec *spec)
{
	for (size_t i = 0; i < edit->set.count; i++)
		if (&edit->set.rules[i] != rule && spec_equal(&edit->set.rules[i].spec, spec))
			return fail(-EEXIST, "there is a rule %s already that does just that",
				    spec->name);
	return 0;
}

/* One rule that is there. revise() makes of it what is wanted instead, or false: it
 * is to go. */
static int edit_rule(const struct cmd_context *context, const char *const *words, size_t count,
		     bool (*revise)(struct spec *spec), const char *change)
{
	struct rule_edit edit = {.lock = -1};
	struct rule_wanted wanted = {};
	const struct store_rule *rule;
	bool stays;
	int err;

	options.kill_flows = !strcmp(flows, "kill");
	err = rule_edit_begin(&context->instance, &edit);
	if (!err)
		err = rule_set_match(&edit.set, words, count, &rule);
	if (err == -ENOENT)
		rule_change_refresh_after(edit.instance, edit.store, err);
	if (err)
		goto out;
	edit.gone[rule - edit.set.rules] = true;
	options.named = rule->id;
	wanted.spec = rule->spec;
	stays = revise(&wanted.spec);
	err = stays ? check_others(&edit, rule, &wanted.spec) : 0;
	if (err)
		goto out;
	err = rule_edit_apply(&edit, &wanted, stays, &options);
	if (!err)
		err = tell(context, &edit, edit.change.unchanged ? "unchanged" : change,
			   &wanted.spec);
out:
	rule_edit_end(&edit);
	return err;
}

static bool remove_rule(struct spec *spec)
{
	(void)spec;
	return false;
}

static bool enable_rule(struct spec *spec)
{
	spec->enabled = true;
	return true;
}

static bool disable_rule(struct spec *spec)
{
	spec->enabled = false;
	return true;
}

/* What `rule replace` was given; its name is that of the rule before, if the caller
 * gave none and that one had a name of its own. */
static struct spec replacement;

static bool replace_rule(struct spec *spec)
{
	char name[SPEC_NAME_BYTES];
	bool keeps_name = spec_has_name(spec) && !spec_has_name(&replacement);

	memcpy(name, spec->name, sizeof(name));
	*spec = replacement;
	if (keeps_name)
		memcpy(spec->name, name, sizeof(name));
	return true;
}

int cmd_rule_del(struct cmd_context *context, const char *const *words, size_t count)
{
	int err = edit_rule(context, words, count, remove_rule, "deleted");

	if (err && err != -ENOTLOADED)
		fail_while(err, "cannot delete rule %s", words[0]);
	return err;
}

int cmd_rule_enable(struct cmd_context *context, const char *const *words, size_t count)
{
	int err = edit_rule(context, words, count, enable_rule, "enabled");

	if (err && err != -ENOTLOADED)
		fail_while(err, "cannot enable rule %s", words[0]);
	return err;
}

int cmd_rule_disable(struct cmd_context *context, const char *const *words, size_t count)
{
	int err = edit_rule(context, words, count, disable_rule, "disabled");

	if (err && err != -ENOTLOADED)
		fail_while(err, "cannot disable rule %s", words[0]);
	return err;
}

int cmd_rule_replace(struct cmd_context *context, const char *const *words, size_t count)
{
	bool is_stdin = !strcmp(words[0], "-");
	int err;

	if (is_stdin != (count == 1))
		return fail(-EUSAGE, "type: xdnat rule replace NAME RULE, or (all rules, by those "
				     "on standard input): xdnat rule replace -");
	options.kill_flows = !strcmp(flows, "kill");
	if (is_stdin) {
		err = edit_lines(context, true);
	} else {
		err = spec_parse(words + 1, count - 1, &replacement);
		if (!err)
			err = edit_rule(context, words, 1, replace_rule, "replaced");
	}
	if (err && err != -ENOTLOADED && !is_stdin)
		fail_while(err, "cannot replace rule %s", words[0]);
	return err;
}

static int tell_flushed(const struct cmd_context *context, const struct rule_edit *edit)
{
	size_t count = edit->change.removed_count;
	char ended[ENDED_BYTES];
	json_t *document;

	if (context->json) {
		document = out_document("rule_flush");
		json_object_set_new(document, "deleted", json_integer(count));
		json_object_set_new(document, "flows_ended", json_integer(edit->ended));
		return out_json(document, false);
	}
	if (!context->quiet)
		printf("deleted %zu rule%s%s\n", count, count == 1 ? "" : "s",
		       ended_text(edit, ended));
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
	if (!err)
		err = store_rules(store, &rules, &count);
	if (!err)
		err = cmd_ask(flush_yes, "delete %zu rule%s?", count, count == 1 ? "" : "s");
	free(rules);
	store_close(store);
	return err;
}

int cmd_rule_flush(struct cmd_context *context, const char *const *words, size_t count)
{
	struct rule_edit edit = {.lock = -1};
	int err;

	(void)words;
	(void)count;
	options.kill_flows = !strcmp(flows, "kill");
	err = ask(context);
	if (!err)
		err = rule_edit_begin(&context->instance, &edit);
	if (err)
		goto out;
	memset(edit.gone, true, edit.set.count * sizeof(*edit.gone));
	err = rule_edit_apply(&edit, NULL, 0, &options);
	if (!err)
		err = tell_flushed(context, &edit);
out:
	rule_edit_end(&edit);
	return err;
}
