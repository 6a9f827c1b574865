// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules and a made-up network in, listeners out. Both are written as text: a rule
 * as people type it, a listener as "ADDRESS:PORT/PROTO=RULE", sorted.
 */
#include "addr.h"
#include "listener.h"
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

#define ROWS(table)    (sizeof(table) / sizeof((table)[0]))
#define RULES_MAX      5
#define LISTENERS_MAX  16
#define LISTENER_BYTES 80

enum { LAN = 1, WAN, VPN, DMZ };

static const struct netlink_link links[] = {
	{.ifindex = LAN, .name = "lan0"},
	{.ifindex = WAN, .name = "wan0"},
	{.ifindex = VPN, .name = "vpn0"},
	{.ifindex = DMZ, .name = "dmz0"},
};
static const struct {
	uint32_t ifindex;
	const char *text;
} address_rows[] = {
	{LAN, "10.0.0.1"},    {LAN, "fd00::1"},	 {WAN, "203.0.113.7"},	{WAN, "203.0.113.8"},
	{WAN, "2001:db8::7"}, {VPN, "10.9.0.1"}, {DMZ, "198.51.100.1"},
};

static struct netlink_address addresses[ROWS(address_rows)];
static const struct store_interface lan_and_wan[] = {{.ifindex = LAN}, {.ifindex = WAN}};
static const struct netlink_default by_wan[] = {{WAN, false}, {WAN, true}};
static const struct netlink_default by_vpn[] = {{VPN, false}, {VPN, true}};
static const struct netlink_default by_both[] = {{LAN, false}, {WAN, true}};

/* lan0 and wan0 are loaded, both default routes leave by wan0. */
static struct listener_world usual_world(void)
{
	return (struct listener_world){
		.interfaces = lan_and_wan,
		.interface_count = ROWS(lan_and_wan),
		.addresses = addresses,
		.address_count = ROWS(addresses),
		.defaults = by_wan,
		.default_count = ROWS(by_wan),
		.links = links,
		.link_count = ROWS(links),
	};
}

static int fill_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(address_rows); i++) {
		addresses[i].ifindex = address_rows[i].ifindex;
		if (addr_parse(address_rows[i].text, &addresses[i].addr))
			return -1;
	}
	return 0;
}

static int compare_texts(const void *left, const void *right)
{
	return strcmp(left, right);
}

static void format_listener(const struct store_listener *listener, char *text)
{
	char addr[ADDR_TEXT_BYTES];

	snprintf(text, LISTENER_BYTES, "%s:%u/%s=%u", addr_format(&listener->key.addr, true, addr),
		 ntohs(listener->key.port), listener->key.proto == IPPROTO_TCP ? "tcp" : "udp",
		 listener->rule);
}

struct rule_row {
	uint32_t id;
	const char *text;
};

/* rows end with an empty one; expected is separated by blanks. */
static void assert_expands(const struct listener_world *world, const struct rule_row *rows,
			   const char *expected)
{
	char texts[LISTENERS_MAX][LISTENER_BYTES], all[LISTENERS_MAX * LISTENER_BYTES] = "";
	struct store_rule rules[RULES_MAX] = {0};
	struct listener_set set = {0};
	size_t rule_count = 0;

	for (; rows[rule_count].text; rule_count++) {
		struct store_rule *rule = &rules[rule_count];

		rule->id = rows[rule_count].id;
		assert_int_equal(spec_parse_line(rows[rule_count].text, &rule->spec), 0);
	}
	assert_int_equal(listener_expand(rules, rule_count, world, &set), 0);
	assert_in_range(set.listener_count, 0, LISTENERS_MAX);
	assert_int_equal(set.range_count, 0);
	for (size_t i = 0; i < set.listener_count; i++)
		format_listener(&set.listeners[i], texts[i]);
	qsort(texts, set.listener_count, sizeof(texts[0]), compare_texts);
	for (size_t i = 0; i < set.listener_count; i++) {
		strcat(all, i ? " " : "");
		strcat(all, texts[i]);
	}
	listener_set_release(&set);
	assert_string_equal(all, expected);
}

static void test_no_rules(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world, (struct rule_row[]){{0}}, "");
}

static void test_unbound_is_the_default_route(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world, (struct rule_row[]){{5, "80:10.0.0.5"}, {0}},
		       "203.0.113.7:80/tcp=5 203.0.113.8:80/tcp=5");
}

static void test_unbound_without_default_route(void **state)
{
	struct listener_world world = usual_world();

	(void)state;
	world.default_count = 0;
	assert_expands(&world, (struct rule_row[]){{5, "80:10.0.0.5/udp"}, {0}},
		       "10.0.0.1:80/udp=5 203.0.113.7:80/udp=5 203.0.113.8:80/udp=5");
}

/* The default route leaves by an interface that is not loaded. */
static void test_unbound_with_default_elsewhere(void **state)
{
	struct listener_world world = usual_world();

	(void)state;
	world.defaults = by_vpn;
	assert_expands(&world, (struct rule_row[]){{5, "80:[fd00::5]"}, {0}},
		       "[2001:db8::7]:80/tcp=5 [fd00::1]:80/tcp=5");
}

/* IPv4's default route leaves by lan0, IPv6's by wan0. */
static void test_default_is_of_the_rules_family(void **state)
{
	struct listener_world world = usual_world();

	(void)state;
	world.defaults = by_both;
	world.default_count = ROWS(by_both);
	assert_expands(&world, (struct rule_row[]){{5, "80:10.0.0.5"}, {6, "80:[fd00::5]"}, {0}},
		       "10.0.0.1:80/tcp=5 [2001:db8::7]:80/tcp=6");
}

/* Only IPv6 has a default route: an IPv4 rule is as without one. */
static void test_default_of_the_other_family_only(void **state)
{
	struct listener_world world = usual_world();

	(void)state;
	world.defaults = by_both + 1;
	world.default_count = 1;
	assert_expands(&world, (struct rule_row[]){{5, "80:10.0.0.5"}, {6, "80:[fd00::5]"}, {0}},
		       "10.0.0.1:80/tcp=5 203.0.113.7:80/tcp=5 203.0.113.8:80/tcp=5 "
		       "[2001:db8::7]:80/tcp=6");
}

static void test_star_is_all_loaded(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world, (struct rule_row[]){{5, "*:80:10.0.0.5"}, {0}},
		       "10.0.0.1:80/tcp=5 203.0.113.7:80/tcp=5 203.0.113.8:80/tcp=5");
}

static void test_family_follows_target(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world,
		       (struct rule_row[]){{5, "*:80:[fd00::5]"}, {6, "lan0:81:10.0.0.5"}, {0}},
		       "10.0.0.1:81/tcp=6 [2001:db8::7]:80/tcp=5 [fd00::1]:80/tcp=5");
}

static void test_interface(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world, (struct rule_row[]){{5, "lan0:80:10.0.0.5"}, {0}},
		       "10.0.0.1:80/tcp=5");
	assert_expands(&world, (struct rule_row[]){{5, "lan:80:10.0.0.5"}, {0}}, "");
	assert_expands(&world, (struct rule_row[]){{5, "vpn0:80:[fd00::5]"}, {0}}, "");
}

/* An address need not be on an interface: it may be routed to this host. */
static void test_address(void **state)
{
	struct listener_world world = usual_world();

	(void)state;
	world.address_count = 0;
	assert_expands(&world,
		       (struct rule_row[]){{5, "192.0.2.99:80:10.0.0.5"},
					   {6, "[2001:db8::99]:53:[fd00::5]/udp"},
					   {7, "80:10.0.0.5"},
					   {0}},
		       "192.0.2.99:80/tcp=5 [2001:db8::99]:53/udp=6");
}

static void test_bound_wins(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	/* Older rules lose to closer ones; what the closer one has not stays theirs. */
	assert_expands(&world,
		       (struct rule_row[]){{1, "*:80:10.0.0.1"},
					   {2, "80:10.0.0.2"},
					   {3, "wan0:80:10.0.0.3"},
					   {4, "203.0.113.7:80:10.0.0.4"},
					   {0}},
		       "10.0.0.1:80/tcp=1 203.0.113.7:80/tcp=4 203.0.113.8:80/tcp=3");
}

static void test_default_before_star(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world, (struct rule_row[]){{1, "*:80:10.0.0.1"}, {2, "80:10.0.0.2"}, {0}},
		       "10.0.0.1:80/tcp=1 203.0.113.7:80/tcp=2 203.0.113.8:80/tcp=2");
}

static void test_order_of_rules_does_not_matter(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world,
		       (struct rule_row[]){{4, "203.0.113.7:80:10.0.0.4"},
					   {3, "80:10.0.0.3"},
					   {1, "*:80:10.0.0.1"},
					   {0}},
		       "10.0.0.1:80/tcp=1 203.0.113.7:80/tcp=4 203.0.113.8:80/tcp=3");
}

static void test_older_rule_wins(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world,
		       (struct rule_row[]){{7, "lan0:80:10.0.0.7"}, {3, "lan0:80:10.0.0.3"}, {0}},
		       "10.0.0.1:80/tcp=3");
}

static void test_ports_and_protocols_are_apart(void **state)
{
	const struct listener_world world = usual_world();

	(void)state;
	assert_expands(&world,
		       (struct rule_row[]){{1, "lan0:80:10.0.0.1"},
					   {2, "lan0:80:10.0.0.2/udp"},
					   {3, "lan0:20480:10.0.0.3"},
					   {0}},
		       "10.0.0.1:20480/tcp=3 10.0.0.1:80/tcp=1 10.0.0.1:80/udp=2");
}

/* One address on two loaded interfaces is one listener. */
static void test_address_twice(void **state)
{
	struct netlink_address twice[] = {addresses[0], addresses[0]};
	struct listener_world world = usual_world();

	(void)state;
	twice[1].ifindex = WAN;
	world.addresses = twice;
	world.address_count = ROWS(twice);
	assert_expands(&world, (struct rule_row[]){{5, "*:80:10.0.0.5"}, {0}}, "10.0.0.1:80/tcp=5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_rules),
		cmocka_unit_test(test_unbound_is_the_default_route),
		cmocka_unit_test(test_unbound_without_default_route),
		cmocka_unit_test(test_unbound_with_default_elsewhere),
		cmocka_unit_test(test_default_is_of_the_rules_family),
		cmocka_unit_test(test_default_of_the_other_family_only),
		cmocka_unit_test(test_star_is_all_loaded),
		cmocka_unit_test(test_family_follows_target),
		cmocka_unit_test(test_interface),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_bound_wins),
		cmocka_unit_test(test_default_before_star),
		cmocka_unit_test(test_order_of_rules_does_not_matter),
		cmocka_unit_test(test_older_rule_wins),
		cmocka_unit_test(test_ports_and_protocols_are_apart),
		cmocka_unit_test(test_address_twice),
	};

	return cmocka_run_group_tests_name("listener", tests, fill_addresses, NULL);
}
