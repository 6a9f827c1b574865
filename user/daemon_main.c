// SPDX-License-Identifier: GPL-2.0-only
/*
 * xdnatd: its command line, its exit code. What it does, daemon.c says.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>

#include "addr.h"
#include "daemon.h"
#include "fail.h"
#include "log.h"

struct arguments {
	const char *instance;
	int ready;
	bool wants_help, wants_version;
};

static const struct option long_options[] =
	{
		{"instance", required_argument, NULL, 'i'},
		{"ready-fd", required_argument, NULL, 'r'}, /* for instance_start_daemon() */
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{},
};

static int parse_ready(const char *text, int *ready)
{
	uint64_t descriptor;

	if (number_parse(text, "--ready-fd", 3, 1023, &descriptor))
		return -EUSAGE;
	if (fcntl(descriptor, F_SETFD, FD_CLOEXEC))
		return fail(-EUSAGE, "--ready-fd %s is not open", text);
	*ready = descriptor;
	return 0;
}

static int parse_arguments(int count, char **words, struct arguments *arguments)
{
	int option, err = 0;

	opterr = 0;
	while (!err && (option = getopt_long(count, words, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'i':
			arguments->instance = optarg;
			break;
		case 'r':
			err = parse_ready(optarg, &arguments->ready);
			break;
		case 'h':
			arguments->wants_help = true;
			break;
		case 'V':
			arguments->wants_version = true;
			break;
		default:
			err = fail(-EUSAGE, "'%s' is not an option, or lacks its value",
				   words[optind - 1]);
		}
	}
	if (!err && optind < count)
		err = fail(-EUSAGE, "'%s' is not expected", words[optind]);
	return err;
}

static int help(void)
{
	puts("Usage: xdnatd [--instance NAME]\n"
	     "\n"
	     "Looks after a loaded instance of xdnat: interfaces stay attached, listeners\n"
	     "follow their addresses, next hops stay resolved, expired flows are freed.\n"
	     "`xdnat load` starts it; it logs to syslog (journalctl -t xdnatd).\n"
	     "\n"
	     "  --instance NAME  the instance (default: $XDNAT_INSTANCE, else \"default\")\n"
	     "  --version        print the version\n"
	     "  --help           print this");
	return 0;
}

int main(int count, char **words)
{
	struct arguments arguments = {.ready = -1};
	struct instance instance;
	int err;

	log_init("xdnatd");
	log_to_syslog();
	err = parse_arguments(count, words, &arguments);
	if (!err && arguments.wants_help)
		return help();
	if (!err && arguments.wants_version)
		return puts("xdnatd " XDNAT_VERSION) < 0;
	if (!err)
		err = instance_init(&instance, arguments.instance);
	if (err) {
		log_error("%s; see: xdnatd --help", fail_text());
		daemon_tell_starter(arguments.ready, fail_text());
		return 2;
	}
	err = daemon_run(&instance, arguments.ready);
	if (err)
		log_error("%s", fail_text());
	return fail_exit_code(err);
}
