// SPDX-License-Identifier: GPL-2.0-only
/* fail.h comes before cmocka.h, which has a macro of that name. */
#include "addr.h"
#include "fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static void test_valid_addresses(void **state)
{
	static const struct {
		const char *text, *canonical, *bracketed;
		uint8_t bytes[16];
	} rows[] = {
		{"203.0.113.7",
		 "203.0.113.7",
		 "203.0.113.7",
		 {[10] = 0xff, [11] = 0xff, [12] = 203, [14] = 113, [15] = 7}},
		{"0.0.0.0", "0.0.0.0", "0.0.0.0", {[10] = 0xff, [11] = 0xff}},
		{"::", "::", "[::]", {0}},
		{"2001:DB8:0:0::7",
		 "2001:db8::7",
		 "[2001:db8::7]",
		 {0x20, 0x01, 0x0d, 0xb8, [15] = 7}},
		{"fd00::192.0.2.1",
		 "fd00::c000:201",
		 "[fd00::c000:201]",
		 {0xfd, [12] = 0xc0, [14] = 2, [15] = 1}},
	};
	char text[ADDR_TEXT_BYTES];
	struct xdnat_addr addr;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		assert_int_equal(addr_parse(rows[i].text, &addr), 0);
		assert_memory_equal(&addr, rows[i].bytes, sizeof(addr));
		assert_string_equal(addr_format(&addr, false, text), rows[i].canonical);
		assert_string_equal(addr_format(&addr, true, text), rows[i].bracketed);
	}
}

static void test_refused_addresses(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"", "missing"},
		{"1.2.3", "not an IPv4 address"},
		{"1.2.3.4.5", "not an IPv4 address"},
		{"01.2.3.4", "leading zeros"},
		{"1.2.3.256", "from 0 to 255"},
		{"1.2.3.4x", "not an IPv4 or IPv6 address"},
		{" 1.2.3.4", "not an IPv4 or IPv6 address"},
		{"1.2.3.4 ", "not an IPv4 or IPv6 address"},
		{"0x1.2.3.4", "not an IPv4 or IPv6 address"},
		{"16909060", "not an IPv4 address"},
		{"::1%eth0", "zone"},
		{"[::1]", "not an IPv6 address"},
		{"::1::2", "not an IPv6 address"},
		{"1:2:3:4:5:6:7", "not an IPv6 address"},
		{"::12345", "not an IPv6 address"},
		{"::1 ", "not an IPv6 address"},
		{"::ffff:10.0.0.5", "type 10.0.0.5"},
		{"example.org", "not an IPv4 or IPv6 address"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct xdnat_addr addr = {{1, 2, 3, 4}}, untouched = addr;

		assert_int_equal(addr_parse(rows[i].text, &addr), -EINVAL);
		assert_non_null(strstr(fail_text(), rows[i].message));
		assert_memory_equal(&addr, &untouched, sizeof(addr));
	}
}

static void test_round_trip(void **state)
{
	char text[ADDR_TEXT_BYTES], again[ADDR_TEXT_BYTES];
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct xdnat_addr addr, parsed;

		/* Zero words in every place, so that "::" is in every place. */
		for (int word = 0; word < 4; word++) {
			random = random * 1664525 + 1013904223;
			addr.word[word] = random >> 30 ? htonl(random) : 0;
		}
		if (i % 2)
			addr = addr_from_v4(htonl(random));
		assert_int_equal(addr_parse(addr_format(&addr, false, text), &parsed), 0);
		assert_true(addr_equal(&addr, &parsed));
		assert_string_equal(addr_format(&parsed, false, again), text);
	}
}

static void test_families(void **state)
{
	const struct in6_addr v6 = {.s6_addr = {0x20, 0x01, [15] = 9}};
	const struct in_addr v4 = {htonl(0x0a000005)};
	struct xdnat_addr addr, other;

	(void)state;
	addr = addr_from_v4(v4.s_addr);
	assert_true(addr_is_v4(&addr));
	assert_int_equal(addr.word[3], htonl(0x0a000005));
	other = addr_from_v6(&v6);
	assert_false(addr_is_v4(&other));
	assert_false(addr_equal(&addr, &other));
	assert_memory_equal(&other, &v6, sizeof(v6));
	for (int word = 0; word < 4; word++) {
		addr = other;
		assert_true(addr_equal(&addr, &other));
		addr.word[word] ^= htonl(1);
		assert_false(addr_equal(&addr, &other));
	}
}

static void test_ports(void **state)
{
	static const char *const refused[] = {"",    "0",   "65536", "80x", "x80",
					      " 80", "80 ", "+80",   "-1",  "080",
					      "00",  "8 0", "0x50",  "1e3", "18446744073709551696"};
	uint16_t port_host;

	(void)state;
	assert_int_equal(port_parse("1", &port_host), 0);
	assert_int_equal(port_host, 1);
	assert_int_equal(port_parse("65535", &port_host), 0);
	assert_int_equal(port_host, 65535);
	for (size_t i = 0; i < ROWS(refused); i++) {
		assert_int_equal(port_parse(refused[i], &port_host), -EINVAL);
		assert_non_null(strstr(fail_text(), refused[i]));
		assert_int_equal(port_host, 65535);
	}
}

static void test_numbers(void **state)
{
	uint64_t number;

	(void)state;
	assert_int_equal(number_parse("0", "seconds", 0, 10, &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(number_parse("18446744073709551615", "seconds", 0, UINT64_MAX, &number),
			 0);
	assert_true(number == UINT64_MAX);
	assert_int_equal(number_parse("18446744073709551616", "seconds", 0, UINT64_MAX, &number),
			 -EINVAL);
	assert_int_equal(number_parse("11", "seconds", 2, 10, &number), -EINVAL);
	assert_string_equal(fail_text(), "seconds \"11\" is not a whole number from 2 to 10");
	assert_int_equal(number_parse("1", "seconds", 2, 10, &number), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_addresses), cmocka_unit_test(test_refused_addresses),
		cmocka_unit_test(test_round_trip),	cmocka_unit_test(test_families),
		cmocka_unit_test(test_ports),		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
