/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table's protocol (bpf/table.bpf.h, DESIGN.md section 3) for spin: who gets a
 * slot, how a flow is made, answered, ended, and what is left when all are done. Fields
 * that are read while they change: slot.pml. Run by model.py, which says in which
 * scenarios, and breaks each rule once, for spin to see it.
 *
 * Spin is sequentially consistent: one step after the other, seen by all. Why loads and
 * stores are ordered so on arm64 is argued in bpf/table.bpf.h, not here.
 *
 * Two clients, C and D, reach one target by masquerade: the reply tuples to choose from
 * are R, then S, so that both want R. HOMES home buckets of HOME_SLOTS slots and one
 * overflow bucket of OVER_SLOTS: so small that all collide. A step is one access to what
 * is shared. "The oldest embryo" is any embryo; a lock is waited for, or given up; the
 * kernel's hash refuses an entry, or not; an end comes at any time, expired or not: more
 * than can happen. The hop's number is its odd bit; until and the counters are left out,
 * nobody decides by them. The quota of embryos is there, but not judged. An answer
 * confirms a flow by itself (UDP), or it takes the client's next packet (TCP).
 *
 * Asserted as it goes: no tuple is claimed twice, home and overflow together, from claim
 * to release; a claim gets a free slot or an embryo, never an assured, dead or hidden
 * half, and none whose hop is odd; a hop ends in the slot where it began; an entry of the
 * kernel's hash is there when its half becomes visible, is never written over, never
 * deleted twice. Somebody always can go on (spin's invalid end states).
 *
 * When all are done: no lock, hidden slot or odd hop; entries and `overflowed` exactly
 * those of the halves beyond their home. What then may be without its partner: an
 * original, answered or not, whose reply was replaced or could not be marked, and a reply
 * whose original was replaced or has been ended; but no confirmed half: on the fast path
 * nobody would miss the other one. One packet of each half mends that: the
 * partner is there, leads back and is answered if the reply is, or there was no room for
 * it (the packet is dropped), or the half is gone, as another flow has its tuple.
 * A reply whose original's key is another flow's, or a dead half's, waits for the sweep.
 * Then each half is ended, as the sweep does it, and all slots must be free.
 */
#include "rules.pml"

c_decl {
	static int number_of(const char *name)
	{
		const char *value = getenv(name);

		return value ? atoi(value) : 0;
	}
}

/* A slot's word, less what nobody is stopped by (until). All of it is compared. */
#define TAKEN	 1
#define HIDDEN	 2
#define ANSWERED 4
#define DEAD	 8
#define RESTING	 16
#define ODD	 32 /* the hop is being written */
#define CONFIRMED 64
#define ASSURED	 128
#define OWNER	 256 /* wide enough never to come round here */
#define SETTLED	 (ANSWERED | CONFIRMED | ASSURED)
#define IS_VISIBLE(w) (((w) & (TAKEN | HIDDEN)) == TAKEN)
#define IS_ALIVE(w)   (((w) & (TAKEN | HIDDEN | DEAD)) == TAKEN)
#define IS_EMBRYO(w)  (((w) & (TAKEN | HIDDEN | DEAD | ASSURED)) == TAKEN)
#define OWNER_OF(w)   ((w) / OWNER)

/* Keys: two originals, two replies. */
#define C 0
#define D 1
#define R 2
#define S 3
#define KEYS 4
#define IS_ORIGINAL(k) ((k) < R)

#ifndef HOMES
#define HOMES 1
#endif
#ifndef HOME_SLOTS
#define HOME_SLOTS 2
#endif
#ifndef OVER_SLOTS
#define OVER_SLOTS 1
#endif
#define BEYOND	    (HOMES * HOME_SLOTS) /* the first slot that is no home's */
#define SLOTS	    (BEYOND + OVER_SLOTS)
#define HOME_OF(k)  ((k) / R % HOMES) /* two homes: one of originals, one of replies */
#define FIRST_OF(b) ((b) * HOME_SLOTS)
#define END_OF(b)   ((b) == HOMES -> SLOTS : ((b) + 1) * HOME_SLOTS)
#define EMBRYOS_MAX 1 /* of a bucket */
#define CLAIM_TRIES 2
#define NONE	    15

short word[SLOTS];
byte key[SLOTS], to[SLOTS]; /* to: the partner's key */
bit lock[HOMES + 1];
byte overflowed[HOMES];
byte tags;		  /* a bit for each slot: any two keys may have the same tag */
#define TAG(slot) (1 << (slot))
byte place[KEYS] = NONE;  /* the kernel's hash: key -> slot */
byte claim[SLOTS] = NONE; /* for the judge: whose slot it is, from 1 to 3 */
/* What is run: by the environment, set once. */
byte broken, start, first, second, third;
bit alone;		  /* for the judge: nobody may be busy */
bit no_room;		  /* for the judge: what is missing found none */

mtype = { AGAIN, DONE, EXISTS, BUSY, FULL };

/* On each process' stack. at, seen, leads: a slot, its word, its partner's key. */
#define STACK \
	byte i, at = NONE, leads, free, embryo, embryos, old, tries; \
	byte me, reply, mine = NONE, other, marks, told; \
	bit again; \
	short seen, free_seen, embryo_seen, my_word; \
	bit ok; \
	mtype result

#include "table.pml"
#include "flow.pml"
#include "judge.pml"

inline put(slot, k, partner, bits)
{
	key[slot] = k; to[slot] = partner; claim[slot] = k;
	word[slot] = TAKEN | (bits);
	tags = tags | TAG(slot);
	if
	:: slot >= BEYOND -> overflowed[HOME_OF(k)]++; place[k] = slot
	:: else
	fi
}

inline put_flow(slot, client, other_slot, target, bits)
{
	put(slot, client, target, bits);
	put(other_slot, target, client, bits)
}

inline fill()
{
	if
	:: start == 0 /* empty */
	:: start == 1 -> put_flow(0, C, 1, R, 0)
	:: start == 2 -> put_flow(0, C, 1, R, SETTLED)
	:: start == 3 -> put_flow(0, C, BEYOND, R, SETTLED)
	:: start == 4 -> put_flow(BEYOND, C, 1, R, 0)
	:: start == 5 -> put_flow(0, D, 1, R, 0); put(BEYOND, C, R, 0) /* lost the tuple */
	:: start == 6 -> put(1, R, C, ANSWERED | DEAD | RESTING)
	:: start == 7 -> put(0, C, R, ANSWERED) /* its reply was replaced as it was answered */
	:: start == 8 -> put_flow(0, C, 1, R, SETTLED); put(BEYOND, D, S, 0)
	:: start == 9 -> put_flow(0, D, 1, R, 0); put(BEYOND, C, R, ANSWERED) /* lost the tuple */
	:: start == 10 -> put(0, C, R, ANSWERED); put(1, R, C, ANSWERED | DEAD)
	:: start == 11 -> put_flow(0, C, 1, R, ANSWERED)
	:: start == 12 -> put_flow(0, C, BEYOND, R, ANSWERED)
	fi
}

#define ANY 9
inline begin(actor)
{
	if
	:: actor == ANY -> select(actor : 1 .. 2 * KEYS)
	:: else
	fi;
	if
	:: actor >= 1 && actor <= KEYS -> run packet(actor - 1)
	:: actor > KEYS -> run end(actor - KEYS - 1)
	:: else
	fi;
	actor = 0
}

init {
	byte i, j, at, other, many;
	bit ok;

	atomic {
		c_code {
			now.broken = number_of("BROKEN");
			now.start = number_of("START");
			now.first = number_of("FIRST");
			now.second = number_of("SECOND");
			now.third = number_of("THIRD");
		};
		fill();
		begin(first);
		begin(second);
		begin(third)
	}
	_nr_pr == 1;
	judge();
	settle();
	judge()
}
