/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs that send and judge packets and the stress test agree on: flows,
 * what is sent of them, and what was found.
 */
#ifndef STRESS_ABI_H
#define STRESS_ABI_H

#include <linux/types.h>

#define STRESS_FRAME_BYTES 96
#define STRESS_LANES	   2	 /* one a processor; the frame's last word says which */
#define STRESS_FLOWS	   65536 /* a power of two */

/* Ports that flows of a group contend for: a group's flows have the same target, and the
 * same source there. */
#define STRESS_FIRST_PORT 20000
#define STRESS_PORTS	  64  /* a power of two */
#define STRESS_GROUPS	  256 /* a power of two */
#define STRESS_NO_GROUP	  0xffffffff

#define STRESS_STALL_MAX 256 /* clock readings, of some ten nanoseconds each */

/* Neighbours' addresses are 02, a number, and four times one of these two. */
#define STRESS_MAC_ONE	 0xaa
#define STRESS_MAC_OTHER 0xbb

/* Ports of listeners. Of flow i the lower 16 bits of the client's address are i less the
 * lower two bits of its listener's port: a translated reply says whose it is. */
enum stress_port {
	STRESS_PRESERVED = 8080,
	STRESS_MASQUERADED = 8084,
	STRESS_SHARED = 8088, /* and three more: four listeners of one target */
	STRESS_KEPT = 8092,
	STRESS_KEPT_MASQUERADED = 8096,
};

/* A flow. IPv4 in the last word of each. Written before it is sent, but for what is the
 * lanes': last writer wins. */
struct stress_flow {
	__be32 client[4];
	__be32 listener[4];
	__be32 target[4];
	__be32 source[4]; /* what the target sees */
	__be16 client_port;
	__be16 listener_port;
	__be16 target_port;
	__be16 source_port; /* lanes: what it last left with */
	__u32 group;	    /* STRESS_NO_GROUP: nobody else would leave with client_port */
	__u8 is_v6;
	__u8 is_tcp;
	__u8 is_kept;	 /* confirmed, and nobody ends it: all of it is forwarded */
	__u8 target_hop; /* number of the target's neighbour */
	__u8 is_unsure;	 /* lanes: it may have got another port */
	__u8 has_passed; /* lanes: its last packet was forwarded */
	__u8 pad[6];
};
_Static_assert(sizeof(struct stress_flow) == 88, "stress_flow");

/* What a lane sends next: a packet of any flow of those that are about now, in any
 * direction; or of one flow after the other the opening, an answer, what the client
 * says then. */
enum stress_order { STRESS_AT_RANDOM, STRESS_OPEN, STRESS_ANSWER, STRESS_GO_ON };

/* What may be wrong with a packet. */
enum stress_wrong {
	STRESS_WRONG_FLOW,  /* translated as another flow's, or as nobody's */
	STRESS_WRONG_BYTES, /* a checksum, the TTL, what must stay */
	STRESS_WRONG_HOP,   /* MAC addresses that belong to no hop */
	STRESS_LOST_KEPT,   /* a confirmed flow's, not forwarded */
	STRESS_LEFT_ALONE,  /* a client's, passed on untranslated */
	STRESS_WRONGS,
};

/* One a lane, written by who runs it while it does not run, then by the programs. */
struct stress_lane {
	__u32 order;
	__u32 first; /* flows that are sent of */
	__u32 count;
	__u32 position;
	__u64 random;
	/* The packet under way. */
	__u32 flow;
	__u32 direction;
	__u32 tcp_flags;
	__u32 source_port;   /* of the flow, at the target */
	__u32 start;	     /* when: stress_sequence */
	__u32 current;	     /* flow + 1 while an original is under way, which may get a port */
	__u64 claim;	     /* stress_claims, of a reply, before */
	__u64 busy;	     /* packets dropped for XDNAT_DROP_BUSY here, before */
	__u64 other_packets; /* the other lane's, before */
	/* Counts. */
	__u64 packets;
	__u64 forwarded[2];
	__u64 dropped;
	__u64 passed;
	__u64 kept_busy; /* kept flows' packets, dropped for XDNAT_DROP_BUSY */
	__u64 unclear;	 /* whose they are changed meanwhile: not judged */
	__u64 wrong[STRESS_WRONGS];
	__u64 pad[11];
};
_Static_assert(sizeof(struct stress_lane) % 64 == 0, "a lane shares no cache line");

/* Which flows are about when packets are sent at random: some that stay, and of the
 * lanes' others `window`, which moves by `window / 2` each 2^shift jiffies. */
struct stress_plan {
	__u32 first_kept;
	__u32 kept;
	__u32 window;
	__u32 shift;
	__u8 mac[6]; /* of the interface */
	__u8 gateway_hop;
	__u8 pad;
};

struct stress_tuple {
	__be32 src[4];
	__be32 dst[4];
	__be16 sport;
	__be16 dport;
};

#define STRESS_FINDINGS 8 /* that are told in full */
struct stress_finding {
	__u32 wrong; /* enum stress_wrong */
	__u32 lane;
	__u32 flow;
	__u32 direction;
	struct stress_tuple sent;
	struct stress_tuple got;
	__u8 macs[12];
};

#endif
