// SPDX-License-Identifier: GPL-2.0-only
/* Prefixes, lists of them in rules and in files, and mss=. */
/* fail.h comes before cmocka.h, which has a macro of that name. */
#include "fail.h"
#include "source.h"
#include "spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define SIX_PREFIXES                                                                       \
	"10.200.100.0/24,10.200.101.0/24,10.200.102.0/24,10.200.103.0/24,10.200.104.0/24," \
	"10.200.105.0/24"

static void test_prefixes(void **state)
{
	static const struct {
		const char *text, *canonical; /* NULL: the same */
		uint8_t bits;
	} rows[] = {
		{"10.0.0.0/8", NULL, 96 + 8},
		{"0.0.0.0/0", NULL, 96},
		{"128.0.0.0/1", NULL, 97},
		{"192.0.2.7", NULL, 128},
		{"192.0.2.7/32", "192.0.2.7", 128},
		{"192.0.2.6/31", NULL, 127},
		{"::/0", NULL, 0},
		{"2001:DB8:0::/33", "2001:db8::/33", 33},
		{"2001:db8::1", NULL, 128},
		{"2001:db8::1/128", "2001:db8::1", 128},
	};
	char text[PREFIX_TEXT_BYTES];
	struct addr_prefix prefix;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		if (prefix_parse(rows[i].text, &prefix))
			fail_msg("%s: %s", rows[i].text, fail_text());
		assert_int_equal(prefix.bits, rows[i].bits);
		assert_string_equal(prefix_format(&prefix, text),
				    rows[i].canonical ?: rows[i].text);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *line, *message;
	} rows[] = {
		{"80:10.0.0.5 allow=", "allow= is empty"},
		{"80:10.0.0.5 deny=", "deny= is empty"},
		{"80:10.0.0.5 allow=10.0.0.1/8", "type 10.0.0.0/8, or 10.0.0.1 for that one"},
		{"80:10.0.0.5 deny=10.0.0.0/33", "prefix length \"33\""},
		{"80:10.0.0.5 deny=10.0.0.0/", "prefix length \"\""},
		{"80:10.0.0.5 deny=10.0.0.0/08", "leading zeros"},
		{"80:10.0.0.5 deny=10.0.0.0/-1", "prefix length"},
		{"80:10.0.0.5 deny=10.0.0.0/8/8", "prefix length"},
		{"80:10.0.0.5 deny=10.0.0.0/255.0.0.0", "prefix length"},
		{"80:10.0.0.5 deny=10/8", "not an IPv4 address"},
		{"80:10.0.0.5 deny=10.0.0.0/8,", "an address is missing"},
		{"80:10.0.0.5 deny=,10.0.0.0/8", "an address is missing"},
		{"80:10.0.0.5 'deny=10.0.0.0/8, 10.1.2.3'", "not an IPv4"},
		{"80:10.0.0.5 deny=example.org", "not an IPv4"},
		{"80:10.0.0.5 deny=2001:db8::/32", "is IPv6, the rule is IPv4"},
		{"80:[fd00::5] deny=10.0.0.0/8", "is IPv4, the rule is IPv6"},
		{"80:[fd00::5] deny=[2001:db8::]/32", "no brackets"},
		{"80:[fd00::5] deny=2001:db8::1/32", "type 2001:db8::/32, or 2001:db8::1"},
		{"80:[fd00::5] deny=::ffff:10.0.0.1", "type 10.0.0.1"},
		{"80:10.0.0.5 deny=10.0.0.0/8 deny=10.0.0.0/8", "given twice"},
		{"80:10.0.0.5 deny=@list", "is not a whole path: type deny=@/"},
		{"80:10.0.0.5 deny=@", "is not a whole path: type deny=@/etc/xdnat/FILE"},
		{"80:10.0.0.5 deny=" SIX_PREFIXES "," SIX_PREFIXES "," SIX_PREFIXES,
		 "write the prefixes into a file"},
		{"80:10.0.0.5 allow=" SIX_PREFIXES "," SIX_PREFIXES " deny=" SIX_PREFIXES
		 "," SIX_PREFIXES " comment=" SIX_PREFIXES,
		 "write prefixes into a file"},
		{"80:10.0.0.5 mss=535", "mss= \"535\" is not a whole number from 536 to 65495"},
		{"80:10.0.0.5 mss=65496", "from 536 to 65495"},
		{"80:[fd00::5] mss=1219", "from 1220 to 65515"},
		{"80:10.0.0.5 mss=", "mss= is not known: type mss=off, mss=auto or mss=N"},
		{"80:10.0.0.5 mss=Auto", "mss=Auto is not known"},
		{"80:10.0.0.5/udp mss=auto", "is for TCP"},
	};
	struct spec spec;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		if (spec_parse_line(rows[i].line, &spec) != -EINVAL)
			fail_msg("\"%s\" was taken", rows[i].line);
		if (!strstr(fail_text(), rows[i].message))
			fail_msg("\"%s\": %s", rows[i].line, fail_text());
	}
}

static void test_round_trip(void **state)
{
	static const struct {
		const char *line, *canonical;
	} rows[] = {
		{"80:10.0.0.5 deny=10.0.0.0/8,192.0.2.7/32 name=web",
		 "80:10.0.0.5:80/tcp name=web deny=10.0.0.0/8,192.0.2.7"},
		{"80:10.0.0.5 mss=auto deny=0.0.0.0/0 allow=@/etc/a",
		 "80:10.0.0.5:80/tcp allow=@/etc/a deny=0.0.0.0/0 mss=auto"},
		{"80:10.0.0.5 'allow=@/etc/my list'", "80:10.0.0.5:80/tcp allow='@/etc/my list'"},
		{"80:[fd00::5] mss=1220 enabled=no allow=::/0",
		 "80:[fd00::5]:80/tcp allow=::/0 mss=1220 enabled=no"},
		{"80:10.0.0.5/udp mss=off", "80:10.0.0.5:80/udp"},
		{"80:10.0.0.5 mss=65495", "80:10.0.0.5:80/tcp mss=65495"},
	};
	char line[XDNAT_SPEC_BYTES];
	struct spec spec, again;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		if (spec_parse_line(rows[i].line, &spec))
			fail_msg("\"%s\": %s", rows[i].line, fail_text());
		spec_format(&spec, line);
		assert_string_equal(line, rows[i].canonical);
		assert_int_equal(spec_parse_line(line, &again), 0);
		assert_true(spec_equal(&spec, &again));
	}
}

static struct spec parse(const char *line)
{
	struct spec spec;

	assert_int_equal(spec_parse_line(line, &spec), 0);
	return spec;
}

static void test_sameness(void **state)
{
	static const struct {
		const char *left, *right;
		bool is_same_row;
	} rows[] = {
		{"80:10.0.0.5 deny=10.0.0.0/8", "80:10.0.0.5 deny=10.0.0.0/9", true},
		{"80:10.0.0.5 deny=10.0.0.0/8", "80:10.0.0.5 allow=10.0.0.0/8", false},
		{"80:10.0.0.5", "80:10.0.0.5 deny=10.0.0.0/8", false},
		{"80:10.0.0.5", "80:10.0.0.5 mss=auto", false},
		{"80:10.0.0.5", "80:10.0.0.5 name=web", true},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct spec left = parse(rows[i].left), right = parse(rows[i].right);

		assert_false(spec_equal(&left, &right));
		assert_int_equal(spec_same_row(&left, &right), rows[i].is_same_row);
	}
}

/* Writes size bytes to a file of its own and reads it as deny=. */
static int read_bytes(const char *bytes, size_t size, struct source_list *list)
{
	char value[] = "@/tmp/xdnat-test-XXXXXX";
	int fd = mkstemp(value + 1), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
	err = source_read("deny", value, SPEC_V4, list);
	unlink(value + 1);
	return err;
}

static void test_file(void **state)
{
	static const char text[] = "# who floods us\n\n10.0.0.0/8\r\n  192.0.2.7\t# one host\n"
				   "\t#10.1.0.0/16\n203.0.113.0/24";
	struct source_list list = {};
	char one[PREFIX_TEXT_BYTES];

	(void)state;
	if (read_bytes(text, strlen(text), &list))
		fail_msg("%s", fail_text());
	assert_int_equal(list.count, 3);
	assert_string_equal(prefix_format(&list.prefixes[0], one), "10.0.0.0/8");
	assert_string_equal(prefix_format(&list.prefixes[1], one), "192.0.2.7");
	assert_string_equal(prefix_format(&list.prefixes[2], one), "203.0.113.0/24");
	source_release(&list);
	assert_int_equal(read_bytes("", 0, &list), 0);
	assert_int_equal(list.count, 0);
}

static void test_refused_files(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *message;
	} rows[] = {
		{"10.0.0.0/8\n\n10.1.2.3/8\n", 23, ": line 3: 10.1.2.3/8 has bits"},
		{"10.0.0.0/8,10.1.2.3\n", 20, ": line 1: 10.0.0.0/8,10.1.2.3: prefix length"},
		{"10.0.0.0/8 office\n", 18, ": line 1: one prefix a line"},
		{"\n2001:db8::/32\n", 15, ": line 2: 2001:db8::/32 is IPv6"},
		{"10.0.0.0/8\0junk", 15, ": line 1: it holds a NUL byte"},
	};
	struct source_list list = {};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		assert_int_equal(read_bytes(rows[i].text, rows[i].size, &list), -EINVAL);
		if (!strstr(fail_text(), rows[i].message) || strncmp(fail_text(), "deny=@/tmp", 10))
			fail_msg("%s: %s", rows[i].text, fail_text());
		source_release(&list);
	}
	assert_int_equal(source_read("deny", "@/nonexistent/list", SPEC_V4, &list), -EINVAL);
	assert_string_equal(fail_text(), "deny=@/nonexistent/list: cannot be opened: No such file "
					 "or directory");
	assert_int_equal(source_read("deny", "@/dev/zero", SPEC_V4, &list), -EINVAL);
	assert_int_equal(source_read("deny", "@/tmp", SPEC_V4, &list), -EINVAL);
	assert_string_equal(fail_text(), "deny=@/tmp: is not a regular file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_sameness),
		cmocka_unit_test(test_file),	   cmocka_unit_test(test_refused_files),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
