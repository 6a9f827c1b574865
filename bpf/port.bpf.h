/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Choosing a source port: which of the ports that may be given out is tried next.
 * Pure arithmetic over numbers, without maps or packets, so the host runs it too. Who
 * gets a port is decided where it is claimed.
 *
 * The order is a function of the flow's own tuple and of a seed: who makes the same
 * flow anew tries the same ports, and nobody else can tell which (RFC 6056 section
 * 3.3.3).
 */
#ifndef XDNAT_PORT_BPF_H
#define XDNAT_PORT_BPF_H

#include <linux/types.h>

/* Ports that a new flow tries beside the client's own. As many as there are, up to
 * this, are given out to the last one; of more, with nine in ten taken, one new flow
 * in 850 finds none. A refusal costs so many lookups, and a flood can ask for it. */
#define PORT_CANDIDATES 64

/* MurmurHash3's (Appleby): a word into the hash, and the hash made ready for use. */
static inline __attribute__((always_inline)) __u32 port_hash_word(__u32 hash, __u32 word)
{
	word *= 0xcc9e2d51;
	word = word << 15 | word >> 17;
	hash ^= word * 0x1b873593;
	return (hash << 13 | hash >> 19) * 5 + 0xe6546b64;
}

static inline __attribute__((always_inline)) __u32 port_hash_end(__u32 hash)
{
	hash = (hash ^ hash >> 16) * 0x85ebca6b;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35;
	return hash ^ hash >> 16;
}

/* count words of what the order is to depend on. */
static inline __attribute__((always_inline)) __u32 port_hash(const __u32 *words, __u32 count,
							     __u32 seed)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < count; i++)
		seed = port_hash_word(seed, words[i]);
	return port_hash_end(seed);
}

/* How many of the ports are tried. */
static inline __attribute__((always_inline)) __u32 port_candidates(__u32 ports)
{
	return ports < PORT_CANDIDATES ? ports : PORT_CANDIDATES;
}

/* The number of the port that is tried after `tried` others, of ports (not 0) that
 * there are. Few ones one after the other, so that none is left out. */
static inline __attribute__((always_inline)) __u32 port_candidate(__u32 hash, __u32 tried,
								  __u32 ports)
{
	if (ports <= PORT_CANDIDATES)
		return (hash % ports + tried) % ports;
	return port_hash_end(port_hash_word(hash, tried)) % ports;
}

#endif
