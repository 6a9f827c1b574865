/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table's layout, for the datapath (bpf/table.bpf.h says who may write what)
 * and for the tools, which map it read-only. One table a family: an array of buckets,
 * each of XDNAT_SLOTS slots that hold a half of a flow. The first buckets are homes: a
 * key's home is a function of the key and the seeds. What finds no room there is in one
 * of the buckets behind them, and a kernel hash says in which slot.
 */
#ifndef XDNAT_FLOW_H
#define XDNAT_FLOW_H

#include <linux/types.h>

/* Directions of a flow, index of a rule's totals. */
enum { XDNAT_ORIGINAL, XDNAT_REPLY, XDNAT_DIRECTIONS };

/* Both ports as they stand in the packet, source first; one word to copy. */
union xdnat_ports {
	struct {
		__be16 sport;
		__be16 dport;
	};
	__be32 both;
};

/* A packet's addresses and ports as a half's packets carry them. Whole words. */
struct xdnat_key4 {
	union {
		__u64 both; /* as they stand in the packet, source first */
		struct {
			__be32 src;
			__be32 dst;
		};
	};
	union xdnat_ports ports;
	__u32 proto; /* IPPROTO_TCP or IPPROTO_UDP */
};
_Static_assert(sizeof(struct xdnat_key4) == 16, "xdnat_key4");

struct xdnat_key6 {
	__be32 src[4];
	__be32 dst[4];
	union xdnat_ports ports;
	__u32 proto;
};
_Static_assert(sizeof(struct xdnat_key6) == 40, "xdnat_key6");

/* State bits of a half's word. On the fast path it is XDNAT_TAKEN | XDNAT_SETTLED. */
#define XDNAT_ANSWERED	0x01 /* the target has answered */
#define XDNAT_CONFIRMED 0x02 /* UDP: answered; TCP: the client went on after the answer */
#define XDNAT_CLOSING	0x04 /* a FIN or RST passed and no data since */
#define XDNAT_DEAD	0x08 /* being freed: translates nothing any more */
#define XDNAT_RESTING	0x10 /* with XDNAT_DEAD, a reply half: its claim rests */
#define XDNAT_TAKEN	0x20 /* the slot has a half; clear: it is free */
#define XDNAT_HIDDEN	0x40 /* being made: who looks for it does not find it */
#define XDNAT_ASSURED	0x80 /* has been XDNAT_CONFIRMED once: no other flow is given its place */
#define XDNAT_SETTLED	(XDNAT_ANSWERED | XDNAT_CONFIRMED | XDNAT_ASSURED)

/* For so long after the end of an answered masquerade flow nobody else is given its
 * port: what the target still sends reaches no other client (RFC 6888 REQ-8: 120 s). */
#define XDNAT_REST_TICKS 120

/* Lifetimes: how long a flow may stay without a packet. */
enum {
	XDNAT_LIFE_TCP_HALF_OPEN,
	XDNAT_LIFE_TCP_ESTABLISHED,
	XDNAT_LIFE_TCP_CLOSING,
	XDNAT_LIFE_UDP_UNANSWERED,
	XDNAT_LIFE_UDP_ANSWERED,
	XDNAT_LIFE_MAX,
};

/* The lifetime of a flow: an index of life_jiffies. state: of both halves together
 * (RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 7857 section 2.1). */
static inline __attribute__((always_inline)) __u32 xdnat_life(__u8 is_tcp, __u32 state)
{
	if (!is_tcp)
		return state & XDNAT_ANSWERED ? XDNAT_LIFE_UDP_ANSWERED : XDNAT_LIFE_UDP_UNANSWERED;
	if (state & XDNAT_CLOSING)
		return XDNAT_LIFE_TCP_CLOSING;
	return state & XDNAT_CONFIRMED ? XDNAT_LIFE_TCP_ESTABLISHED : XDNAT_LIFE_TCP_HALF_OPEN;
}

/*
 * One direction of a flow without its addresses. All that decides is in word, which is
 * changed as a whole, by compare-and-swap:
 *   bits  0..31  until: jiffies when the tick of the last packet, or the rest, ends
 *   bits 32..39  state: XDNAT_TAKEN …
 *   bits 40..55  owner: another number for each half that the slot has had
 *   bits 56..63  hop: odd while the fields are written that say "hop"
 * Counters are best effort: two processors may lose an increment.
 */
struct xdnat_half {
	__u64 word;
	__u8 in_mac[6];		 /* hop: address of the interface where the last packet came in */
	__u16 mtu;		 /* hop: of the way out, from the IP header on; 0: not for XDP */
	__u32 in_ifindex;	 /* hop: that interface */
	__u32 rule;		 /* id of the rule that made it */
	union xdnat_ports ports; /* what the packet leaves with */
	__sum16 l4_delta;	 /* RFC 1624 deltas: addresses and ports, for TCP and UDP */
	__sum16 l3_delta;	 /* IPv4 header with TTL - 1 */
	__be32 eth[3];		 /* hop: both MACs, destination first, as they stand in the frame */
	__u32 out_ifindex;	 /* hop: where the route led when it was last looked up */
	__u16 tc_mtu;		 /* hop: as mtu, for tc: also where XDP cannot send; 0: unknown */
	__u8 direction;		 /* XDNAT_ORIGINAL or XDNAT_REPLY */
	__u8 pad[5];
	__u64 packets;
	__u64 bytes; /* from the IP header on */
};
_Static_assert(sizeof(struct xdnat_half) == 72, "xdnat_half");

#define XDNAT_WORD_STATE 32
#define XDNAT_WORD_OWNER 40
#define XDNAT_WORD_HOP	 56
#define XDNAT_OWNER_MASK (0xffffULL << XDNAT_WORD_OWNER)
#define XDNAT_HOP_MASK	 (0xffULL << XDNAT_WORD_HOP)

static inline __attribute__((always_inline)) __u32 xdnat_until(__u64 word)
{
	return (__u32)word;
}

static inline __attribute__((always_inline)) __u32 xdnat_state(__u64 word)
{
	return (word >> XDNAT_WORD_STATE) & 0xff;
}

static inline __attribute__((always_inline)) __u8 xdnat_is_hop_written(__u64 word)
{
	return (word >> XDNAT_WORD_HOP) & 1;
}

/* Slots. The key is first; it, and all that decides about a packet, is in the first 64
 * bytes. */
struct xdnat_half4 {
	struct xdnat_key4 key;
	struct xdnat_half half;
	union {
		__u64 both; /* as they stand in the packet, source first */
		struct {
			__be32 src; /* what the packet leaves with */
			__be32 dst;
		};
	};
	__u64 pad[4];
};
_Static_assert(sizeof(struct xdnat_half4) == 128, "xdnat_half4");

struct xdnat_half6 {
	struct xdnat_key6 key;
	struct xdnat_half half;
	__be32 src[4];
	__be32 dst[4];
	__u64 pad[6];
};
_Static_assert(sizeof(struct xdnat_half6) == 192, "xdnat_half6");

#define XDNAT_SLOTS 8

/* Values of the arrays xdnat_flows4 and xdnat_flows6. */
struct xdnat_bucket4 {
	struct xdnat_half4 slot[XDNAT_SLOTS];
};
struct xdnat_bucket6 {
	struct xdnat_half6 slot[XDNAT_SLOTS];
};

/* Values of the arrays xdnat_buckets4 and xdnat_buckets6: what is known of the bucket of
 * the same number. */
struct xdnat_bucket {
	__u32 lock;	  /* 1: somebody inserts */
	__u32 overflowed; /* of a home: halves of its that are elsewhere */
	union {
		__u64 tags;	       /* the first slot's lowest */
		__u8 tag[XDNAT_SLOTS]; /* xdnat_home_tag() of the slot's key; 0: it is free */
	};
};
_Static_assert(sizeof(struct xdnat_bucket) == 16, "xdnat_bucket");

/* A slot's place, the value of the kernel hashes xdnat_overflow4 and xdnat_overflow6. */
static inline __attribute__((always_inline)) __u32 xdnat_place(__u32 bucket, __u32 slot)
{
	return bucket * XDNAT_SLOTS + slot;
}

/*
 * The seeded hash: pair-multiply-shift of the addresses (M. Thorup, "High speed hashing for
 * integers and strings", section 3.5), plus multiply-shift of ports and protocol, which are
 * 37 bits (M. Dietzfelbinger et al., "A reliable randomized algorithm for the closest-pair
 * problem"): whoever does not know the seeds finds no two keys whose sums agree in their
 * upper bits more than twice as often as by chance. Alone it may lay the ports of one
 * client, which follow each other, into a few buckets: its result is mixed once more. The
 * upper half counts.
 */
#define XDNAT_SEEDS 9 /* random words; the first, which multiplies, is made odd */
static inline void xdnat_seeds_fit(__u64 *seeds)
{
	seeds[0] |= 1;
}

static inline __attribute__((always_inline)) __u64 xdnat_mix(__u64 sum)
{
	return (sum ^ sum >> 32) * 0x9e3779b97f4a7c15ULL; /* 2^64 / the golden ratio */
}

/* What keys and packets are read by, whatever they are declared as. */
typedef __u64 __attribute__((may_alias)) xdnat_word;
typedef __u32 __attribute__((may_alias)) xdnat_word32;

static inline __attribute__((always_inline)) __u64 xdnat_hash_pair(const xdnat_word *word,
								   const volatile __u64 *seeds)
{
	const xdnat_word32 *parts = (const void *)word;

	return (seeds[0] + parts[0]) * (seeds[1] + parts[1]);
}

/* addrs: source and destination, as they stand in a packet; last: the key's last word, ports
 * and protocol. So in xdnat_hash6(). */
static inline __attribute__((always_inline)) __u64 xdnat_hash4(const xdnat_word *addrs, __u64 last,
							       const volatile __u64 *seeds)
{
	return xdnat_mix(seeds[0] * last + xdnat_hash_pair(addrs, seeds + 1));
}

static inline __attribute__((always_inline)) __u64 xdnat_hash6(const xdnat_word *addrs, __u64 last,
							       const volatile __u64 *seeds)
{
	return xdnat_mix(seeds[0] * last + xdnat_hash_pair(addrs, seeds + 1) +
			 xdnat_hash_pair(addrs + 1, seeds + 3) +
			 xdnat_hash_pair(addrs + 2, seeds + 5) +
			 xdnat_hash_pair(addrs + 3, seeds + 7));
}

static inline __attribute__((always_inline)) __u64 xdnat_key4_hash(const struct xdnat_key4 *key,
								   const volatile __u64 *seeds)
{
	const xdnat_word *words = (const void *)key;

	return xdnat_hash4(words, words[1], seeds);
}

static inline __attribute__((always_inline)) __u64 xdnat_key6_hash(const struct xdnat_key6 *key,
								   const volatile __u64 *seeds)
{
	const xdnat_word *words = (const void *)key;

	return xdnat_hash6(words, words[4], seeds);
}

/* Where a key of that hash is at home, among so many buckets. The upper half of the
 * result is the bucket, the upper bits of the lower one say with which slot to begin. */
static inline __attribute__((always_inline)) __u64 xdnat_home(__u64 hash, __u32 buckets)
{
	return (hash >> 32) * buckets;
}

static inline __attribute__((always_inline)) __u32 xdnat_home_bucket(__u64 home)
{
	return home >> 32;
}

static inline __attribute__((always_inline)) __u32 xdnat_home_slot(__u64 home)
{
	return (__u32)home >> 29;
}

/* What tells keys of one bucket apart without a look at them; never 0. */
#define XDNAT_TAG_TAKEN 0x80
static inline __attribute__((always_inline)) __u8 xdnat_home_tag(__u64 home)
{
	return (__u8)((__u32)home >> 22) | XDNAT_TAG_TAKEN;
}

/* Buckets for so many flows: two halves each, at home 72 of 100 slots taken then; one
 * bucket of overflow for 20 homes. */
static inline __attribute__((always_inline)) __u32 xdnat_home_buckets(__u32 flows)
{
	return (__u64)flows * 200 / (72 * XDNAT_SLOTS) + 1;
}

static inline __attribute__((always_inline)) __u32 xdnat_overflow_buckets(__u32 homes)
{
	return homes / 20 + 2;
}

/* Context of the syscall program xdnat_flow_end, which frees a flow: one that has
 * expired, any, or any with its port, that nothing rests. */
enum { XDNAT_END_EXPIRED, XDNAT_END_ANY, XDNAT_END_WHOLLY };
struct xdnat_flow_end {
	struct xdnat_key6 key; /* of either half; IPv4 in the first word of src and dst */
	__u32 is_v6;
	__u32 force; /* XDNAT_END_... */
	__u32 ended; /* out: 1 if the flow is gone */
};
_Static_assert(sizeof(struct xdnat_flow_end) == 52, "xdnat_flow_end");

/* Context of the syscall program xdnat_flow_put, which puts a half as it is into the
 * table: of its word, until and state. What has its key already stays. */
struct xdnat_flow_put {
	union {
		struct xdnat_half4 half4;
		struct xdnat_half6 half6;
	};
	__u32 is_v6;
	__s32 result; /* out: 0, -EEXIST, -EBUSY or -ENOSPC */
};
_Static_assert(sizeof(struct xdnat_flow_put) == 200, "xdnat_flow_put");

#endif
