/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the datapath (bpf/) and the tools (user/) agree on: map keys and values,
 * counters' reasons, limits and pin names. Includes nothing of libc and nothing
 * of BPF. Change a layout or a meaning here: raise XDNAT_ABI.
 */
#ifndef XDNAT_ABI_H
#define XDNAT_ABI_H

#include <linux/types.h>

#include "xdnat_flow.h"

#define XDNAT_ABI 5

#define XDNAT_BPFFS    "/sys/fs/bpf"
#define XDNAT_PIN_ROOT XDNAT_BPFFS "/xdnat"
#define XDNAT_RUN_ROOT "/run/xdnat"

#define XDNAT_RULES_MAX	     65536
#define XDNAT_LISTENERS_MAX  262144  /* both sets, unbound rules expanded */
#define XDNAT_RANGES_MAX     1048576 /* both sets; 30 at most for a range of ports */
#define XDNAT_PREFIXES_MAX   1048576 /* of all rules' source lists */
#define XDNAT_PORTS	     65536
#define XDNAT_INTERFACES_MAX 1024
#define XDNAT_NEIGHBOURS_MAX 4096
#define XDNAT_FLOWS_DEFAULT  262144 /* of each family */
#define XDNAT_SPEC_BYTES     512
#define XDNAT_IFNAME_BYTES   16

/* An address in network byte order; IPv4 is mapped (RFC 4291 section 2.5.5.2). */
struct xdnat_addr {
	__be32 word[4];
};
_Static_assert(sizeof(struct xdnat_addr) == 16, "xdnat_addr");

/* Key of xdnat_listeners. The value is the rule id (__u32). Written by tools. */
struct xdnat_listener {
	struct xdnat_addr addr;
	__be16 port;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 set;   /* visible while it equals xdnat_config.active_set */
};
_Static_assert(sizeof(struct xdnat_listener) == 20, "xdnat_listener");

/*
 * Key of xdnat_ranges, a longest-prefix trie: ports that share their upper bits, asked
 * when there is no xdnat_listener. The value is the rule id; 0: excepted, no rule's.
 * Level 0 is of the rules that go first. Where they do not admit a source, those that
 * would go first without them are at level 1, single ports too, and so on.
 */
struct xdnat_range {
	__u32 prefix_bits; /* XDNAT_RANGE_BITS, and so many of port */
	__u8 set;	   /* as in xdnat_listener */
	__u8 proto;
	__u8 level;
	__u8 pad;
	struct xdnat_addr addr;
	__be16 port; /* bits beyond the prefix are 0 */
	__u8 pad2[2];
};
#define XDNAT_RANGE_BITS 160 /* all that stands before port */
#define XDNAT_LEVELS	 16  /* four kinds of BIND, three of PORTS, and some to spare */
_Static_assert(sizeof(struct xdnat_range) == 28, "xdnat_range");
_Static_assert(8 * (__builtin_offsetof(struct xdnat_range, port) - sizeof(__u32)) ==
		       XDNAT_RANGE_BITS,
	       "prefix_bits counts from behind itself");

/* Key of xdnat_target_ports, a longest-prefix trie of what rules send to: a packet
 * with such a source and no flow leaks (DESIGN.md section 2). The value is a __u32 of
 * no meaning. Tools only write. */
struct xdnat_target_port {
	__u32 prefix_bits; /* XDNAT_TARGET_PORT_BITS, and so many of port */
	__u8 proto;
	__u8 pad[3];
	struct xdnat_addr addr;
	__be16 port;
	__u8 pad2[2];
};
#define XDNAT_TARGET_PORT_BITS 160
_Static_assert(sizeof(struct xdnat_target_port) == 28, "xdnat_target_port");
_Static_assert(8 * (__builtin_offsetof(struct xdnat_target_port, port) - sizeof(__u32)) ==
		       XDNAT_TARGET_PORT_BITS,
	       "prefix_bits counts from behind itself");

/*
 * Key of xdnat_prefixes, a longest-prefix trie: the sources that rules allow and deny.
 * A rule's lists have a number, and never change under it: when a rule says other
 * sources, they are written under another number, and only then is it the rule's.
 * XDNAT_LISTS, id of a rule, without an address: the value is the number of its lists
 * while set is xdnat_config.active_set. The others, id of lists: a prefix of theirs;
 * the value (__u32) has no meaning. XDNAT_LISTS with the number and an address of
 * zeros, whole: they are there; before all others of theirs. Tools only write.
 */
enum { XDNAT_LISTS, XDNAT_ALLOWED, XDNAT_DENIED };
struct xdnat_prefix {
	__u32 prefix_bits; /* XDNAT_PREFIX_BITS, and so many of addr (IPv4: 96 and more) */
	__u32 id;
	__u8 list; /* XDNAT_LISTS, XDNAT_ALLOWED or XDNAT_DENIED */
	__u8 set;  /* of XDNAT_LISTS; else 0 */
	__u8 pad[2];
	struct xdnat_addr addr; /* bits beyond the prefix are 0 */
};
#define XDNAT_PREFIX_BITS 64 /* all that stands before addr */
#define XDNAT_ADDR_BITS	  128
_Static_assert(sizeof(struct xdnat_prefix) == 28, "xdnat_prefix");
_Static_assert(8 * (__builtin_offsetof(struct xdnat_prefix, addr) - sizeof(__u32)) ==
		       XDNAT_PREFIX_BITS,
	       "prefix_bits counts from behind itself");

/* An entry of xdnat_snat_ports, an array of XDNAT_PORTS: the ports that masquerading
 * may give out, in no order. Written by tools. */
struct xdnat_snat_port {
	__be16 port;	     /* the entry's, of the first xdnat_config.snat_ports entries */
	__u8 is_free_to_use; /* whether the port of the entry's own number is among them */
	__u8 pad;
};
_Static_assert(sizeof(struct xdnat_snat_port) == 4, "xdnat_snat_port");

/* The one element of xdnat_ports: a bit a port, by the port's number as it stands in the
 * packet, read in the machine's byte order. Written by tools, in bpf/foreign.bpf.h's sense. */
#define XDNAT_PORTS_SECTION ".data.ports" /* the map's name as long as it has no pin */
#define XDNAT_PORTS_A_BYTE  8
struct xdnat_port_bits {
	__u8 as_destination[XDNAT_PORTS / XDNAT_PORTS_A_BYTE]; /* listeners have it */
	__u8 as_source[XDNAT_PORTS / XDNAT_PORTS_A_BYTE];      /* rules send to it */
};
_Static_assert(sizeof(struct xdnat_port_bits) == 16384, "xdnat_port_bits");

/*
 * Value of xdnat_rules, key rule id (__u32, never reused while loaded). Tools
 * write the target before the rule's listeners exist and never change it; the
 * datapath adds to the totals atomically.
 */
struct xdnat_rule {
	struct xdnat_addr target;
	__be16 target_port;	/* 0: the packet's, plus ... */
	__u16 port_offset_host; /* ... this, modulo 2^16 */
	__u32 id;		/* its key: the kernel recycles elements under their readers */
	__u32 flags;
	__u16 mss_host; /* largest that SYNs may announce; 0: any, XDNAT_MSS_AUTO */
	__u8 pad[2];
	__u64 flows_made;

	__u64 ended_packets[XDNAT_DIRECTIONS]; /* of flows that have ended */
	__u64 ended_bytes[XDNAT_DIRECTIONS];
};
_Static_assert(sizeof(struct xdnat_rule) == 72, "xdnat_rule");
#define XDNAT_MSS_AUTO 0xffff /* what the way out's MTU leaves */

/* xdnat_rule.flags */
#define XDNAT_RULE_LOCAL      0x01 /* the target is this host: target stays unused */
#define XDNAT_RULE_MASQUERADE 0x02 /* the source becomes an address in xdnat_snat */
#define XDNAT_RULE_HAIRPIN    0x04 /* the same for clients on the target's interface only */
#define XDNAT_RULE_ALLOWS     0x08 /* it has XDNAT_ALLOWED prefixes: others are refused */
#define XDNAT_RULE_DENIES     0x10 /* it has XDNAT_DENIED prefixes */

/* Value of xdnat_snat, key rule id (__u32): where masqueraded packets say they come
 * from. Written by tools, followed by the daemon; an update replaces it whole. */
struct xdnat_snat {
	struct xdnat_addr addr;
};
_Static_assert(sizeof(struct xdnat_snat) == 16, "xdnat_snat");

/*
 * Value of xdnat_specs, key a number of its own (__u32, never reused while loaded):
 * what a rule says, in the CLI's grammar, canonical, NUL-terminated. It holds while
 * since <= xdnat_config.generation and until is 0 or greater than that: a change of
 * many rules is written beside what holds, and raising the generation commits it.
 * Only the tools read and write it; text never changes.
 */
struct xdnat_spec {
	__u32 rule; /* id: a rule that is disabled and enabled again stays the same */
	__u32 since;
	__u32 until;
	char text[XDNAT_SPEC_BYTES];
};
_Static_assert(sizeof(struct xdnat_spec) == 524, "xdnat_spec");

/* The one element of xdnat_config: what must outlive a program. Tools write it
 * under the instance's lock; the datapath reads active_set. */
struct xdnat_config {
	__u32 abi;
	__u32 active_set;   /* 0 or 1: the listeners in force; one store swaps a rule set */
	__u32 hz;	    /* jiffies a second, measured at load */
	__u32 tick_jiffies; /* a tick: a second of them */
	__u32 flows;	    /* capacity of each family's flow table */
	__u32 next_id;	    /* of a rule or of a spec, from 1 */
	__u32 generation;   /* raised with every change of the rules */
	__u32 life_jiffies[XDNAT_LIFE_MAX];
	__u32 has_ranges;      /* bit 0, 1: of set 0, 1; clear: xdnat_ranges need not be asked */
	__u32 snat_ports;      /* entries of xdnat_snat_ports that count */
	__u16 snat_first_host; /* the range that they are of; both 0: the default one */
	__u16 snat_last_host;
	__u32 seed;	    /* of the order in which ports are given out; random, never changes */
	__u32 home_buckets; /* of each flow table; behind them are ... */
	__u32 overflow_buckets;
	__u64 netns_cookie; /* SO_NETNS_COOKIE of the namespace it was loaded in */
	__u64 hash_seeds[XDNAT_SEEDS];
};
_Static_assert(sizeof(struct xdnat_config) == 152, "xdnat_config");

/* What stands in front of tc, which is on every interface. */
enum { XDNAT_MODE_NATIVE = 1, XDNAT_MODE_GENERIC, XDNAT_MODE_TC };
/* xdnat_interface.flags */
#define XDNAT_RESTORE_RXVLAN 0x01 /* unload switches rx VLAN offload on again */
#define XDNAT_SHARED	     0x02 /* in libxdp's dispatcher, beside others' programs */
#define XDNAT_NO_ETHERNET    0x04 /* frames begin with the IP header (tun, WireGuard) */
#define XDNAT_XDP_OUT	     0x08 /* native XDP can send to it */
#define XDNAT_TARGET_SIDE    0x10 /* not loaded by anybody: a target's route leads there */
#define XDNAT_OWN_CLSACT     0x20 /* unload removes the clsact qdisc, if nobody uses it */
#define XDNAT_AUTO	     0x40 /* its mode was chosen by load */
#define XDNAT_LISTENS	     0x80 /* a listener's address is on it: the leak guard watches */

/* Our tc filters. Low: others' filters may end a packet's way through them (redirect it
 * to an ifb, say), and ours leave them all that is not for a rule. */
#define XDNAT_TC_PRIORITY 7
#define XDNAT_TC_HANDLE	  0xdba7

/* Value of xdnat_interfaces, key ifindex (__u32): the loaded interfaces. Written
 * by tools, the address followed by the daemon. */
struct xdnat_interface {
	__u8 mac[6]; /* the interface's own; frames to another address are not ours */
	__u8 mode;
	__u8 flags;
	char name[XDNAT_IFNAME_BYTES];
};
_Static_assert(sizeof(struct xdnat_interface) == 24, "xdnat_interface");

/* Key of xdnat_neighbours: the neighbour entries that we keep resolved, so that
 * unload can let go of them. The value is a __u32 of no meaning. Tools only. */
struct xdnat_neighbour {
	struct xdnat_addr addr;
	__u32 ifindex;
};
_Static_assert(sizeof(struct xdnat_neighbour) == 20, "xdnat_neighbour");

/* Context of the syscall program xdnat_clock: both clocks, read together. */
struct xdnat_clock {
	__u64 jiffies;
	__u64 boot_ns; /* bpf_ktime_get_boot_ns */
};
_Static_assert(sizeof(struct xdnat_clock) == 16, "xdnat_clock");

/* Where a packet was seen; xdnat_stats counts each apart. */
enum { XDNAT_HOOK_XDP, XDNAT_HOOK_INGRESS, XDNAT_HOOK_EGRESS, XDNAT_HOOKS };

/* What became of a packet. XDNAT_FORWARDED is also "no objection, go on". */
enum xdnat_reason {
	XDNAT_FORWARDED,
	/* Not ours: passed on untouched. */
	XDNAT_PASS_NOT_IP,
	XDNAT_PASS_VLAN,
	XDNAT_PASS_PROTOCOL,
	XDNAT_PASS_FRAGMENT,
	XDNAT_PASS_MALFORMED,
	XDNAT_PASS_OTHER_MAC,
	XDNAT_PASS_TRANSLATED,
	XDNAT_PASS_NO_RULE,
	/* Ours, handed on by XDP to tc, untouched but for the MAC address that keeps the
	 * host from answering if tc is not there. */
	XDNAT_HAND_ON_NEIGHBOUR,
	XDNAT_HAND_ON_WAY_OUT,
	XDNAT_HAND_ON_PRIORITY_TAG,
	/* Ours, and dropped. */
	XDNAT_DROP_HEADER_CHECKSUM,
	XDNAT_DROP_MALFORMED,
	XDNAT_DROP_IP_OPTIONS,
	XDNAT_DROP_EXT_HEADERS,
	XDNAT_DROP_FRAGMENT,
	XDNAT_DROP_TTL,
	XDNAT_DROP_TOO_BIG,
	XDNAT_DROP_UDP6_CHECKSUM,
	XDNAT_DROP_BAD_SOURCE,
	XDNAT_DROP_TCP_FLAGS,
	XDNAT_DROP_PICKUP_RATE,
	XDNAT_DROP_NO_ROUTE,
	XDNAT_DROP_FORWARDING_OFF,
	XDNAT_DROP_NOT_LOADED,
	XDNAT_DROP_WRONG_INTERFACE,
	XDNAT_DROP_TUPLE_TAKEN,
	XDNAT_DROP_TABLE_FULL,
	XDNAT_DROP_NO_PORT,
	XDNAT_DROP_NO_SOURCE,
	XDNAT_DROP_LEAK,
	XDNAT_DROP_EXPIRED,
	XDNAT_DROP_BUSY,
	XDNAT_DROP_NO_MEMORY,
	XDNAT_REASON_MAX,
	XDNAT_FIRST_PASS = XDNAT_PASS_NOT_IP,
	XDNAT_FIRST_HAND_ON = XDNAT_HAND_ON_NEIGHBOUR,
	XDNAT_FIRST_DROP = XDNAT_DROP_HEADER_CHECKSUM,
};

/* Value of the per-CPU array xdnat_stats, key hook * XDNAT_REASON_MAX + reason. Written
 * by the datapath. */
struct xdnat_counter {
	__u64 packets;
	__u64 bytes; /* whole frames; at XDNAT_HOOK_INGRESS without their link layer's header */
};
_Static_assert(sizeof(struct xdnat_counter) == 16, "xdnat_counter");

#endif
