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
#include "out.h"
#include "xdnat_abi.h"

#define HELP_COLUMN 30

static const char grammar_text[] =
	"A rule says where clients connect and where that goes, left to right:\n"
	"\n"
	"  [ADDRESS:]PORTS:TARGET[:TARGET-PORTS][/PROTOCOL] [KEY=VALUE...]\n"
	"\n"
	"  80:10.0.0.5                        port 80 of this host to 10.0.0.5, port 80\n"
	"  8080:10.0.0.5:80                   port 8080 to port 80 of 10.0.0.5\n"
	"  203.0.113.7:8080:10.0.0.5:80       only at this address of the host\n"
	"  eth0:8080:10.0.0.5:80              at the addresses of eth0, as they change\n"
	"  '*:8080:10.0.0.5:80'               at the addresses of all loaded interfaces\n"
	"  53:10.0.0.6/udp                    UDP; without /udp a rule is for TCP\n"
	"  53:10.0.0.6/tcp+udp                both, as one rule\n"
	"  30000-30099:10.0.0.7/udp           a range of ports, to the same ports\n"
	"  30000-30099:10.0.0.7:40000-40099   to as many others, the first to the first\n"
	"  30000-30099:10.0.0.7:53/udp        all to one port\n"
	"  '*:10.0.0.9/tcp+udp'               all ports that this host has no use for itself\n"
	"  '*:10.0.0.9' except=443,8000-8010  all but these\n"
	"  8080:local:80                      to port 80 of this host itself\n"
	"  27015:192.0.2.20 mode=masquerade   the target sees this host, and answers it\n"
	"  443:10.0.0.5 hairpin=on            also for clients in the target's network\n"
	"  '[2001:db8::7]:443:[fd00::5]:8443' IPv6 stands in brackets (quote them)\n"
	"\n"
	"Without ADDRESS a rule holds for the loaded interfaces that have a default route,\n"
	"or for all loaded ones if none has. Family follows the target; a local rule without\n"
	"ADDRESS holds for IPv4 and IPv6.\n"
	"\n"
	"Where rules meet: those with ADDRESS first, then one port before a range before all\n"
	"(*). Two of one kind that have a port in common are refused; except= leaves a port\n"
	"to the other. From * also those ports are excepted on which this host listens, as\n"
	"sockets come and go (seen within 5 seconds), unless another rule names them. Not\n"
	"so the ports of connections that this host opens: where it does so from such an\n"
	"address, leave it theirs, as a rule except=32768-60999 (sysctl\n"
	"net.ipv4.ip_local_port_range).\n"
	"\n"
	"local: the address stays what it is, the port changes. Services that listen on\n"
	"127.0.0.1 only are out of reach.\n"
	"\n"
	"Keys: name=WORD (else a rule is named by its listener: 203.0.113.7:8080/tcp),\n"
	"comment='TEXT', enabled=no (kept, but as if it were not there), except=PORTS,\n"
	"mode=masquerade, snat=ADDRESS, hairpin=on.\n"
	"For allow= and deny= see also: xdnat help sources.\n"
	"\n"
	"  80:10.0.0.5 allow=192.0.2.0/24,198.51.100.7   only for clients from there\n"
	"  80:10.0.0.5 deny=@/etc/xdnat/blocklist        not for those in the file\n"
	"  443:10.0.0.5 mss=auto      TCP: segments fit the MTU of both ways (PPPoE, tunnels)\n"
	"  443:10.0.0.5 mss=1360      or this size (IPv4 from 536, IPv6 from 1220)\n"
	"\n"
	"`rule add -` and `rule replace -` read such rules from standard input, one a line;\n"
	"empty lines and lines that begin with # are left out. All of them come into force\n"
	"at once, or, if one is wrong, none. `rule list --format rules` writes them.\n"
	"`rule replace NAME RULE` keeps the name, unless name= is given, and no other key.\n"
	"\n"
	"The target sees the client's own address, so the target's replies\n"
	"must come back through this host: it is the target's gateway, or on the route.\n";

static const char sources_text[] =
	"allow= and deny= say whose new connections a rule takes. A client is admitted if\n"
	"there is no allow=, or a prefix of it holds the client's address, and no prefix of\n"
	"deny= does. To others it is as if the rule were not there: a less specific rule or\n"
	"this host itself has their packets. Connections that exist go on until they end;\n"
	"to end them at once: xdnat flow kill src=ADDR\n"
	"\n"
	"  allow=192.0.2.0/24,198.51.100.7   prefixes or addresses of the rule's family\n"
	"  allow=@/etc/xdnat/office          those in a file, one a line; empty lines and\n"
	"                                    what follows # are left out\n"
	"\n"
	"A file may hold many thousands; that makes no connection slower. It is read when\n"
	"its rule is added, replaced or enabled. When it has changed, type:\n"
	"  xdnat rule enable NAME\n"
	"which puts the new list in force at one blow. `rule add` of a rule that is there\n"
	"does not read it. If it cannot be read, or a line is wrong, nothing changes: the\n"
	"rule keeps the list that is in force (exit code 6; file and line are named).\n";

static const char filter_text[] =
	"Words that must all hold; none: every flow.\n"
	"\n"
	"  src=ADDR[:PORT]   the client\n"
	"  dst=ADDR[:PORT]   the listener or the target\n"
	"  rule=NAME         made by this rule\n"
	"  proto=tcp|udp\n"
	"  state=WORD        embryo       the target has not answered yet\n"
	"                    half-open    TCP: answered, the client has not gone on\n"
	"                    established  TCP: both have\n"
	"                    answered     UDP: answered; as a filter also established TCP\n"
	"                    closing      TCP: a FIN or RST has passed\n";

static const char exit_text[] =
	"  0  done, or it was so already\n"
	"  1  failed\n"
	"  2  the command line is wrong\n"
	"  3  xdnat is not loaded\n"
	"  4  no such rule, flow or interface\n"
	"  5  conflict: port taken, another XDP program, another network namespace\n"
	"  6  invalid rule or configuration; nothing was changed\n"
	"  7  not permitted, or the kernel lacks a feature\n";

static const char files_text[] =
	"  " XDNAT_PIN_ROOT "/INSTANCE/       programs and maps: all that forwarding needs\n"
	"  " XDNAT_RUN_ROOT "/INSTANCE/xdnatd.pid    the daemon's process\n"
	"  " XDNAT_RUN_ROOT "/INSTANCE/rules         the live rules, one a line\n"
	"\n"
	"Nothing of it survives a reboot, and 'xdnat unload --all' removes it.\n";

static const char json_text[] =
	"With --json every command that prints data prints one object on stdout, and\n"
	"'flow list' one object a line (JSON Lines). What is said to people stays on stderr.\n"
	"\n"
	"  {\"version\": 1, \"kind\": \"flow_count\", \"count\": 3}\n"
	"  {\"version\":1,\"kind\":\"error\",\"exit_code\":3,\"error\":\"xdnat is not loaded "
	"...\"}\n"
	"\n"
	"kind says which object it is. A command that fails prints an object of the kind\n"
	"error, at last; its exit_code is the command's. Within version 1 members keep name,\n"
	"type and meaning, and are there whether or not they have something to say (null,\n"
	"empty); later versions of xdnat may add members, kinds and words (of states,\n"
	"reasons, problems): ignore what you do not know. Numbers are whole: bytes, packets,\n"
	"seconds (_sec).\n"
	"\n"
	"The JSON Schema, xdnat.schema.json, is installed in share/xdnat beside sbin/xdnat.\n";

static const struct {
	const char *name;
	const char *help;
	const char *text;
} topics[] = {
	{"grammar", "how a rule is written, by example", grammar_text},
	{"exit", "exit codes", exit_text},
	{"sources", "allow= and deny=, lists in files", sources_text},
	{"filter", "how flows are chosen", filter_text},
	{"json", "what --json prints", json_text},
	{"files", "what is where", files_text},
};
#define TOPICS (sizeof(topics) / sizeof(topics[0]))

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
	size_t i;

	printf("xdnat forwards TCP and UDP ports inside the kernel, on the network card (XDP)\n"
	       "or right behind it (tc).\n");
	printf("\nCommands\n");
	for (cmd = cmd_table; cmd->verb; cmd++)
		print_line(cmd);
	printf("\nOptions of every command, before or after it\n");
	opt_help(cmd_global_options);
	printf("\nMore: xdnat help COMMAND, or one of these topics\n");
	for (i = 0; i < TOPICS; i++)
		printf("  help %-*s %s\n", HELP_COLUMN - 5, topics[i].name, topics[i].help);
	printf("\nForward port 8080 of this host to port 80 of 10.0.0.5. Clients come in by eth0,\n"
	       "10.0.0.5 is behind eth1 and sends its replies back through this host.\n"
	       "  sysctl -w net.ipv4.ip_forward=1      (IPv6: net.ipv6.conf.all.forwarding=1)\n"
	       "  xdnat load eth0 eth1\n"
	       "  xdnat rule add 8080:10.0.0.5:80\n");
}

static bool print_topic(const char *name)
{
	size_t i;

	for (i = 0; i < TOPICS; i++) {
		if (strcmp(topics[i].name, name) == 0)
			return fputs(topics[i].text, stdout) >= 0;
	}
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
		return fail_while(
			err, "no help for '%s' (topics: grammar sources exit filter json files)",
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
