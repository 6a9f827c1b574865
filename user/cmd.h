/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The commands. Each parses its options, calls below and prints; it returns 0 or
 * a negative errno with fail(), which main turns into the exit code.
 */
#ifndef XDNAT_CMD_H
#define XDNAT_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "instance.h"
#include "opt.h"

/* What the global options said. */
struct cmd_context {
	struct instance instance;
	bool json;
	bool quiet;
};

struct cmd {
	const char *object; /* "rule", or NULL for single words such as "load" */
	const char *verb;
	const char *operands;	   /* "IFACE...", "RULE", "" */
	const char *help;	   /* one line */
	const struct opt *options; /* ends with an empty row; NULL: none */
	/* words[count]: the operands, options taken out and stored. */
	int (*run)(struct cmd_context *context, const char *const *words, size_t count);
};

extern const struct cmd cmd_table[]; /* ends with an empty row; verb "" is bare xdnat */

/* Options that every command takes, and where they are stored. */
struct cmd_globals {
	const char *instance;
	bool json;
	bool quiet;
	bool help;
	bool version;
};
extern struct cmd_globals cmd_globals;
extern const struct opt cmd_global_options[];

/* Finds the command that the words name, options skipped, and takes its one or
 * two words out. -EUSAGE with fail(), listing what was valid. */
int cmd_find(const char **words, size_t *count, const struct cmd **cmd);
/* The first word at or after `from` that is no option and no option's value. */
size_t cmd_next_word(const char *const *words, size_t count, size_t from);
bool cmd_is_object(const char *word);
/* -EUSAGE if there are operands and may not be, or must be and are not. */
int cmd_check_operands(const struct cmd *cmd, const char *const *words, size_t count);
/* True if --json stands among the words, not behind "--": errors heed it even if the
 * other words are wrong. */
bool cmd_wants_json(const char *const *words, size_t count);
/* True if --help or -h stands among the words, not behind "--". */
bool cmd_wants_help(const char *const *words, size_t count);
/* The help that --help asks for with these words on the command line. */
int cmd_help_for(const char *const *words, size_t count);
/* Before what cannot be undone: 0 to go on. Asks on a tty; without one -EUSAGE
 * unless --yes was given. -ECANCELED if the answer is no. */
int cmd_ask(bool yes, const char *format, ...) __attribute__((format(printf, 2, 3)));

int cmd_overview(struct cmd_context *context, const char *const *words, size_t count);
int cmd_load(struct cmd_context *context, const char *const *words, size_t count);
int cmd_unload(struct cmd_context *context, const char *const *words, size_t count);
int cmd_confirm(struct cmd_context *context, const char *const *words, size_t count);
int cmd_status(struct cmd_context *context, const char *const *words, size_t count);
int cmd_stats(struct cmd_context *context, const char *const *words, size_t count);
int cmd_rule_add(struct cmd_context *context, const char *const *words, size_t count);
int cmd_rule_del(struct cmd_context *context, const char *const *words, size_t count);
int cmd_rule_list(struct cmd_context *context, const char *const *words, size_t count);
int cmd_rule_show(struct cmd_context *context, const char *const *words, size_t count);
int cmd_rule_replace(struct cmd_context *context, const char *const *words, size_t count);
int cmd_rule_enable(struct cmd_context *context, const char *const *words, size_t count);
int cmd_rule_disable(struct cmd_context *context, const char *const *words, size_t count);
int cmd_rule_flush(struct cmd_context *context, const char *const *words, size_t count);
int cmd_flow_list(struct cmd_context *context, const char *const *words, size_t count);
int cmd_flow_count(struct cmd_context *context, const char *const *words, size_t count);
int cmd_flow_kill(struct cmd_context *context, const char *const *words, size_t count);
int cmd_flow_flush(struct cmd_context *context, const char *const *words, size_t count);
int cmd_version(struct cmd_context *context, const char *const *words, size_t count);
int cmd_help(struct cmd_context *context, const char *const *words, size_t count);

extern const struct opt cmd_load_options[];
extern const struct opt cmd_unload_options[];
extern const struct opt cmd_rule_add_options[];
extern const struct opt cmd_rule_del_options[];
extern const struct opt cmd_rule_replace_options[];
extern const struct opt cmd_rule_list_options[];
extern const struct opt cmd_rule_flush_options[];
extern const struct opt cmd_flow_flush_options[];

#endif
