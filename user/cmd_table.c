// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which commands there are, and how words on the command line become one of
 * them. Exact words only; an unknown word is told what was valid in its place.
 */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fail.h"

struct cmd_globals cmd_globals;

const struct opt cmd_global_options[] = {
	{.name = "instance",
	 .type = OPT_TEXT,
	 .value = "NAME",
	 .text = &cmd_globals.instance,
	 .help = "the instance (default: $XDNAT_INSTANCE or \"default\"); messages that say what "
		 "to type leave it out, so set the variable"},
	{.name = "json",
	 .type = OPT_FLAG,
	 .flag = &cmd_globals.json,
	 .help = "data as JSON, the same in every version 1"},
	{.name = "quiet",
	 .type = OPT_FLAG,
	 .flag = &cmd_globals.quiet,
	 .help = "say nothing but data, warnings and errors"},
	{.name = "help",
	 .type = OPT_FLAG,
	 .flag = &cmd_globals.help,
	 .help = "print the command's help (also -h)"},
	{.name = "version",
	 .type = OPT_FLAG,
	 .flag = &cmd_globals.version,
	 .help = "print the version"},
	{},
};

const struct cmd cmd_table[] = {
	{.verb = "",
	 .operands = "",
	 .run = cmd_overview,
	 .help = "one screen: interfaces, rules, problems"},
	{.verb = "load",
	 .operands = "[IFACE...]",
	 .run = cmd_load,
	 .options = cmd_load_options,
	 .help = "put xdnat on interfaces, or renew it on them"},
	{.verb = "unload",
	 .operands = "[IFACE...]",
	 .run = cmd_unload,
	 .options = cmd_unload_options,
	 .help = "take it off; the last one ends rules and flows"},
	{.verb = "confirm",
	 .operands = "",
	 .run = cmd_confirm,
	 .help = "keep what 'load --confirm' did"},
	{.verb = "status",
	 .operands = "",
	 .run = cmd_status,
	 .help = "interfaces, daemon, flow tables"},
	{.verb = "stats",
	 .operands = "",
	 .run = cmd_stats,
	 .help = "what became of packets, and each rule's totals"},
	{.object = "rule",
	 .verb = "add",
	 .operands = "RULE [KEY=VALUE...]|-",
	 .run = cmd_rule_add,
	 .options = cmd_rule_add_options,
	 .help = "forward a port ('help grammar'); -: from stdin"},
	{.object = "rule",
	 .verb = "del",
	 .operands = "NAME|RULE",
	 .run = cmd_rule_del,
	 .options = cmd_rule_del_options,
	 .help = "forward it no longer; live flows go on"},
	{.object = "rule",
	 .verb = "replace",
	 .operands = "NAME RULE|-",
	 .run = cmd_rule_replace,
	 .options = cmd_rule_replace_options,
	 .help = "another rule in its place; -: all, from stdin"},
	{.object = "rule",
	 .verb = "list",
	 .operands = "",
	 .run = cmd_rule_list,
	 .options = cmd_rule_list_options,
	 .help = "all rules, in listener order"},
	{.object = "rule",
	 .verb = "show",
	 .operands = "NAME|RULE",
	 .run = cmd_rule_show,
	 .help = "one rule: its addresses and totals"},
	{.object = "rule",
	 .verb = "enable",
	 .operands = "NAME|RULE",
	 .run = cmd_rule_enable,
	 .options = cmd_rule_add_options,
	 .help = "forward it again"},
	{.object = "rule",
	 .verb = "disable",
	 .operands = "NAME|RULE",
	 .run = cmd_rule_disable,
	 .options = cmd_rule_del_options,
	 .help = "keep it, but do not forward; live flows go on"},
	{.object = "rule",
	 .verb = "flush",
	 .operands = "",
	 .run = cmd_rule_flush,
	 .options = cmd_rule_flush_options,
	 .help = "delete all rules; live flows go on"},
	{.object = "flow",
	 .verb = "list",
	 .operands = "[FILTER...]",
	 .run = cmd_flow_list,
	 .help = "live flows (see 'xdnat help filter')"},
	{.object = "flow",
	 .verb = "count",
	 .operands = "[FILTER...]",
	 .run = cmd_flow_count,
	 .help = "how many there are"},
	{.object = "flow",
	 .verb = "kill",
	 .operands = "FILTER...",
	 .run = cmd_flow_kill,
	 .help = "end the flows that match (all: flow flush)"},
	{.object = "flow",
	 .verb = "flush",
	 .operands = "",
	 .run = cmd_flow_flush,
	 .options = cmd_flow_flush_options,
	 .help = "end all flows"},
	{.verb = "version", .operands = "", .run = cmd_version, .help = "print the version"},
	{.verb = "help",
	 .operands = "[COMMAND|TOPIC]",
	 .run = cmd_help,
	 .help = "this, or more about a command or topic"},
	{},
};

/* Words that DESIGN.md section 4 promises and this version has not. */
static const struct {
	const char *object;
	const char *verb;
} later[] = {
	{NULL, "top"},	   {NULL, "monitor"}, {NULL, "trace"},	    {NULL, "explain"},
	{NULL, "capture"}, {NULL, "doctor"},  {NULL, "import"},	    {NULL, "bench"},
	{NULL, "config"},  {NULL, "target"},  {NULL, "completion"},
};

static bool is_same(const char *left, const char *right)
{
	return left == right || (left && right && strcmp(left, right) == 0);
}

static const struct cmd *find(const char *object, const char *verb)
{
	const struct cmd *cmd;

	for (cmd = cmd_table; cmd->verb; cmd++)
		if (is_same(cmd->object, object) && strcmp(cmd->verb, verb) == 0)
			return cmd;
	return NULL;
}

static bool is_later(const char *object, const char *verb)
{
	size_t i;

	for (i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (is_same(later[i].object, object) && strcmp(later[i].verb, verb) == 0)
			return true;
	return false;
}

bool cmd_is_object(const char *word)
{
	const struct cmd *cmd;

	for (cmd = cmd_table; cmd->verb; cmd++)
		if (cmd->object && strcmp(cmd->object, word) == 0)
			return true;
	return false;
}

/* " load unload rule …" or, below an object, its verbs. An object's rows stand
 * together, so it is new when the row before has another. */
static const char *valid_words(const char *object)
{
	static char text[256];
	const struct cmd *cmd;
	const char *word;
	size_t used = 0;

	for (cmd = cmd_table; cmd->verb && used < sizeof(text); cmd++) {
		word = object || !cmd->object ? cmd->verb : cmd->object;
		if (object && !is_same(cmd->object, object))
			continue;
		if (!*word || (!object && cmd->object && is_same(cmd->object, cmd[-1].object)))
			continue;
		used += snprintf(text + used, sizeof(text) - used, " %s", word);
	}
	return text;
}

size_t cmd_next_word(const char *const *words, size_t count, size_t from)
{
	for (; from < count; from++) {
		if (words[from][0] != '-' || !words[from][1])
			return from;
		if (strcmp(words[from], "--instance") == 0)
			from++;
	}
	return count;
}

static const char *take_word(const char **words, size_t *count)
{
	size_t i = cmd_next_word(words, *count, 0);
	const char *word;

	if (i >= *count)
		return NULL;
	word = words[i];
	memmove(words + i, words + i + 1, (*count - i - 1) * sizeof(*words));
	*count -= 1;
	return word;
}

static int unknown(const char *object, const char *word)
{
	if (is_later(object, word))
		return fail(-EUSAGE, "'%s%s%s' is not in this version (%s)", object ?: "",
			    object ? " " : "", word, XDNAT_VERSION);
	if (object)
		return fail(-EUSAGE, "unknown command '%s %s'; after '%s' comes:%s", object, word,
			    object, valid_words(object));
	return fail(-EUSAGE, "unknown command '%s'; commands:%s", word, valid_words(NULL));
}

int cmd_find(const char **words, size_t *count, const struct cmd **cmd)
{
	const char *object = take_word(words, count);
	const char *verb;

	*cmd = find(NULL, object ?: "");
	if (*cmd && (!object || *object))
		return 0;
	*cmd = NULL;
	if (!cmd_is_object(object))
		return unknown(NULL, object);
	verb = take_word(words, count);
	if (!verb)
		return fail(-EUSAGE, "'%s' what? After '%s' comes:%s", object, object,
			    valid_words(object));
	*cmd = find(object, verb);
	return *cmd ? 0 : unknown(object, verb);
}

int cmd_check_operands(const struct cmd *cmd, const char *const *words, size_t count)
{
	const char *object = cmd->object ?: "";
	const char *blank = cmd->object ? " " : "";

	if (count && !*cmd->operands)
		return fail(-EUSAGE, "'%s%s%s' takes no operands, but there is '%s'", object, blank,
			    cmd->verb, words[0]);
	if (!count && *cmd->operands && cmd->operands[0] != '[')
		return fail(-EUSAGE, "'%s%s%s' needs %s: %s", object, blank, cmd->verb,
			    cmd->operands, cmd->help);
	return 0;
}

static bool has_option(const char *const *words, size_t count, const char *option)
{
	size_t i;

	for (i = 0; i < count && strcmp(words[i], "--") != 0; i++)
		if (strcmp(words[i], option) == 0)
			return true;
	return false;
}

bool cmd_wants_help(const char *const *words, size_t count)
{
	return has_option(words, count, "--help") || has_option(words, count, "-h");
}

bool cmd_wants_json(const char *const *words, size_t count)
{
	return has_option(words, count, "--json");
}
