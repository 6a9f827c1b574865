// SPDX-License-Identifier: GPL-2.0-only
/*
 * xdnat: global options, dispatch, exit codes. What a command is, cmd_table.c
 * says; what it does, the cmd_*.c of its object.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "fail.h"
#include "log.h"
#include "out.h"
#include "progress.h"

static int run(const char **words, size_t count, const struct cmd **cmd)
{
	struct cmd_context context = {};
	int err;

	if (cmd_wants_help(words, count))
		return cmd_help_for(words, count);
	err = cmd_find(words, &count, cmd);
	if (err)
		return err;
	err = opt_parse(cmd_global_options, (*cmd)->options, words, &count);
	if (err)
		return err;
	err = instance_init(&context.instance, cmd_globals.instance);
	if (err)
		return err;
	context.json = cmd_globals.json;
	context.quiet = cmd_globals.quiet;
	log_quiet(context.quiet);
	if (!context.quiet && !context.json && isatty(STDERR_FILENO))
		progress_enable();
	if (cmd_globals.version)
		return cmd_version(&context, words, 0);
	err = cmd_check_operands(*cmd, words, count);
	if (err)
		return err;
	return (*cmd)->run(&context, words, count);
}

static void report(int err, const struct cmd *cmd, bool json)
{
	const char *text = *fail_text() ? fail_text() : strerror(-err);

	log_error("%s", text);
	if (json && !ferror(stdout))
		out_error(fail_exit_code(err), text);
	if (err != -EUSAGE)
		return;
	if (cmd && *cmd->verb && cmd->run != cmd_help)
		fprintf(stderr, "type 'xdnat help %s%s%s' to see how it is used\n",
			cmd->object ?: "", cmd->object ? " " : "", cmd->verb);
	else
		fprintf(stderr, "type 'xdnat help' to see the commands\n");
}

/* What is opened later must not be taken for a stream that the caller closed. */
static void open_streams(void)
{
	int stream = 0;

	while (stream >= 0 && stream <= STDERR_FILENO)
		stream = open("/dev/null", O_RDWR);
	close(stream);
}

int main(int argc, char **argv)
{
	const char **words = (const char **)argv + 1;
	size_t count = argc > 0 ? argc - 1 : 0;
	bool json = cmd_wants_json(words, count);
	const struct cmd *cmd = NULL;
	int err;

	open_streams();
	log_init("xdnat");
	err = run(words, count, &cmd);
	if (fflush(stdout) || ferror(stdout))
		err = err ?: fail(-EIO, "cannot write to standard output");
	progress_end();
	if (err)
		report(err, cmd, json);
	return fail_exit_code(err);
}
