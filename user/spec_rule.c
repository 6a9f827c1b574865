// SPDX-License-Identifier: GPL-2.0-only
#include "spec_rule.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "spec_ports.h"

/* The first word taken apart. Pointers are into a copy; NULL: not there. */
struct rule_parts {
	const char *whole;   /* as typed, for messages: */
	int listener_length; /* BIND:PORTS of it */
	const char *slash;   /* /PROTO of it, or "" */
	char *bind;
	char *ports;
	char *target; /* HOST[:PORT] */
	char *proto;
};

static const char digits[] = "0123456789";

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, digits)];
}

/* PORTS by its looks; whether it is right comes later. */
static bool is_ports(const char *text)
{
	return !strcmp(text, "*") || (*text && !text[strspn(text, "0123456789-")]);
}

/* Cuts the field before the next ":" that is not in brackets off *rest, which
 * becomes NULL after the last one. */
static char *take_field(char **rest)
{
	char *field = *rest, *end = field;

	if (*end == '[')
		end += strcspn(end, "]");
	end = strchr(end, ':');
	if (end)
		*end++ = '\0';
	*rest = end;
	return field;
}

/* BIND is there when the field after it is PORTS. If neither looks like PORTS,
 * the first one is to blame only if it could not be an interface or address. */
static bool has_bind(const char *first, const char *rest)
{
	char second[8] = "";

	snprintf(second, sizeof(second), "%.*s", (int)strcspn(rest, ":"), rest);
	if (!strcmp(first, "*"))
		return is_ports(second);
	if (is_ports(first))
		return false;
	return is_ports(second) || !*first || *first == '[' || isalpha((unsigned char)*first) ||
	       strchr(first, '.');
}

static int fail_no_target(const struct rule_parts *parts)
{
	const char *target = parts->target ? parts->target : "";
	const char *port = is_number(target) ? target : parts->ports;
	int length = parts->listener_length;
	struct xdnat_addr addr;

	if (!*target && parts->bind && !spec_rule_parse_address(parts->bind, &addr))
		return fail(-EINVAL,
			    "%s names no target: to forward port %s to it, type %s:%s%s; to listen "
			    "there, type %.*s:ADDRESS:%s%s",
			    parts->whole, port, port, parts->bind, parts->slash, length,
			    parts->whole, port, parts->slash);
	return fail(-EINVAL,
		    "%s names no target: type %.*s:ADDRESS:%s%s (for example %.*s:10.0.0.5:%s%s)",
		    parts->whole, length, parts->whole, port, parts->slash, length, parts->whole,
		    port, parts->slash);
}

/* What stands where PORTS belong can only be a target. */
static bool is_host(const char *text)
{
	return *text == '[' || strchr(text, '.') || !strcmp(text, "local");
}

/* "http:10.0.0.5", "eth0:10.0.0.5:80": the first is BIND only because it is no number. */
static int fail_no_port(const struct rule_parts *parts)
{
	const char *behind = parts->whole + strlen(parts->bind) + 1;

	return fail(-EINVAL,
		    "\"%s\" is not a port number: type PORT:%s, or, if clients come in there, "
		    "%s:PORT:%s",
		    parts->bind, behind, parts->bind, behind);
}

/* The target has several colons and no bracket: most likely IPv6. */
static int fail_many_colons(const struct rule_parts *parts)
{
	const char *colon = strrchr(parts->target, ':');
	char host[ADDR_TEXT_BYTES];
	struct xdnat_addr addr;

	snprintf(host, sizeof(host), "%.*s", (int)(colon - parts->target), parts->target);
	if (!is_number(colon + 1) || addr_parse(host, &addr)) {
		snprintf(host, sizeof(host), "%s", parts->target);
		colon = "";
	}
	if (addr_parse(host, &addr))
		return fail(-EINVAL,
			    "%s has too many fields: a rule is [BIND:]PORT:ADDRESS[:PORT], and an "
			    "IPv6 address needs brackets, as in 80:[fd00::5]:80",
			    parts->whole);
	return fail(-EINVAL, "an IPv6 address needs brackets: type %.*s:[%s]%s%s",
		    parts->listener_length, parts->whole, host, colon, parts->slash);
}

/* copy: of parts->whole, to be cut into the parts. */
static int split_rule(char *copy, struct rule_parts *parts)
{
	const char *whole = parts->whole;
	char *rest = copy, *field;

	if (!*copy)
		return fail(-EINVAL, "the rule is empty: type PORT:ADDRESS[:PORT], for example "
				     "8080:10.0.0.5:80");
	strsep(&rest, "/");
	parts->proto = rest;
	rest = copy;
	field = take_field(&rest);
	if (!rest && !is_ports(field))
		return fail(-EINVAL,
			    "\"%s\" is not a rule: type PORT:ADDRESS[:PORT], for example "
			    "8080:10.0.0.5:80",
			    whole);
	if (rest && has_bind(field, rest)) {
		parts->bind = field;
		field = take_field(&rest);
	}
	parts->ports = field;
	parts->target = rest;
	parts->listener_length = (int)(rest ? rest - 1 - copy : parts->slash - whole);
	if (parts->bind && *parts->bind && is_host(parts->ports))
		return fail_no_port(parts);
	if (*parts->ports && (!parts->bind || *parts->bind))
		return 0;
	return fail(-EINVAL,
		    "%s has nothing where %s belongs (an IPv6 address needs brackets, as in "
		    "[2001:db8::7]:80:[fd00::5]:80)",
		    whole, *parts->ports ? "an address or interface" : "the port");
}

static int parse_protos(const char *text, uint8_t *protos)
{
	if (!text || !strcmp(text, "tcp"))
		*protos = SPEC_TCP;
	else if (!strcmp(text, "udp"))
		*protos = SPEC_UDP;
	else if (!strcmp(text, "tcp+udp") || !strcmp(text, "udp+tcp"))
		*protos = SPEC_TCP | SPEC_UDP;
	else
		return fail(-EINVAL,
			    "the protocol \"%s\" is not known: type /tcp, /udp or /tcp+udp", text);
	return 0;
}

static const char loopback[] =
	"is a loopback address: packets from the network never reach it, and "
	"services on loopback are out of reach; use an address of the network";

/* Why nothing can be forwarded to or from the address, or NULL. */
static const char *unusable_v4(uint32_t host)
{
	if (host >> 24 == 0)
		return "is no machine's address (for a listener on all addresses type *)";
	if (host >> 24 == 127)
		return loopback;
	if (host >> 28 == 0xe)
		return "is a multicast address";
	if (host == UINT32_MAX)
		return "is the broadcast address";
	return host >> 28 == 0xf ? "is a reserved address (240.0.0.0/4)" : NULL;
}

static const char *unusable_v6(const struct in6_addr *v6)
{
	if (IN6_IS_ADDR_UNSPECIFIED(v6))
		return "is no machine's address (for a listener on all addresses type *)";
	if (IN6_IS_ADDR_LOOPBACK(v6))
		return loopback;
	if (IN6_IS_ADDR_MULTICAST(v6))
		return "is a multicast address";
	return IN6_IS_ADDR_LINKLOCAL(v6) ? "is a link-local address, which is not forwarded" : NULL;
}

/* IPv4 bare, IPv6 in brackets; an address that packets can come to or go to. */
int spec_rule_parse_address(const char *text, struct xdnat_addr *addr)
{
	char bare[ADDR_TEXT_BYTES + 1];
	size_t length = strlen(text);
	const char *why;
	int err;

	if (*text == '[') {
		if (text[length - 1] != ']' || length > ADDR_TEXT_BYTES)
			return fail(-EINVAL,
				    "\"%s\" is not an IPv6 address in brackets, as in "
				    "[fd00::5]",
				    text);
		snprintf(bare, sizeof(bare), "%.*s", (int)length - 2, text + 1);
		err = addr_parse(bare, addr);
		if (!err && addr_is_v4(addr))
			err = fail(-EINVAL, "brackets are for IPv6: type %s", bare);
	} else {
		err = addr_parse(text, addr);
	}
	if (err)
		return err;
	why = addr_is_v4(addr) ? unusable_v4(ntohl(addr->word[3]))
			       : unusable_v6((const struct in6_addr *)addr->word);
	return why ? fail(-EINVAL, "%s %s", text, why) : 0;
}

/* As the kernel names interfaces (dev_valid_name), so that a typing error in an
 * address is not taken for one. */
static int parse_interface(const char *text, char *interface)
{
	size_t length = strlen(text);

	if (length >= XDNAT_IFNAME_BYTES)
		return fail(-EINVAL,
			    "\"%s\" is neither an address nor an interface name (at most %d "
			    "characters)",
			    text, XDNAT_IFNAME_BYTES - 1);
	if (strpbrk(text, " \t/:[]") || !strcmp(text, ".") || !strcmp(text, ".."))
		return fail(-EINVAL, "\"%s\" is neither an address nor an interface name", text);
	memcpy(interface, text, length + 1);
	return 0;
}

static int parse_bind(const char *text, struct spec *spec)
{
	spec->bind = SPEC_BIND_DEFAULT;
	if (!text)
		return 0;
	if (!strcmp(text, "*")) {
		spec->bind = SPEC_BIND_ALL;
		return 0;
	}
	if (*text == '[' || !text[strspn(text, "0123456789.")]) {
		spec->bind = SPEC_BIND_ADDRESS;
		return spec_rule_parse_address(text, &spec->bind_addr);
	}
	spec->bind = SPEC_BIND_INTERFACE;
	return parse_interface(text, spec->bind_interface);
}

/* What the grammar has for TARGETS and this version has not. */
static int refuse_later_target(const char *target)
{
	if (strchr(target, ','))
		return fail(-EINVAL, "several targets (%s) are not in this version; give one",
			    target);
	if (strchr(target, '@'))
		return fail(-EINVAL, "weights (%s) are not in this version; leave it out",
			    strchr(target, '@'));
	if (strchr(target, '~'))
		return fail(-EINVAL, "backup targets (~) are not in this version; leave it out");
	return 0;
}

/* "local" leaves the address as it is, zero. */
static int parse_host(const char *host, struct spec *spec)
{
	static const char name_characters[] = "abcdefghijklmnopqrstuvwxyz"
					      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const char *dot = strrchr(host, '.');

	spec->is_local = !strcmp(host, "local");
	if (spec->is_local)
		return 0;
	if (!host[strspn(host, name_characters)] && !is_number(dot ? dot + 1 : host))
		return fail(-EINVAL, "DNS names (%s) are not in this version; type the address",
			    host);
	return spec_rule_parse_address(host, &spec->target);
}

static int parse_target(const struct rule_parts *parts, struct spec *spec)
{
	char *rest = parts->target, *host;
	int err;

	if (!rest || !*rest || is_ports(rest))
		return fail_no_target(parts);
	err = refuse_later_target(rest);
	if (err)
		return err;
	if (*rest != '[' && strchr(rest, ':') != strrchr(rest, ':'))
		return fail_many_colons(parts);
	host = take_field(&rest);
	err = parse_host(host, spec);
	return err ? err : spec_ports_parse_target(spec, rest);
}

int spec_rule_parse(const char *word, struct spec *spec)
{
	struct rule_parts parts = {.whole = word, .slash = word + strcspn(word, "/")};
	char copy[XDNAT_SPEC_BYTES];
	int err;

	if (snprintf(copy, sizeof(copy), "%s", word) >= XDNAT_SPEC_BYTES)
		return fail(-EINVAL, "the rule is longer than %d characters", XDNAT_SPEC_BYTES - 1);
	err = split_rule(copy, &parts);
	if (!err)
		err = spec_ports_parse(parts.ports, &spec->ports, &spec->form);
	if (!err)
		err = parse_target(&parts, spec);
	if (!err)
		err = parse_protos(parts.proto, &spec->protos);
	if (!err)
		err = parse_bind(parts.bind, spec);
	if (!err && spec->bind == SPEC_BIND_ADDRESS && !spec->is_local &&
	    addr_is_v4(&spec->bind_addr) != addr_is_v4(&spec->target))
		err = fail(-EINVAL,
			   "%s mixes IPv4 and IPv6: the address in front and the target must be "
			   "of one family",
			   word);
	return err;
}
