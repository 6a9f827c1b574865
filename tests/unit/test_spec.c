// SPDX-License-Identifier: GPL-2.0-only
/* fail.h comes before cmocka.h, which has a macro of that name. */
#include "addr.h"
#include "fail.h"
#include "spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS(table)   (sizeof(table) / sizeof((table)[0]))
#define RANDOM_SPECS  100000
#define COMMENT_MAX   (SPEC_COMMENT_BYTES - 1)
#define SIXTY_THREE_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct valid_row {
	const char *line, *canonical;
	enum spec_bind bind;
	const char *bind_text; /* address or interface, NULL for neither */
	uint16_t port, target_port;
	const char *target;
	uint8_t protos;
	const char *name, *comment;
};

static const struct valid_row valid[] = {
	{"80:10.0.0.5:8080", "80:10.0.0.5:8080/tcp", SPEC_BIND_DEFAULT, NULL, 80, 8080, "10.0.0.5",
	 SPEC_TCP, "80/tcp", ""},
	{"203.0.113.7:443:10.0.0.5", "203.0.113.7:443:10.0.0.5:443/tcp", SPEC_BIND_ADDRESS,
	 "203.0.113.7", 443, 443, "10.0.0.5", SPEC_TCP, "203.0.113.7:443/tcp", ""},
	{"53:10.0.0.6/udp", "53:10.0.0.6:53/udp", SPEC_BIND_DEFAULT, NULL, 53, 53, "10.0.0.6",
	 SPEC_UDP, "53/udp", ""},
	{"[2001:db8::7]:443:[fd00::5]:8443", "[2001:db8::7]:443:[fd00::5]:8443/tcp",
	 SPEC_BIND_ADDRESS, "2001:db8::7", 443, 8443, "fd00::5", SPEC_TCP, "[2001:db8::7]:443/tcp",
	 ""},
	{"*:80:10.0.0.5", "*:80:10.0.0.5:80/tcp", SPEC_BIND_ALL, NULL, 80, 80, "10.0.0.5", SPEC_TCP,
	 "*:80/tcp", ""},
	{"eth0.100:80:10.0.0.5/udp", "eth0.100:80:10.0.0.5:80/udp", SPEC_BIND_INTERFACE, "eth0.100",
	 80, 80, "10.0.0.5", SPEC_UDP, "eth0.100:80/udp", ""},
	{"80x:80:10.0.0.5", "80x:80:10.0.0.5:80/tcp", SPEC_BIND_INTERFACE, "80x", 80, 80,
	 "10.0.0.5", SPEC_TCP, "80x:80/tcp", ""},
	{"12345678901234a:80:10.0.0.5", "12345678901234a:80:10.0.0.5:80/tcp", SPEC_BIND_INTERFACE,
	 "12345678901234a", 80, 80, "10.0.0.5", SPEC_TCP, "12345678901234a:80/tcp", ""},
	{"'a$b':80:10.0.0.5", "'a$b':80:10.0.0.5:80/tcp", SPEC_BIND_INTERFACE, "a$b", 80, 80,
	 "10.0.0.5", SPEC_TCP, "a$b:80/tcp", ""},
	{"65535:[FD00:0::5]", "65535:[fd00::5]:65535/tcp", SPEC_BIND_DEFAULT, NULL, 65535, 65535,
	 "fd00::5", SPEC_TCP, "65535/tcp6", ""},
	{"1:10.0.0.5:1/tcp name=web mode=preserve", "1:10.0.0.5:1/tcp name=web", SPEC_BIND_DEFAULT,
	 NULL, 1, 1, "10.0.0.5", SPEC_TCP, "web", ""},
	{"  80:10.0.0.5\tcomment=front  name=Web_1.a-b \n",
	 "80:10.0.0.5:80/tcp name=Web_1.a-b comment=front", SPEC_BIND_DEFAULT, NULL, 80, 80,
	 "10.0.0.5", SPEC_TCP, "Web_1.a-b", "front"},
	{"80:10.0.0.5 comment='two words'", "80:10.0.0.5:80/tcp comment='two words'",
	 SPEC_BIND_DEFAULT, NULL, 80, 80, "10.0.0.5", SPEC_TCP, "80/tcp", "two words"},
	{"80:10.0.0.5 comment=\"it's \\\"up\\\"\"", "80:10.0.0.5:80/tcp comment='it'\\''s \"up\"'",
	 SPEC_BIND_DEFAULT, NULL, 80, 80, "10.0.0.5", SPEC_TCP, "80/tcp", "it's \"up\""},
	{"80:10.0.0.5 comment=a\\ b\\\\", "80:10.0.0.5:80/tcp comment='a b\\'", SPEC_BIND_DEFAULT,
	 NULL, 80, 80, "10.0.0.5", SPEC_TCP, "80/tcp", "a b\\"},
	{"80:10.0.0.5 comment=grün;rm", "80:10.0.0.5:80/tcp comment='grün;rm'", SPEC_BIND_DEFAULT,
	 NULL, 80, 80, "10.0.0.5", SPEC_TCP, "80/tcp", "grün;rm"},
	{"80:10.0.0.5 comment=a=b", "80:10.0.0.5:80/tcp comment=a=b", SPEC_BIND_DEFAULT, NULL, 80,
	 80, "10.0.0.5", SPEC_TCP, "80/tcp", "a=b"},
	{"80:10.0.0.5 comment=", "80:10.0.0.5:80/tcp", SPEC_BIND_DEFAULT, NULL, 80, 80, "10.0.0.5",
	 SPEC_TCP, "80/tcp", ""},
	{"80:10.0.0.5 hairpin=on mode=masquerade snat=10.0.0.1",
	 "80:10.0.0.5:80/tcp mode=masquerade snat=10.0.0.1 hairpin=on", SPEC_BIND_DEFAULT, NULL, 80,
	 80, "10.0.0.5", SPEC_TCP, "80/tcp", ""},
	{"80:[fd00::5] snat=[fd00::0:1] hairpin=off", "80:[fd00::5]:80/tcp snat=fd00::1",
	 SPEC_BIND_DEFAULT, NULL, 80, 80, "fd00::5", SPEC_TCP, "80/tcp6", ""},
	{"80:10.0.0.5 name=" SIXTY_THREE_A, "80:10.0.0.5:80/tcp name=" SIXTY_THREE_A,
	 SPEC_BIND_DEFAULT, NULL, 80, 80, "10.0.0.5", SPEC_TCP, SIXTY_THREE_A, ""},
};

static void check_fields(const struct valid_row *row, const struct spec *spec)
{
	char text[ADDR_TEXT_BYTES];

	assert_int_equal(spec->bind, row->bind);
	if (row->bind == SPEC_BIND_ADDRESS)
		assert_string_equal(addr_format(&spec->bind_addr, false, text), row->bind_text);
	else if (row->bind == SPEC_BIND_INTERFACE)
		assert_string_equal(spec->bind_interface, row->bind_text);
	assert_int_equal(spec->form, SPEC_EXACT);
	assert_int_equal(spec->ports.first_host, row->port);
	assert_int_equal(spec->ports.last_host, row->port);
	assert_string_equal(addr_format(&spec->target, false, text), row->target);
	assert_int_equal(spec->target_ports.first_host, row->target_port);
	assert_int_equal(spec->target_ports.last_host, row->target_port);
	assert_int_equal(spec->protos, row->protos);
	assert_string_equal(spec->name, row->name);
	assert_string_equal(spec->comment, row->comment);
}

static void test_valid(void **state)
{
	char line[XDNAT_SPEC_BYTES];
	struct spec spec, again;

	(void)state;
	for (size_t i = 0; i < ROWS(valid); i++) {
		if (spec_parse_line(valid[i].line, &spec))
			fail_msg("%s: %s", valid[i].line, fail_text());
		check_fields(&valid[i], &spec);
		spec_format(&spec, line);
		assert_string_equal(line, valid[i].canonical);
		assert_int_equal(spec_parse_line(line, &again), 0);
		assert_true(spec_equal(&spec, &again));
	}
}

static const struct {
	const char *line, *canonical, *name;
} forms[] = {
	{"30000-30099:10.0.0.7:40000-40099/udp", "30000-30099:10.0.0.7:40000-40099/udp",
	 "30000-30099/udp"},
	{"30000-30099:10.0.0.7", "30000-30099:10.0.0.7:30000-30099/tcp", "30000-30099/tcp"},
	{"30000-30099:10.0.0.7:53", "30000-30099:10.0.0.7:53/tcp", "30000-30099/tcp"},
	{"30000-30099:10.0.0.7:53-53", "30000-30099:10.0.0.7:53/tcp", "30000-30099/tcp"},
	{"80-80:10.0.0.7:90", "80:10.0.0.7:90/tcp", "80/tcp"},
	{"1-65535:[fd00::5]", "1-65535:[fd00::5]:1-65535/tcp", "1-65535/tcp6"},
	{"*:10.0.0.9/tcp+udp", "*:10.0.0.9/tcp+udp", "*/tcp+udp"},
	{"*:10.0.0.9:1-65535/udp+tcp", "*:10.0.0.9/tcp+udp", "*/tcp+udp"},
	{"*:10.0.0.9:53/udp", "*:10.0.0.9:53/udp", "*/udp"},
	{"*:*:[fd00::5]", "*:*:[fd00::5]/tcp", "*:*/tcp6"},
	{"eth0:*:10.0.0.9", "eth0:*:10.0.0.9/tcp", "eth0:*/tcp"},
	{"[2001:db8::7]:80-90:[fd00::5]", "[2001:db8::7]:80-90:[fd00::5]:80-90/tcp",
	 "[2001:db8::7]:80-90/tcp"},
	{"*:10.0.0.9 except=8000-8010,22,443,444-500,8005-8020 name=dmz",
	 "*:10.0.0.9/tcp name=dmz except=22,443-500,8000-8020", "dmz"},
	{"80-90:10.0.0.9:1 except=80,90", "80-90:10.0.0.9:1/tcp except=80,90", "80-90/tcp"},
	{"8080:local:80", "8080:local:80/tcp", "8080/tcp"},
	{"203.0.113.7:8080:local:80/tcp+udp", "203.0.113.7:8080:local:80/tcp+udp",
	 "203.0.113.7:8080/tcp+udp"},
	{"[2001:db8::7]:53:local:5353/udp", "[2001:db8::7]:53:local:5353/udp",
	 "[2001:db8::7]:53/udp"},
	{"80-90:local:85 except=85", "80-90:local:85/tcp except=85", "80-90/tcp"},
	{"80-90:local:85-95", "80-90:local:85-95/tcp", "80-90/tcp"},
	{"local:80:10.0.0.5", "local:80:10.0.0.5:80/tcp", "local:80/tcp"},
};

static void test_forms(void **state)
{
	char line[XDNAT_SPEC_BYTES];
	struct spec spec, again;

	(void)state;
	for (size_t i = 0; i < ROWS(forms); i++) {
		if (spec_parse_line(forms[i].line, &spec))
			fail_msg("%s: %s", forms[i].line, fail_text());
		spec_format(&spec, line);
		assert_string_equal(line, forms[i].canonical);
		assert_string_equal(spec.name, forms[i].name);
		assert_int_equal(spec_parse_line(line, &again), 0);
		assert_true(spec_equal(&spec, &again));
	}
}

/* The most that except= takes, with the longest of everything else, is refused rather
 * than cut. */
static void test_long_exceptions(void **state)
{
	char text[1024] = "[2001:db8:1111:2222:3333:4444:5555:6666]:*:[2001:db8:1111:2222:3333:"
			  "4444:5555:6666]/tcp+udp name=" SIXTY_THREE_A " except=10000-10001";
	struct spec spec;

	(void)state;
	for (int i = 1; i < SPEC_EXCEPT_MAX; i++)
		sprintf(text + strlen(text), ",%d-%d", 10000 + 10 * i, 10001 + 10 * i);
	assert_int_equal(spec_parse_line(text, &spec), -EINVAL);
	assert_non_null(strstr(fail_text(), "the rule is longer than 511 bytes"));
}

static void test_has_port(void **state)
{
	struct spec spec;

	(void)state;
	assert_int_equal(spec_parse_line("80-90:10.0.0.5 except=82-84", &spec), 0);
	for (uint16_t port_host = 78; port_host < 93; port_host++)
		assert_int_equal(spec_has_port(&spec, port_host),
				 port_host >= 80 && port_host <= 90 &&
					 (port_host < 82 || port_host > 84));
}

static const struct {
	const char *line, *message;
} refused[] = {
	/* What people type, and the repair. */
	{"8080:80", "8080:80 names no target: type 8080:ADDRESS:80 (for example 8080:10.0.0.5:80)"},
	{"8080:80/udp", "type 8080:ADDRESS:80/udp (for example 8080:10.0.0.5:80/udp)"},
	{"203.0.113.7:8080:80", "type 203.0.113.7:8080:ADDRESS:80 "},
	{"203.0.113.7:8080", "type 203.0.113.7:8080:ADDRESS:8080"},
	{"10.0.0.5:80/udp", "10.0.0.5:80/udp names no target: to forward port 80 to it, type "
			    "80:10.0.0.5/udp; to listen there, type 10.0.0.5:80:ADDRESS:80/udp"},
	{"[fd00::5]:80-90", "type 80-90:[fd00::5]; to listen"},
	{"eth0:80", "eth0:80 names no target: type eth0:80:ADDRESS:80 "},
	{"http:10.0.0.5", "\"http\" is not a port number: type PORT:10.0.0.5, or, if clients come "
			  "in there, http:PORT:10.0.0.5"},
	{"http:10.0.0.5:80/udp", "type PORT:10.0.0.5:80/udp, or"},
	{"http:[fd00::5]", "type PORT:[fd00::5], or"},
	{"80 10.0.0.5", "a rule is one word: type 80:10.0.0.5"},
	{"80 10.0.0.5:8080/udp name=web", "type 80:10.0.0.5:8080/udp"},
	{"80:10.0.0.5 8080", "a rule is one word: type 80:10.0.0.5:8080"},
	{"80 name=web", "80 names no target"},
	{"80", "80 names no target: type 80:ADDRESS:80 "},
	{"80:", "names no target"},
	{"*:80", "type *:80:ADDRESS:80"},
	{"80:fd00::5:80", "brackets: type 80:[fd00::5]:80"},
	{"eth0:80:fd00::5/udp", "brackets: type eth0:80:[fd00::5]/udp"},
	{"80:2001:db8:1:2:3:4:5:6:443", "type 80:[2001:db8:1:2:3:4:5:6]:443"},
	{"fd00::7:443:10.0.0.5", "IPv6 address needs brackets"},
	{"", "the rule is empty"},
	{"  ", "the rule is empty"},
	{"web", "\"web\" is not a rule: type PORT:ADDRESS[:PORT]"},
	{"name=web 80:10.0.0.5", "type the rule first"},
	/* Ports. */
	{"80x:10.0.0.5", "port \"80x\" is not a whole number from 1 to 65535"},
	{"0:10.0.0.5", "port \"0\""},
	{"65536:10.0.0.5", "port \"65536\""},
	{"080:10.0.0.5", "leading zeros"},
	{"eth0:80x:10.0.0.5", "port \"80x\""},
	{"eth0:10.0.0.5", "or, if clients come in there, eth0:PORT:10.0.0.5"},
	{"80:10.0.0.5:0", "port \"0\""},
	{"80:10.0.0.5:65536", "port \"65536\""},
	{"80:10.0.0.5:", "port \"\""},
	{"80:10.0.0.5:80x", "port \"80x\""},
	{"90-80:10.0.0.5", "the port range 90-80 is reversed: type 80-90"},
	{"80-:10.0.0.5", "the port range 80-: port \"\""},
	{":80:10.0.0.5", "nothing where an address or interface belongs"},
	/* Addresses. */
	{"80:999.0.0.1:80", "\"999.0.0.1\" is not an IPv4 address"},
	{"80:10.0.0:80", "\"10.0.0\" is not an IPv4 address"},
	{"80:010.0.0.5", "leading zeros"},
	{"80:10.0.0.5:80:90", "too many fields"},
	{"80:[fd00::5]:80:90", "port \"80:90\""},
	{"80:[fd00::5]80", "not an IPv6 address in brackets"},
	{"80:[fd00::5", "not an IPv6 address in brackets"},
	{"80:[]", "an address is missing"},
	{"80:[10.0.0.5]", "brackets are for IPv6: type 10.0.0.5"},
	{"80:[fe80::1%eth0]", "zone"},
	{"80:10.0.0.5!", "not an IPv4 or IPv6 address"},
	{"80:0.0.0.0", "no machine's address"},
	{"80:127.0.0.1", "services on loopback are out of reach"},
	{"80:224.0.0.1", "multicast"},
	{"80:255.255.255.255", "broadcast"},
	{"80:240.0.0.1", "reserved"},
	{"80:[::]", "no machine's address"},
	{"80:[::1]", "services on loopback are out of reach"},
	{"80:[ff02::1]", "multicast"},
	{"80:[fe80::1]", "link-local"},
	{"80:[::ffff:10.0.0.5]", "type 10.0.0.5"},
	{"0.0.0.0:80:10.0.0.5", "type *"},
	{"127.0.0.1:80:10.0.0.5", "never reach it"},
	{"999.0.0.1:80:10.0.0.5", "\"999.0.0.1\" is not an IPv4 address"},
	{"203.0.113.7:80:[fd00::5]", "mixes IPv4 and IPv6"},
	{"[2001:db8::7]:80:10.0.0.5", "mixes IPv4 and IPv6"},
	/* Ranges. */
	{"80-90:10.0.0.5:80-91",
	 "unequal port ranges: 80-90 and 80-91 are 11 and 12 ports; type 80-90 for the target, or "
	 "one port"},
	{"80-90:10.0.0.5:65530-65535", "are 11 and 6 ports; type as many for the target"},
	{"80:10.0.0.5:80-90", "unequal port ranges: 80 and 80-90 are 1 and 11 ports; type 80 for"},
	{"80-90:10.0.0.5:90-80", "the port range 90-80 is reversed: type 80-90"},
	{"1-65536:10.0.0.5", "the port range 1-65536: port \"65536\""},
	{"0-10:10.0.0.5", "the port range 0-10: port \"0\""},
	{"-:10.0.0.5", "the port range -: port \"\""},
	{"80-90-100:10.0.0.5", "port \"90-100\""},
	{"80,81:10.0.0.5", "\"80,81\": one port or range a rule; add a rule for each"},
	{"eth0:80-90,443:10.0.0.5", "\"80-90,443\": one port or range a rule"},
	{"*:10.0.0.9:80-90", "* goes to the same ports of the target or to one: leave 80-90 out"},
	{"*:10.0.0.9:*", "port * is refused: leave it out"},
	{"80-90", "80-90 names no target: type 80-90:ADDRESS:80-90 "},
	/* Exceptions. */
	{"80:10.0.0.5 except=80", "except= is for ranges of ports and *"},
	{"80-90:10.0.0.5 except=", "except=: port \"\""},
	{"80-90:10.0.0.5 except=82,,83", "except=: port \"\""},
	{"80-90:10.0.0.5 except=x", "except=: port \"x\""},
	{"80-90:10.0.0.5 except=85-84", "85-84 is reversed: type 84-85"},
	{"80-90:10.0.0.5 except=79", "except=79 is not among the rule's ports, 80-90"},
	{"80-90:10.0.0.5 except=85-91", "except=85-91 is not among the rule's ports, 80-90"},
	{"80-90:10.0.0.5 except=80-85,86-90", "leaves no port: type enabled=no"},
	{"*:10.0.0.5 except=1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41,43,45,47,49,"
	 "51,53,55,57,59,61,63,65",
	 "except= takes 32 ports and ranges at most"},
	/* This host itself. */
	{"80:local", "type another, as in 8080:local:80"},
	{"80:local:80", "type another, as in 8080:local:80"},
	{"80-90:local", "a rule changes the port"},
	{"80-90:local:85", "port 85 of this host stays port 85: leave it out of the ports, for "
			   "example by except=85"},
	{"*:local", "a rule changes the port"},
	{"80:local:", "port \"\""},
	{"80:Local:8080", "DNS names (Local)"},
	{"eth0:local:80", "\"eth0\" is not a port number: type PORT:local:80"},
	/* Interfaces. */
	{"abcdefghijklmnop:80:10.0.0.5", "at most 15 characters"},
	{"'a b':80:10.0.0.5", "neither an address nor an interface"},
	{"..:80:10.0.0.5", "not an IPv4"},
	/* Protocols. */
	{"80:10.0.0.5/sctp", "the protocol \"sctp\" is not known: type /tcp, /udp or /tcp+udp"},
	{"80:10.0.0.5/", "the protocol \"\""},
	{"80:10.0.0.5/TCP", "the protocol \"TCP\""},
	{"80:10.0.0.5/tcp/udp", "the protocol \"tcp/udp\""},
	/* Keys. */
	{"80:10.0.0.5 junk", "\"junk\" after the rule is not KEY=VALUE"},
	{"80:10.0.0.5 colour=red", "colour= is not known; valid: name=, "},
	{"80:10.0.0.5 Name=x", "Name= is not known"},
	{"80:10.0.0.5 =x", "is not known"},
	{"80:10.0.0.5 name=x name=x", "name= is given twice"},
	{"80:10.0.0.5 comment= comment=", "comment= is given twice"},
	{"80:10.0.0.5 name=", "name= is empty"},
	{"80:10.0.0.5 name=a:b", "only letters, digits"},
	{"80:10.0.0.5 name=a=b", "only letters, digits"},
	{"80:10.0.0.5 name='a b'", "only letters, digits"},
	{"80:10.0.0.5 name=a/b", "only letters, digits"},
	{"80:10.0.0.5 name=-a", "only letters, digits"},
	{"80:10.0.0.5 name=ü", "only letters, digits"},
	{"80:10.0.0.5 name=a" SIXTY_THREE_A, "longer than 63"},
	{"80:10.0.0.5 comment=" SIXTY_THREE_A SIXTY_THREE_A "aaa", "longer than 128 bytes"},
	{"80:10.0.0.5 comment='a\nb'", "control characters"},
	{"80:10.0.0.5 comment=\033[1m", "control characters"},
	{"80:10.0.0.5 comment=a\x7f", "control characters"},
	{"80:10.0.0.5 comment=a\xc2\x9b", "control characters"},
	{"80:10.0.0.5 comment=a\xff", "not UTF-8"},
	{"80:10.0.0.5 comment='open", "a quote is not closed"},
	{"80:10.0.0.5 mode=bridge", "mode=bridge is not known"},
	{"80:10.0.0.5 allow=192.0.2.0/24,@/f", "a file stands alone: write the prefixes into it, "
					       "and type allow=@/f"},
	{"80:10.0.0.5 deny=192.0.2.0/24,@", "type deny=@FILE"},
	/* What later versions bring. */
	{"80:10.0.0.5:8080,10.0.0.6:8080@3", "several targets"},
	{"80:10.0.0.5:8080@3", "weights (@3) are not in this version"},
	{"80:10.0.0.5~", "backup targets (~) are not in this version"},
	{"80:www.example.org:80", "DNS names (www.example.org) are not in this version"},
	{"80:10.0.0.5 mode=Masquerade", "mode=Masquerade is not known"},
	{"80:local mode=masquerade", "is for other hosts"},
	{"80:local hairpin=on", "is for other hosts"},
	{"80:local snat=10.0.0.1", "is for other hosts"},
	{"80:10.0.0.5 hairpin=yes", "hairpin=yes is not known"},
	{"80:10.0.0.5 snat=", "snat="},
	{"80:10.0.0.5 snat=fd00::1", "one family"},
	{"80:[fd00::5] snat=10.0.0.1", "one family"},
	{"80:10.0.0.5 snat=127.0.0.1", "loopback"},
};

static void test_refused(void **state)
{
	struct spec spec;

	(void)state;
	for (size_t i = 0; i < ROWS(refused); i++) {
		if (spec_parse_line(refused[i].line, &spec) != -EINVAL)
			fail_msg("\"%s\" was taken", refused[i].line);
		if (!strstr(fail_text(), refused[i].message))
			fail_msg("\"%s\": %s", refused[i].line, fail_text());
	}
}

static void test_later_keys(void **state)
{
	static const char *const later[] = {
		"idle-tcp",   "idle-udp",  "max-flows", "new-rate",	 "new-rate-source",
		"log",	      "balance",   "check",	"check-every",	 "rise",
		"fall",	      "on-down",   "no-target", "check-timeout", "sticky",
		"slow-start", "on-resolve"};
	char key[64], message[96];

	(void)state;
	for (size_t i = 0; i < ROWS(later); i++) {
		const char *words[] = {"80:10.0.0.5", key};
		struct spec spec;

		snprintf(key, sizeof(key), "%s=x", later[i]);
		snprintf(message, sizeof(message), "%s= is not in this version", later[i]);
		assert_int_equal(spec_parse(words, 2, &spec), -EINVAL);
		assert_non_null(strstr(fail_text(), message));
	}
}

static void test_enabled(void **state)
{
	const char *const words[] = {"80:10.0.0.5", "enabled=no"};
	struct spec spec, other;
	char line[XDNAT_SPEC_BYTES];

	(void)state;
	assert_int_equal(spec_parse(words, 1, &spec), 0);
	assert_true(spec.enabled);
	assert_int_equal(spec_parse(words, 2, &other), 0);
	assert_false(other.enabled);
	assert_false(spec_equal(&spec, &other));
	assert_true(spec_same_listener(&spec, &other) && spec_same_target(&spec, &other));
	spec_format(&other, line);
	assert_string_equal(line, "80:10.0.0.5:80/tcp enabled=no");
	spec_format(&spec, line);
	assert_string_equal(line, "80:10.0.0.5:80/tcp");
	assert_int_equal(spec_parse_line("80:10.0.0.5 enabled=perhaps", &spec), -EINVAL);
	assert_non_null(strstr(fail_text(), "enabled=no"));
}

static void test_words(void **state)
{
	const char *const apart[] = {"80:10.0.0.5", "comment=it's \"two\" words", "name=web"};
	const char *const quoted[] = {"80:10.0.0.5 comment='two words' name=web"};
	const char *const split[] = {"80:10.0.0.5 comment=two", "name=web"};
	struct spec spec;

	(void)state;
	assert_int_equal(spec_parse(apart, 3, &spec), 0);
	assert_string_equal(spec.comment, "it's \"two\" words");
	assert_string_equal(spec.name, "web");
	assert_int_equal(spec_parse(quoted, 1, &spec), 0);
	assert_string_equal(spec.comment, "two words");
	assert_int_equal(spec_parse(split, 2, &spec), -EINVAL);
	assert_int_equal(spec_parse(NULL, 0, &spec), -EINVAL);
}

/* A comment of quotes takes four bytes a character: refused, not cut. */
static void test_line_is_bounded(void **state)
{
	char comment[sizeof("comment=") + COMMENT_MAX], line[XDNAT_SPEC_BYTES];
	const char *words[] = {"80:10.0.0.5", comment};
	struct spec spec, again;

	(void)state;
	for (int quotes = 0; quotes <= COMMENT_MAX; quotes++) {
		const int needed = (int)strlen("80:10.0.0.5:80/tcp comment=''") + 4 * quotes;

		strcpy(comment, "comment=");
		memset(comment + strlen("comment="), '\'', (size_t)quotes);
		comment[strlen("comment=") + (size_t)quotes] = '\0';
		if (needed >= XDNAT_SPEC_BYTES) {
			assert_int_equal(spec_parse(words, 2, &spec), -EINVAL);
			continue;
		}
		assert_int_equal(spec_parse(words, 2, &spec), 0);
		spec_format(&spec, line);
		assert_int_equal(spec_parse_line(line, &again), 0);
		assert_true(spec_equal(&spec, &again));
	}
}

static size_t random_below(size_t limit)
{
	static uint64_t random = 42;

	random = random * 6364136223846793005 + 1442695040888963407;
	return (size_t)(random >> 33) % limit;
}

static void random_text(char *text, size_t max_characters, const char *const *alphabet,
			size_t letters)
{
	size_t characters = random_below(max_characters + 1);

	*text = '\0';
	while (characters--)
		strcat(text, alphabet[random_below(letters)]);
}

/* Addresses that a rule may have, of the family asked for. */
static struct xdnat_addr random_addr(bool v4)
{
	uint8_t v6[16] = {0x20, 0x01};

	if (v4)
		return addr_from_v4(htonl((uint32_t)random_below(100 << 24) + (10 << 24)));
	for (int i = 2; i < 16; i++)
		v6[i] = random_below(2) ? (uint8_t)random_below(256) : 0;
	return addr_from_v6(v6);
}

/* Ports of any form, the target's, exceptions. */
static void random_ports(struct spec *spec)
{
	uint16_t ends[] = {1 + random_below(65535), 1 + random_below(65535)};
	uint32_t next, width;

	spec->form = (enum spec_form)random_below(3);
	if (spec->form == SPEC_ANY)
		ends[0] = 1, ends[1] = 65535;
	if (spec->form == SPEC_EXACT || ends[0] == ends[1])
		spec->form = SPEC_EXACT, ends[1] = ends[0];
	spec->ports.first_host = ends[ends[0] > ends[1]];
	spec->ports.last_host = ends[ends[0] <= ends[1]];
	width = spec->ports.last_host - spec->ports.first_host;
	spec->target_ports.first_host = 1 + random_below(65535 - width);
	spec->target_ports.last_host = spec->target_ports.first_host + random_below(2) * width;
	next = spec->ports.first_host + 1 + random_below(9);
	while (spec->form != SPEC_EXACT && spec->except_count < 20 && random_below(4)) {
		uint32_t last = next + random_below(2) * random_below(99);

		if (last > spec->ports.last_host)
			break;
		spec->except[spec->except_count++] = (struct spec_ports){next, last};
		next = last + 2 + random_below(999);
	}
}

static struct spec random_spec(void)
{
	static const char *const name_letters[] = {"a", "Z", "0", "9", "_", "."};
	static const char *const interface_letters[] = {"e",  "0", ".",	 "-", "@", "'",
							"\"", "$", "\\", "=", ",", "*"};
	static const char *const comment_letters[] = {"a", " ", "'", "\"", "\\", "ü", "€",
						      "=", ":", "/", "$",  "`",	 "#", "1"};
	const bool v4 = random_below(2);
	struct spec spec = {
		.bind = (enum spec_bind)random_below(4),
		.protos = (uint8_t)(1 + random_below(3)),
		.target = random_addr(v4),
	};

	random_ports(&spec);

	if (spec.bind == SPEC_BIND_ADDRESS)
		spec.bind_addr = random_addr(v4);
	if (spec.bind == SPEC_BIND_INTERFACE) {
		strcpy(spec.bind_interface, "e");
		random_text(spec.bind_interface + 1, XDNAT_IFNAME_BYTES - 2, interface_letters,
			    ROWS(interface_letters));
	}
	random_text(spec.comment, 40, comment_letters, ROWS(comment_letters));
	random_text(spec.name, SPEC_NAME_BYTES - 1, name_letters, ROWS(name_letters));
	if (!*spec.name)
		spec_format_listener(&spec, spec.name);
	return spec;
}

static void test_random_round_trip(void **state)
{
	char line[XDNAT_SPEC_BYTES], line_again[XDNAT_SPEC_BYTES];

	(void)state;
	for (int i = 0; i < RANDOM_SPECS; i++) {
		const struct spec spec = random_spec();
		struct spec again;

		spec_format(&spec, line);
		if (spec_parse_line(line, &again))
			fail_msg("%s: %s", line, fail_text());
		if (!spec_equal(&spec, &again))
			fail_msg("%s came back different", line);
		spec_format(&again, line_again);
		assert_string_equal(line, line_again);
	}
}

static struct spec parse(const char *line)
{
	struct spec spec;

	assert_int_equal(spec_parse_line(line, &spec), 0);
	return spec;
}

static void assert_same_listener(const char *left, const char *right, bool same)
{
	const struct spec left_spec = parse(left), right_spec = parse(right);

	assert_int_equal(spec_same_listener(&left_spec, &right_spec), same);
}

static void test_same_listener(void **state)
{
	(void)state;
	assert_same_listener("80:10.0.0.5", "80:10.0.0.6:81 name=web", true);
	assert_same_listener("80:10.0.0.5", "81:10.0.0.5:80", false);
	assert_same_listener("80:10.0.0.5", "80:10.0.0.5/udp", false);
	assert_same_listener("80:10.0.0.5", "80:[fd00::5]", false);
	assert_same_listener("80:10.0.0.5", "*:80:10.0.0.5", false);
	assert_same_listener("eth0:80:10.0.0.5", "eth0:80:10.0.0.6", true);
	assert_same_listener("80-90:10.0.0.5", "80-90:10.0.0.6:80 except=85", true);
	assert_same_listener("80-90:10.0.0.5", "80-91:10.0.0.5", false);
	assert_same_listener("1-65535:10.0.0.5", "*:10.0.0.5", false);
	assert_same_listener("80:10.0.0.5", "80:10.0.0.5/tcp+udp", false);
	assert_same_listener("80:10.0.0.5:81", "80:local:81", false); /* both families */
	assert_same_listener("203.0.113.7:80:10.0.0.5:81", "203.0.113.7:80:local:81", true);
	assert_same_listener("eth0:80:10.0.0.5", "eth1:80:10.0.0.5", false);
	assert_same_listener("192.0.2.1:80:10.0.0.5", "192.0.2.2:80:10.0.0.5", false);
}

static void test_equal(void **state)
{
	const struct spec spec = parse("80:10.0.0.5 name=web comment=a");
	static const char *const different[] = {
		"81:10.0.0.5:80 name=web comment=a", "80:10.0.0.6 name=web comment=a",
		"80:10.0.0.5:81 name=web comment=a", "80:10.0.0.5/udp name=web comment=a",
		"80:10.0.0.5 name=wob comment=a",    "80:10.0.0.5 name=web comment=b",
		"*:80:10.0.0.5 name=web comment=a",
	};

	(void)state;
	assert_true(spec_equal(&spec, &spec));
	for (size_t i = 0; i < ROWS(different); i++) {
		const struct spec other = parse(different[i]);

		assert_false(spec_equal(&spec, &other));
	}
}

static void test_order(void **state)
{
	static const char *const sorted[] = {
		"192.0.2.1:80:10.0.0.5", "192.0.2.1:443:10.0.0.5", "192.0.2.2:80:10.0.0.5",
		"eth0:80:10.0.0.5",	 "eth1:9:10.0.0.5",	   "9:10.0.0.5",
		"80:10.0.0.5",		 "80:[fd00::5]",	   "80:10.0.0.5/udp",
		"*:9:10.0.0.5",
	};
	struct spec specs[ROWS(sorted)];

	(void)state;
	for (size_t i = 0; i < ROWS(sorted); i++)
		specs[(i * 7 + 3) % ROWS(sorted)] = parse(sorted[i]);
	qsort(specs, ROWS(sorted), sizeof(specs[0]), spec_compare);
	for (size_t i = 0; i < ROWS(sorted); i++) {
		const struct spec expected = parse(sorted[i]);

		assert_true(spec_equal(&specs[i], &expected));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_long_exceptions), cmocka_unit_test(test_has_port),
		cmocka_unit_test(test_refused),		cmocka_unit_test(test_later_keys),
		cmocka_unit_test(test_enabled),		cmocka_unit_test(test_words),
		cmocka_unit_test(test_line_is_bounded), cmocka_unit_test(test_random_round_trip),
		cmocka_unit_test(test_same_listener),	cmocka_unit_test(test_equal),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
