// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges at one address, beside a model that asks every rule for every one of the
 * 65,536 ports; and which rules cannot be there together, beside one that compares all.
 */
#include "addr.h"
#include "fail.h"
#include "listener.h"
#include "rule_overlap.h"
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

#define ROWS(table)	(sizeof(table) / sizeof((table)[0]))
#define RULES_MAX	24
#define SOCKETS_MAX	40
#define LEVELS		5 /* that are looked at, port by port in turn */
#define RANDOM_WORLDS	100
#define RANDOM_SETS	3000
#define EPHEMERAL_FIRST 32768
#define EPHEMERAL_LAST	60999
#define PREFIXES_RANGE	30 /* what a range may take at most */

enum { WAN = 1 };

static const struct store_interface interfaces[] = {{.ifindex = WAN}};
static const struct netlink_default defaults[] = {{WAN, false}, {WAN, true}};
static const struct netlink_link links[] = {{.ifindex = WAN, .name = "wan"}};
static struct netlink_address addresses[3];
static struct host_socket sockets[SOCKETS_MAX];

static struct listener_world world_of(size_t socket_count)
{
	return (struct listener_world){
		.interfaces = interfaces,
		.interface_count = ROWS(interfaces),
		.addresses = addresses,
		.address_count = ROWS(addresses),
		.defaults = defaults,
		.default_count = ROWS(defaults),
		.links = links,
		.link_count = ROWS(links),
		.sockets = sockets,
		.socket_count = socket_count,
		.ephemeral = {EPHEMERAL_FIRST, EPHEMERAL_LAST},
	};
}

static int fill_addresses(void **state)
{
	static const char *const texts[] = {"203.0.113.7", "203.0.113.8", "2001:db8::7"};

	(void)state;
	for (size_t i = 0; i < ROWS(texts); i++) {
		addresses[i].ifindex = WAN;
		if (addr_parse(texts[i], &addresses[i].addr))
			return -1;
	}
	return 0;
}

static struct spec parse(const char *line)
{
	struct spec spec;

	if (spec_parse_line(line, &spec))
		fail_msg("%s: %s", line, fail_text());
	return spec;
}

/* As the datapath asks: at level 0 a listener, else the level's longest prefix. */
static uint32_t find_rule(const struct listener_set *set, const struct xdnat_addr *addr,
			  uint8_t proto, uint16_t port_host, uint8_t level)
{
	uint32_t rule = 0, longest = 0;

	for (size_t i = 0; !level && i < set->listener_count; i++) {
		const struct xdnat_listener *key = &set->listeners[i].key;

		if (addr_equal(&key->addr, addr) && key->proto == proto &&
		    ntohs(key->port) == port_host)
			return set->listeners[i].rule;
	}
	for (size_t i = 0; i < set->range_count; i++) {
		const struct xdnat_range *key = &set->ranges[i].key;
		uint32_t bits = key->prefix_bits - XDNAT_RANGE_BITS;

		if (!addr_equal(&key->addr, addr) || key->proto != proto || key->level != level ||
		    (uint32_t)(ntohs(key->port) ^ port_host) >> (16 - bits) || bits + 1 <= longest)
			continue;
		longest = bits + 1;
		rule = set->ranges[i].rule;
	}
	return rule;
}

static bool host_has(size_t socket_count, const struct xdnat_addr *addr, uint8_t proto,
		     uint16_t port_host)
{
	if (port_host >= EPHEMERAL_FIRST && port_host <= EPHEMERAL_LAST)
		return true;
	for (size_t i = 0; i < socket_count; i++)
		if (sockets[i].proto == proto && sockets[i].port_host == port_host &&
		    host_port_is_reached(&sockets[i], addr))
			return true;
	return false;
}

/* DESIGN.md section 4, rule by rule: bound before unbound, one port before a range
 * before all, those with a default route (here: all) before all, the older one. */
static bool is_before(const struct store_rule *left, const struct store_rule *right)
{
	static const int bound[] = {[SPEC_BIND_ADDRESS] = 0,
				    [SPEC_BIND_INTERFACE] = 1,
				    [SPEC_BIND_DEFAULT] = 2,
				    [SPEC_BIND_ALL] = 2};
	const struct spec *l = &left->spec, *r = &right->spec;

	if (bound[l->bind] != bound[r->bind])
		return bound[l->bind] < bound[r->bind];
	if (l->form != r->form)
		return l->form < r->form;
	if (l->bind != r->bind)
		return l->bind == SPEC_BIND_DEFAULT;
	return left->id < right->id;
}

static bool listens(const struct store_rule *rule, size_t socket_count,
		    const struct xdnat_addr *addr, uint8_t proto, uint16_t port_host)
{
	const struct spec *spec = &rule->spec;

	return spec->enabled && spec->protos & proto && spec_has_port(spec, port_host) &&
	       spec_families(spec) & (addr_is_v4(addr) ? SPEC_V4 : SPEC_V6) &&
	       (spec->bind != SPEC_BIND_ADDRESS || addr_equal(&spec->bind_addr, addr)) &&
	       (spec->form != SPEC_ANY || !host_has(socket_count, addr, proto, port_host));
}

/* A port at an address. */
struct place {
	const struct xdnat_addr *addr;
	uint8_t proto;
	uint16_t port_host;
};

/* Who goes first of those that come behind above, or of all. */
static const struct store_rule *first_behind(const struct store_rule *above,
					     const struct store_rule *rules, size_t count,
					     size_t socket_count, const struct place *place)
{
	const struct store_rule *winner = NULL;

	for (size_t i = 0; i < count; i++)
		if (listens(&rules[i], socket_count, place->addr, place->proto, place->port_host) &&
		    (!above || is_before(above, &rules[i])) &&
		    (!winner || is_before(&rules[i], winner)))
			winner = &rules[i];
	return winner;
}

/* Whose the port is for a client that so many rules refuse. */
static uint32_t model(const struct store_rule *rules, size_t count, size_t socket_count,
		      const struct place *place, uint8_t refusals)
{
	const struct store_rule *winner = first_behind(NULL, rules, count, socket_count, place);

	for (; winner && refusals; refusals--)
		winner = spec_has_sources(&winner->spec)
				 ? first_behind(winner, rules, count, socket_count, place)
				 : NULL;
	return winner ? winner->id : 0;
}

static void assert_as_model(const struct store_rule *rules, size_t count, size_t socket_count,
			    uint32_t step)
{
	const struct listener_world world = world_of(socket_count);
	struct listener_set set = {0};

	assert_int_equal(listener_expand(rules, count, &world, &set), 0);
	for (size_t a = 0; a < ROWS(addresses); a++)
		for (uint8_t proto = SPEC_TCP; proto <= SPEC_UDP; proto <<= 1)
			for (uint32_t port = 0; port <= UINT16_MAX; port += step) {
				const struct xdnat_addr *addr = &addresses[a].addr;
				const struct place place = {addr, proto, port};
				uint8_t level = port / step % LEVELS;
				uint32_t got = find_rule(
					&set, addr, proto == SPEC_TCP ? IPPROTO_TCP : IPPROTO_UDP,
					port, level);
				uint32_t want = model(rules, count, socket_count, &place, level);

				if (got != want)
					fail_msg("level %u: port %u is rule %u's, not %u's", level,
						 port, want, got);
			}
	listener_set_release(&set);
}

static size_t random_below(size_t limit)
{
	static uint64_t random = 42;

	random = random * 6364136223846793005 + 1442695040888963407;
	return (size_t)(random >> 33) % limit;
}

static void append_ports(char *line, uint32_t limit)
{
	uint32_t first = 1 + random_below(limit);
	uint32_t last = first + random_below(random_below(2) ? 50 : 20000);

	if (last > 65535)
		last = 65535;
	if (random_below(3))
		sprintf(line + strlen(line), "%u-%u", first, last);
	else
		sprintf(line + strlen(line), "%u", first);
}

/* Few ports, so that rules meet. */
static struct spec random_spec(void)
{
	static const char *const binds[] = {"", "", "*:", "wan:", "203.0.113.7:"};
	static const char *const protos[] = {"/tcp", "/udp", "/tcp+udp"};
	char line[512], ports[32] = "";
	struct spec spec;
	bool is_local = !random_below(4);

	if (random_below(4))
		append_ports(ports, random_below(2) ? 40 : 65535);
	else
		strcpy(ports, "*");
	/* Nothing stays what it is on this host: port 65535 is in no random rule but "*". */
	sprintf(line, "%s%s:%s%s", binds[random_below(ROWS(binds))], ports,
		is_local ? "local:65535" : "10.0.0.5", protos[random_below(ROWS(protos))]);
	if (strchr(line, '*') && is_local)
		strcat(line, " enabled=no");
	else if (!random_below(3))
		strcat(line, is_local ? " deny=192.0.2.0/24,2001:db8::/32" : " deny=192.0.2.0/24");
	if (spec_parse_line(line, &spec))
		spec = parse("1:10.0.0.5");
	for (int i = 0; spec.form != SPEC_EXACT && i < 3 && random_below(2); i++) {
		uint32_t at = spec.ports.first_host + 7 * i + random_below(4) * (i ? 0 : 1);

		if (at + 3 > spec.ports.last_host)
			break;
		spec.except[spec.except_count++] =
			(struct spec_ports){at + 1, at + 1 + random_below(3)};
	}
	return spec;
}

static size_t random_sockets(void)
{
	static const char *const texts[] = {"203.0.113.7", "2001:db8::7", "192.0.2.1"};
	size_t count = random_below(SOCKETS_MAX);

	for (size_t i = 0; i < count; i++) {
		size_t which = random_below(ROWS(texts) + 2);

		sockets[i] = (struct host_socket){
			.port_host = 1 + random_below(random_below(2) ? 60 : 65535),
			.proto = random_below(2) ? SPEC_TCP : SPEC_UDP,
		};
		if (which < ROWS(texts))
			addr_parse(texts[which], &sockets[i].addr);
		else if (which == ROWS(texts))
			sockets[i].addr = addr_from_v4(0);
	}
	return count;
}

/* T071: whatever overlaps, every port has the rule that the words give it. */
static void test_random_rules_are_as_the_model(void **state)
{
	struct store_rule rules[RULES_MAX];

	(void)state;
	for (int n = 0; n < RANDOM_WORLDS; n++) {
		size_t count = 1 + random_below(n % 10 ? 6 : RULES_MAX);

		memset(rules, 0, sizeof(rules));
		for (size_t i = 0; i < count; i++) {
			rules[i].id = 100 - (uint32_t)i;
			rules[i].spec = random_spec();
		}
		assert_as_model(rules, count, random_sockets(), n % 10 ? 7 : 1);
	}
}

static size_t count_ranges(const char *line)
{
	struct store_rule rule = {.id = 5, .spec = parse(line)};
	const struct listener_world world = world_of(0);
	struct listener_set set = {0};
	size_t count;

	assert_int_equal(listener_expand(&rule, 1, &world, &set), 0);
	count = set.range_count;
	listener_set_release(&set);
	return count;
}

static void test_few_prefixes(void **state)
{
	char line[64];

	(void)state;
	assert_int_equal(count_ranges("203.0.113.7:1024-2047:10.0.0.5"), 1);
	assert_int_equal(count_ranges("203.0.113.7:1024-2047:10.0.0.5/tcp+udp"), 2);
	assert_in_range(count_ranges("203.0.113.7:*:10.0.0.5"), 2, PREFIXES_RANGE);
	assert_in_range(count_ranges("203.0.113.7:1-65534:10.0.0.5"), 3, PREFIXES_RANGE);
	for (int n = 0; n < 2000; n++) {
		uint32_t first = 1 + random_below(65534);

		snprintf(line, sizeof(line), "203.0.113.7:%u-%zu:10.0.0.5", first,
			 first + 1 + random_below(65535 - first));
		assert_in_range(count_ranges(line), 1, PREFIXES_RANGE);
	}
}

/* Sockets that come and go among the host's own connections' ports, or where other rules
 * have the port, change nothing: nothing has to be put in force. */
static void test_sockets_that_do_not_matter(void **state)
{
	static const uint16_t ports[] = {EPHEMERAL_FIRST, 40000, EPHEMERAL_LAST, 443, 8080};
	const struct store_rule rules[] = {
		{.id = 1, .spec = parse("*:10.0.0.5/tcp+udp except=443")},
		{.id = 2, .spec = parse("8000-8100:10.0.0.5/udp")},
	};
	const struct listener_world without = world_of(0), with = world_of(ROWS(ports));
	struct listener_set before = {0}, after = {0};

	(void)state;
	for (size_t i = 0; i < ROWS(ports); i++)
		sockets[i] = (struct host_socket){.port_host = ports[i], .proto = SPEC_UDP};
	assert_int_equal(listener_expand(rules, ROWS(rules), &without, &before), 0);
	assert_int_equal(listener_expand(rules, ROWS(rules), &with, &after), 0);
	assert_int_equal(after.range_count, before.range_count);
	assert_memory_equal(after.ranges, before.ranges,
			    before.range_count * sizeof(*before.ranges));
	listener_set_release(&before);
	listener_set_release(&after);
}

/* A thousand single ports under "*" cost the trie nothing. */
static void test_single_ports_are_no_ranges(void **state)
{
	const struct listener_world world = world_of(0);
	struct store_rule *rules = calloc(1001, sizeof(*rules));
	struct listener_set set = {0};

	(void)state;
	assert_non_null(rules);
	for (uint32_t i = 0; i < 1001; i++) {
		char line[64];

		snprintf(line, sizeof(line), i ? "%u:10.0.0.5" : "*:10.0.0.5", 2 * i);
		rules[i] = (struct store_rule){.id = i + 1, .spec = parse(line)};
	}
	assert_int_equal(listener_expand(rules, 1001, &world, &set), 0);
	assert_int_equal(set.listener_count, 2000); /* at two addresses */
	assert_in_range(set.range_count, 4, 2 * PREFIXES_RANGE);
	listener_set_release(&set);
	free(rules);
}

static const struct {
	const char *left, *right;
	bool overlaps;
} pairs[] = {
	{"80-90:10.0.0.5", "90-99:10.0.0.6", true},
	{"80-90:10.0.0.5", "91-99:10.0.0.6", false},
	{"80-90:10.0.0.5", "85-86:10.0.0.6", true},
	{"80-90:10.0.0.5 except=85-86", "85-86:10.0.0.6", false},
	{"80-90:10.0.0.5 except=85", "85-86:10.0.0.6", true},
	{"80-90:10.0.0.5", "80-90:10.0.0.6/udp", false},
	{"80-90:10.0.0.5", "90-99:10.0.0.6/tcp+udp", true},
	{"80-90:10.0.0.5", "80-90:[fd00::5]", false},
	{"80-90:10.0.0.5", "90-99:local:1", true},
	{"80-90:[fd00::5]", "90-99:local:1", true},
	{"80-90:10.0.0.5", "wan:80-90:10.0.0.6", false},
	{"203.0.113.7:80-90:10.0.0.5", "203.0.113.8:80-90:10.0.0.6", false},
	{"203.0.113.7:80-90:10.0.0.5", "203.0.113.7:90-91:local:1", true},
	{"80-90:10.0.0.5", "85:10.0.0.6", false}, /* one port goes before a range */
	{"80-90:10.0.0.5", "*:10.0.0.6", false},
	{"*:10.0.0.5", "*:10.0.0.6/tcp+udp", true},
	{"*:10.0.0.5", "*:10.0.0.6/udp", false},
	{"80:10.0.0.5", "80:10.0.0.6/tcp+udp", true},
	{"80:10.0.0.5", "81:10.0.0.6/tcp+udp", false},
	{"80:10.0.0.5", "80-90:10.0.0.6 except=80", false},
	{"1-80:10.0.0.5 enabled=no", "80-90:10.0.0.6", true},
};

static void test_overlaps(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(pairs); i++) {
		const struct spec left = parse(pairs[i].left), right = parse(pairs[i].right);
		const struct spec *const one[] = {&left, &right}, *const other[] = {&right, &left};
		struct rule_overlap overlap = {0};

		if (rule_overlap_find(one, 2, &overlap) != pairs[i].overlaps)
			fail_msg("%s and %s", pairs[i].left, pairs[i].right);
		assert_int_equal(overlap.second, pairs[i].overlaps);
		assert_int_equal(rule_overlap_find(other, 2, &overlap), pairs[i].overlaps);
	}
}

static bool may_meet(const struct spec *left, const struct spec *right)
{
	return left->bind == right->bind && addr_equal(&left->bind_addr, &right->bind_addr) &&
	       left->form == right->form && left->protos & right->protos &&
	       spec_families(left) & spec_families(right);
}

static bool has_common_port(const struct spec *left, const struct spec *right)
{
	for (uint32_t port = left->ports.first_host; port <= left->ports.last_host; port++)
		if (spec_has_port(left, port) && spec_has_port(right, port))
			return true;
	return false;
}

static void test_random_overlaps_are_as_the_model(void **state)
{
	int found = 0;

	(void)state;
	for (int n = 0; n < RANDOM_SETS; n++) {
		struct spec specs[4];
		const struct spec *all[4];
		struct rule_overlap overlap;
		bool want = false;

		for (size_t i = 0; i < ROWS(specs); i++) {
			specs[i] = random_spec();
			all[i] = &specs[i];
			for (size_t k = 0; k < i; k++)
				want |= may_meet(&specs[i], &specs[k]) &&
					has_common_port(&specs[i], &specs[k]);
		}
		assert_int_equal(rule_overlap_find(all, ROWS(specs), &overlap), want);
		found += want;
	}
	assert_in_range(found, RANDOM_SETS / 10, RANDOM_SETS * 9 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_rules_are_as_the_model),
		cmocka_unit_test(test_few_prefixes),
		cmocka_unit_test(test_sockets_that_do_not_matter),
		cmocka_unit_test(test_single_ports_are_no_ranges),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_random_overlaps_are_as_the_model),
	};

	return cmocka_run_group_tests_name("range", tests, fill_addresses, NULL);
}
