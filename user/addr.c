// SPDX-License-Identifier: GPL-2.0-only
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"

static const char digits[] = "0123456789";

static int fail_address(const char *text)
{
	if (!*text)
		return fail(-EINVAL, "an address is missing");
	if (strchr(text, '%'))
		return fail(-EINVAL, "\"%s\": addresses with a zone (%%…) cannot be used here",
			    text);
	if (strchr(text, ':'))
		return fail(-EINVAL, "\"%s\" is not an IPv6 address", text);
	if (strspn(text, "0123456789.") == strlen(text))
		return fail(-EINVAL,
			    "\"%s\" is not an IPv4 address: four numbers from 0 to 255 "
			    "without leading zeros",
			    text);
	return fail(-EINVAL, "\"%s\" is not an IPv4 or IPv6 address", text);
}

int addr_parse(const char *text, struct xdnat_addr *addr)
{
	char v4_text[ADDR_TEXT_BYTES];
	struct xdnat_addr parsed;
	__be32 v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*addr = addr_from_v4(v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &parsed) != 1)
		return fail_address(text);
	/* Mapped is how we write IPv4 ourselves: it would not round-trip. */
	if (addr_is_v4(&parsed))
		return fail(-EINVAL, "%s is an IPv4-mapped address: type %s", text,
			    addr_format(&parsed, false, v4_text));
	*addr = parsed;
	return 0;
}

char *addr_format(const struct xdnat_addr *addr, bool brackets, char *text)
{
	char bare[INET6_ADDRSTRLEN];

	if (addr_is_v4(addr)) {
		inet_ntop(AF_INET, &addr->word[3], text, ADDR_TEXT_BYTES);
		return text;
	}
	inet_ntop(AF_INET6, addr->word, bare, sizeof(bare));
	snprintf(text, ADDR_TEXT_BYTES, brackets ? "[%s]" : "%s", bare);
	return text;
}

bool addr_is_v4(const struct xdnat_addr *addr)
{
	return !addr->word[0] && !addr->word[1] && addr->word[2] == htonl(0xffff);
}

bool addr_equal(const struct xdnat_addr *left, const struct xdnat_addr *right)
{
	return !memcmp(left, right, sizeof(*left));
}

struct xdnat_addr addr_from_v4(__be32 v4)
{
	return (struct xdnat_addr){.word = {0, 0, htonl(0xffff), v4}};
}

struct xdnat_addr addr_from_v6(const void *v6)
{
	struct xdnat_addr addr;

	memcpy(&addr, v6, sizeof(addr));
	return addr;
}

/* Sets the bits behind the prefix to 0. */
static void prefix_trim(struct addr_prefix *prefix)
{
	uint8_t *bytes = (uint8_t *)prefix->addr.word;

	for (unsigned int bit = prefix->bits; bit < XDNAT_ADDR_BITS; bit++)
		bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

int prefix_parse(const char *text, struct addr_prefix *prefix)
{
	char addr_text[ADDR_TEXT_BYTES], repair[PREFIX_TEXT_BYTES];
	size_t length = strcspn(text, "/");
	bool has_bits = text[length];
	struct addr_prefix parsed = {};
	struct xdnat_addr addr;
	uint64_t bits;
	int family_bits, err;

	if (length >= ADDR_TEXT_BYTES)
		return fail_address(text);
	memcpy(addr_text, text, length);
	addr_text[length] = '\0';
	err = addr_parse(addr_text, &addr);
	if (err)
		return err;
	family_bits = addr_is_v4(&addr) ? 32 : XDNAT_ADDR_BITS;
	bits = family_bits;
	err = has_bits ? number_parse(text + length + 1, "prefix length", 0, family_bits, &bits)
		       : 0;
	if (err)
		return fail_while(err, "%s", text);
	parsed.addr = addr;
	parsed.bits = XDNAT_ADDR_BITS - family_bits + bits;
	prefix_trim(&parsed);
	if (!addr_equal(&parsed.addr, &addr))
		return fail(-EINVAL, "%s has bits behind its prefix: type %s, or %s for that one",
			    text, prefix_format(&parsed, repair), addr_text);
	*prefix = parsed;
	return 0;
}

char *prefix_format(const struct addr_prefix *prefix, char *text)
{
	int before = addr_is_v4(&prefix->addr) ? XDNAT_ADDR_BITS - 32 : 0;
	size_t length = strlen(addr_format(&prefix->addr, false, text));

	if (prefix->bits < XDNAT_ADDR_BITS)
		snprintf(text + length, PREFIX_TEXT_BYTES - length, "/%d", prefix->bits - before);
	return text;
}

int port_parse(const char *text, uint16_t *port_host)
{
	uint64_t number;
	int err;

	err = number_parse(text, "port", 1, UINT16_MAX, &number);
	if (!err)
		*port_host = (uint16_t)number;
	return err;
}

int number_parse(const char *text, const char *what, uint64_t low, uint64_t high, uint64_t *number)
{
	uint64_t value = 0;
	bool fits = true;

	if (*text == '0' && text[1] && strspn(text, digits) == strlen(text))
		return fail(-EINVAL, "%s \"%s\" has leading zeros: type it without them", what,
			    text);
	for (const char *digit = text; *digit >= '0' && *digit <= '9'; digit++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*digit - '0'), &value))
			fits = false;
	}
	if (!*text || text[strspn(text, digits)] || !fits || value < low || value > high)
		return fail(-EINVAL, "%s \"%s\" is not a whole number from %" PRIu64 " to %" PRIu64,
			    what, text, low, high);
	*number = value;
	return 0;
}
