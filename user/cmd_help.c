// SPDX-License-Identifier: GPL-2.0-only
/*
 * help and version. Commands and options are printed from their tables; only the
 * topics are prose. Who has nothing but this must be able to forward a port.
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fail.h"
#include "help_topic.h"
#include "out.h"
#include "xdnat_abi.h"

#define HELP_COLUMN 30

static void print_line(const struct cmd *cmd)
{
	char text[128];

	snprintf(text, sizeof(text), "%s%s%s%s%s", cmd->object ?: "", cmd->object ? " " : "",
		 *cmd->verb ? cmd->verb : "xdnat", *cmd->operands ? " " : "", cmd->operands);
	printf("  %-*s %s\n", HELP_COLUMN, text, cmd->help);
}

static void print_command(const struct cmd *cmd)
{
	printf("xdnat %s%s%s%s%s%s\n", cmd->object ?: "", cmd->object ? " " : "", cmd->verb,
	       *cmd->operands ? " " : "", cmd->operands, cmd->options ? " [OPTION...]" : "");
	printf("  %s\n", cmd->help);
	if (cmd->options)
		opt_help(cmd->options);
}

static void print_overview(void)
{
	const struct cmd *cmd;

	printf("xdnat forwards TCP and UDP ports inside the kernel, on the network card (XDP)\n"
	       "or right behind it (tc).\n");
	printf("\nCommands\n");
	for (cmd = cmd_table; cmd->verb; cmd++)
		print_line(cmd);
	printf("\nOptions of every command, before or after it\n");
	opt_help(cmd_global_options);
	printf("\nMore: xdnat help COMMAND, or one of these topics\n");
	for (const struct help_topic *topic = help_topics; topic->name; topic++)
		printf("  help %-*s %s\n", HELP_COLUMN - 5, topic->name, topic->help);
	printf("\nForward port 8080 of this host to port 80 of 10.0.0.5. Clients come in by eth0,\n"
	       "10.0.0.5 is behind eth1 and sends its replies back through this host.\n"
	       "  sysctl -w net.ipv4.ip_forward=1      (IPv6: net.ipv6.conf.all.forwarding=1)\n"
	       "  xdnat load eth0 eth1\n"
	       "  xdnat rule add 8080:10.0.0.5:80\n");
}

static bool print_topic(const char *name)
{
	for (const struct help_topic *topic = help_topics; topic->name; topic++)
		if (strcmp(topic->name, name) == 0)
			return fputs(topic->text, stdout) >= 0;
	return false;
}

/* All commands of an object, or the one that the words name. */
static int print_about(const char **words, size_t count)
{
	const struct cmd *cmd;
	const char *word = words[0];
	int err;

	if (count == 1 && print_topic(word))
		return 0;
	if (count == 1 && cmd_is_object(word)) {
		for (cmd = cmd_table; cmd->verb; cmd++)
			if (cmd->object && strcmp(cmd->object, word) == 0)
				print_command(cmd);
		return 0;
	}
	err = cmd_find(words, &count, &cmd);
	if (err)
		return fail_while(err,
				  "no help for '%s' (topics: grammar keys sources layouts modes "
				  "filter exit json files)",
				  word);
	print_command(cmd);
	return 0;
}

/* Copies at most two words, splitting one that was quoted ("rule add"). */
static size_t split_words(const char *const *words, size_t count, char *text, size_t size,
			  const char **split)
{
	size_t found = 0;
	char *rest = text;
	char *word;

	snprintf(text, size, "%s %s", words[0], count > 1 ? words[1] : "");
	while (found < 2 && (word = strtok_r(rest, " ", &rest)))
		split[found++] = word;
	return found;
}

int cmd_help(struct cmd_context *context, const char *const *words, size_t count)
{
	const char *split[2];
	char text[128];
	size_t found;

	(void)context;
	if (count > 2)
		return fail(-EUSAGE, "help takes a command or a topic, but there is '%s'",
			    words[2]);
	found = count ? split_words(words, count, text, sizeof(text), split) : 0;
	if (found)
		return print_about(split, found);
	print_overview();
	return 0;
}

int cmd_help_for(const char *const *words, size_t count)
{
	const char *named[2];
	size_t found = 0;
	size_t i;

	for (i = cmd_next_word(words, count, 0); i < count && found < 2;
	     i = cmd_next_word(words, count, i + 1)) {
		named[found++] = words[i];
		if (!cmd_is_object(named[0]))
			break;
	}
	return cmd_help(NULL, named, found);
}

int cmd_version(struct cmd_context *context, const char *const *words, size_t count)
{
	json_t *document;

	(void)words;
	(void)count;
	if (!context->json) {
		printf("xdnat %s (ABI %d, libbpf %u.%u)\n", XDNAT_VERSION, XDNAT_ABI,
		       libbpf_major_version(), libbpf_minor_version());
		return 0;
	}
	document = out_document("version");
	json_object_set_new(document, "xdnat", json_string(XDNAT_VERSION));
	json_object_set_new(document, "abi", json_integer(XDNAT_ABI));
	json_object_set_new(document, "libbpf",
			    json_sprintf("%u.%u", libbpf_major_version(), libbpf_minor_version()));
	return out_json(document, false);
}
