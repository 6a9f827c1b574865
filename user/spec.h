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

#include "source.h"
#include "xdnat_abi.h"

#define SPEC_NAME_BYTES	    64	/* with NUL */
#define SPEC_COMMENT_BYTES  129 /* with NUL */
#define SPEC_LISTENER_BYTES 80	/* "[v6]:65535/tcp" or "ifname:65535/tcp" and NUL */
#define SPEC_EXCEPT_MAX	    32
#define SPEC_COMMAND_BYTES  (XDNAT_SPEC_BYTES + 2)
/* A text of so many bytes with NUL, when spec_quote() has had it. */
#define SPEC_QUOTED_BYTES(bytes) (4 * (bytes) + 2)

enum spec_bind {
	SPEC_BIND_DEFAULT, /* omitted: loaded interfaces with a default route */
	SPEC_BIND_ALL,	   /* "*": all loaded interfaces */
	SPEC_BIND_ADDRESS,
	SPEC_BIND_INTERFACE,
};

/* PORTS: one, a range, or all ("*"). Where rules meet, an earlier form wins. */
enum spec_form { SPEC_EXACT, SPEC_RANGE, SPEC_ANY };

struct spec_ports {
	uint16_t first_host, last_host; /* both among them */
};

/* Bits of struct spec.protos, and of spec_families(). */
#define SPEC_TCP 0x1
#define SPEC_UDP 0x2
#define SPEC_V4	 0x1
#define SPEC_V6	 0x2

struct spec {
	char name[SPEC_NAME_BYTES]; /* never empty: the listener's text by default */
	enum spec_bind bind;
	struct xdnat_addr bind_addr;
	char bind_interface[XDNAT_IFNAME_BYTES];
	enum spec_form form;
	struct spec_ports ports; /* SPEC_ANY: 1 to 65535 */
	uint8_t protos;
	bool is_local; /* to this host itself; target is zero */
	struct xdnat_addr target;
	struct spec_ports target_ports;		   /* as many as ports, or one for all */
	struct spec_ports except[SPEC_EXCEPT_MAX]; /* of ports, rising, none meets the next */
	uint8_t except_count;
	bool enabled;		       /* false: as if it were not there */
	bool is_masqueraded;	       /* the target sees this host's address */
	bool has_hairpin;	       /* the same for clients on the target's side */
	struct xdnat_addr snat;	       /* that address; zero: the kernel's choice */
	char allow[SOURCE_TEXT_BYTES]; /* source_parse()'s; "": every source */
	char deny[SOURCE_TEXT_BYTES];  /* the same; "": none */
	uint16_t mss_host;	       /* 0: as it comes; XDNAT_MSS_AUTO */
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
/* "203.0.113.7:8080/tcp", "eth0:80-90/udp", "*:80/tcp", without BIND "80/tcp+udp" ("*"
 * in place of 80: all ports); "80/tcp6" if it has no address and an IPv6 target. */
void spec_format_listener(const struct spec *spec, char *text);
/* "10.0.0.5:80", "[fd00::5]:80-90", "local:80"; "10.0.0.5" for the ports of "*" as they
 * are. SPEC_LISTENER_BYTES at most. */
void spec_format_target(const struct spec *spec, char *text);

/* False: it is named by its listener. */
bool spec_has_name(const struct spec *spec);
bool spec_equal(const struct spec *left, const struct spec *right);
bool spec_same_target(const struct spec *left, const struct spec *right);
/* Packets are treated alike but for whose they are: the rule may keep its id. */
bool spec_same_row(const struct spec *left, const struct spec *right);
/* Not every source is admitted. */
bool spec_has_sources(const struct spec *spec);
/* SPEC_V4, SPEC_V6: of the addresses that it listens on. Without an address a local
 * rule has both. */
unsigned int spec_families(const struct spec *spec);
/* True if it is among ports and not among those excepted. */
bool spec_has_port(const struct spec *spec, uint16_t port_host);
/* "tcp", "udp", "tcp+udp". */
const char *spec_protos_name(const struct spec *spec);
/* Same BIND, ports and protocols, and the same family: they cannot both be there. */
bool spec_same_listener(const struct spec *left, const struct spec *right);
/* Order of `rule list`: by listener. For qsort. */
int spec_compare(const void *left, const void *right);

#endif
