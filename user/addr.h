/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text <-> address and port: one of the two doors where byte order is turned.
 * Strict: the whole string, no shorthand, no leading zeros in IPv4 octets.
 */
#ifndef XDNAT_ADDR_H
#define XDNAT_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xdnat_abi.h"

#define ADDR_TEXT_BYTES 48 /* "[v6]" and NUL fit */

/* "203.0.113.7" or "2001:db8::7" (no brackets, no zone). 0, or -EINVAL with fail(). */
int addr_parse(const char *text, struct xdnat_addr *addr);
/* Writes at most ADDR_TEXT_BYTES; IPv6 in brackets if asked. Returns text. */
char *addr_format(const struct xdnat_addr *addr, bool brackets, char *text);

bool addr_is_v4(const struct xdnat_addr *addr);
bool addr_equal(const struct xdnat_addr *left, const struct xdnat_addr *right);
struct xdnat_addr addr_from_v4(__be32 v4);
struct xdnat_addr addr_from_v6(const void *v6); /* 16 bytes */

/* The addresses whose first bits (IPv4: counted from the mapped form's, 96 and more)
 * are addr's, whose other bits are 0. */
struct addr_prefix {
	struct xdnat_addr addr;
	uint8_t bits;
};
#define PREFIX_TEXT_BYTES (ADDR_TEXT_BYTES + 4)
/* "10.0.0.0/8", "2001:db8::/32", or an address alone. 0, or -EINVAL with fail(). */
int prefix_parse(const char *text, struct addr_prefix *prefix);
/* Writes at most PREFIX_TEXT_BYTES; a whole address without its length. Returns text. */
char *prefix_format(const struct addr_prefix *prefix, char *text);

/* 1..65535, decimal digits only. 0, or -EINVAL with fail() quoting the text. */
int port_parse(const char *text, uint16_t *port_host);
/* A whole decimal number within low..high; `what` names it in the message. */
int number_parse(const char *text, const char *what, uint64_t low, uint64_t high, uint64_t *number);

#endif
