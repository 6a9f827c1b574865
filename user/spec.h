/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rule grammar (DESIGN.md section 4): text <-> struct spec, both ways
 * without loss. Knows nothing of maps or interfaces. Forms and keys that the
 * grammar has and this version has not are refused by name.
 */
#ifndef XDNAT_SPEC_H
#define XDNAT_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xdnat_abi.h"

#define SPEC_NAME_BYTES	    64	/* with NUL */
#define SPEC_COMMENT_BYTES  129 /* with NUL */
#define SPEC_LISTENER_BYTES 80	/* "[v6]:65535/tcp" or "ifname:65535/tcp" and NUL */
#define SPEC_COMMAND_BYTES  (XDNAT_SPEC_BYTES + 2)
/* A text of so many bytes with NUL, when spec_quote() has had it. */
#define SPEC_QUOTED_BYTES(bytes) (4 * (bytes) + 2)

enum spec_bind {
	SPEC_BIND_DEFAULT, /* omitted: loaded interfaces with a default route */
	SPEC_BIND_ALL,	   /* "*": all loaded interfaces */
	SPEC_BIND_ADDRESS,
	SPEC_BIND_INTERFACE,
};

struct spec {
	char name[SPEC_NAME_BYTES]; /* never empty: the listener's text by default */
	enum spec_bind bind;
	struct xdnat_addr bind_addr;
	char bind_interface[XDNAT_IFNAME_BYTES];
	uint16_t port_host;
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	struct xdnat_addr target;
	uint16_t target_port_host;
	bool enabled; /* false: as if it were not there */
	char comment[SPEC_COMMENT_BYTES];
};

/* words[count]: the rule, then KEY=VALUE words, as on the command line; a word
 * may itself hold several separated by blanks (a quoted whole rule) if count is 1.
 * 0, or -EINVAL with fail(): what, why and what to type instead. */
int spec_parse(const char *const *words, size_t count, struct spec *spec);
/* The same from one line, quotes as a shell has them ('…' for values with blanks). */
int spec_parse_line(const char *line, struct spec *spec);
/* Canonical line, XDNAT_SPEC_BYTES at most; spec_parse_line() gives the same back. */
void spec_format(const struct spec *spec, char *line);
/* The same with the rule as one word that a shell leaves alone; SPEC_COMMAND_BYTES. */
void spec_format_command(const struct spec *spec, char *line);
/* text as a word that a shell and spec_parse_line() read as text, in quotes if it
 * needs them; quoted has SPEC_QUOTED_BYTES(sizeof text). Returns quoted. */
char *spec_quote(const char *text, char *quoted);
/* "203.0.113.7:8080/tcp", "eth0:80/udp", "*:80/tcp", "80/tcp" without BIND;
 * "80/tcp6" if it has no address and an IPv6 target. */
void spec_format_listener(const struct spec *spec, char *text);
/* "10.0.0.5:80", "[fd00::5]:80". SPEC_LISTENER_BYTES at most. */
void spec_format_target(const struct spec *spec, char *text);

/* False: it is named by its listener. */
bool spec_has_name(const struct spec *spec);
bool spec_equal(const struct spec *left, const struct spec *right);
bool spec_same_target(const struct spec *left, const struct spec *right);
/* Same BIND, port and protocol, and the same family: they cannot both be there. */
bool spec_same_listener(const struct spec *left, const struct spec *right);
/* Order of `rule list`: by listener. For qsort. */
int spec_compare(const void *left, const void *right);

#endif
