/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One slot of the flow table (bpf/table.bpf.h) for spin, read while it changes hands and
 * while next hops are written: no packet is rewritten by a mix of two halves, or of two
 * hops, and no hop is written into another half. What else there is: flow_table.pml, and
 * what it says of ordering holds here. Run by tests/model/model.py.
 *
 * Halves come here in turn. A field holds the number of who wrote it: key and
 * translation the half's (1, 2, ...), the two fields of the hop that and the writer's.
 */
#define TAKEN	1
#define HIDDEN	2
#define DEAD	4
#define UNTIL	8   /* the tick: 0 or 1 */
#define HOP	16  /* modulo 8 */
#define OWNER	128 /* modulo 32 */
#define IS_VISIBLE(w) (((w) & (TAKEN | HIDDEN)) == TAKEN)
#define IS_ODD(w)     ((w) & HOP)
#define HOP_MASK      (7 * HOP)
#define OWNER_MASK    (31 * OWNER)
#define HALVES 3 /* that the slot has, one after the other; the first from the start */

/* The rule that is broken, by the environment. */
#define CLAIM_ODD    1 /* a claim while a hop is written */
#define OWNER_STAYS  2 /* a claim does not change the owner */
#define ONE_LOOK     3 /* a reader does not look at the word again */
#define KEY_LAST     4 /* it compares the key when it has looked again */
#define HOP_STAYS    5 /* the end of a hop leaves the hop's number as it was */
#define HOP_UNMARKED 6 /* a hop is written without making it odd */
#define ODD_READ     7 /* a reader does not mind an odd hop */
#define WRITE_EARLY  8 /* a claim writes the fields before the slot is hidden */
#define HOP_BLINDLY  9 /* a hop is made odd without comparing the word */
#define COPY_FIRST  10 /* a reader looks at the word first when it has copied */

c_decl {
	static int number_of(const char *name)
	{
		const char *value = getenv(name);

		return value ? atoi(value) : 0;
	}
}

byte broken;
short word = TAKEN;
byte key = 1, translation = 1, hop_a = 16, hop_b = 16;
byte halves = 1; /* had so far */

inline next_hop(from, to)
{
	to = (from & ~HOP_MASK) | ((from + HOP) & HOP_MASK)
}

/* Free, or another's embryo: it is hidden, written, published. */
proctype claimer()
{
	short seen;
	byte me;
	bit ok;

	do
	:: halves < HALVES ->
		seen = word;
		if
		:: (seen & (HIDDEN | DEAD)) || (IS_ODD(seen) && broken != CLAIM_ODD) -> skip
		:: else ->
			if
			:: broken == WRITE_EARLY -> key = halves + 1
			:: else
			fi;
			atomic {
				ok = (word == seen);
				if
				:: ok ->
					assert(!IS_ODD(word));
					halves++; me = halves;
					word = (seen & OWNER_MASK) | TAKEN | HIDDEN;
					if
					:: broken != OWNER_STAYS -> word = word + OWNER
					:: else
					fi
				:: else
				fi
			};
			if
			:: ok ->
				key = me;
				translation = me;
				hop_a = me * 16;
				hop_b = me * 16;
				atomic { assert(word & HIDDEN); word = word & ~HIDDEN }
			:: else
			fi
		fi;
		seen = 0; me = 0; ok = 0
	:: halves == HALVES -> break
	od
}

/* It is ended and freed; the dead are as visible as the living, to who asks the word. */
proctype ender()
{
	short seen;
	bit ok;

	seen = word;
	if
	:: IS_VISIBLE(seen) ->
		atomic { ok = (word == seen); if :: ok -> word = seen | DEAD :: else fi };
		if
		:: ok ->
			atomic { !IS_ODD(word) -> word = word | HIDDEN };
			word = word & OWNER_MASK
		:: else
		fi
	:: else
	fi
}

/* A packet that begins the tick and writes where the next hop is. */
proctype hop_writer(byte number)
{
	short seen, odd;
	byte owner;
	bit ok;

	seen = word;
	if
	:: IS_VISIBLE(seen) && !(seen & DEAD) && !IS_ODD(seen) ->
		atomic { ok = (word == seen); if :: ok -> word = word ^ UNTIL; seen = word :: else fi };
		next_hop(seen, odd);
		atomic {
			ok = (ok && (word == seen || broken == HOP_BLINDLY));
			if
			:: ok ->
				if
				:: broken != HOP_UNMARKED -> next_hop(word, word)
				:: else
				fi;
				owner = halves
			:: else
			fi
		};
		if
		:: ok ->
			atomic { assert(owner == halves); hop_a = owner * 16 + number };
			atomic { assert(owner == halves); hop_b = owner * 16 + number };
			if
			:: broken == HOP_STAYS -> word = word & ~HOP_MASK
			:: broken == HOP_UNMARKED
			:: else -> atomic { assert(IS_ODD(word)); next_hop(word, word) }
			fi
		:: else
		fi
	:: else
	fi
}

/* A packet on the fast path: word, key, what it needs, word. Any key is its
 * own, so that each mix counts. */
proctype reader()
{
	short seen;
	byte found, to, a, b;
	bit ok = 1;

	if
	:: broken == COPY_FIRST -> to = translation; a = hop_a; b = hop_b
	:: else
	fi;
	seen = word;
	if
	:: IS_VISIBLE(seen) && !(seen & DEAD) && (!IS_ODD(seen) || broken == ODD_READ) ->
		if
		:: broken != KEY_LAST -> found = key
		:: else
		fi;
		if
		:: broken != COPY_FIRST -> to = translation; a = hop_a; b = hop_b
		:: else
		fi;
		if
		:: broken != ONE_LOOK -> ok = (word == seen)
		:: else
		fi;
		if
		:: broken == KEY_LAST -> found = key
		:: else
		fi;
		if
		:: ok -> assert(found == to && a == b && a / 16 == to)
		:: else
		fi
	:: else
	fi
}

/* Who is there: one of each bit, by the environment. */
#define CLAIMER 1
#define ENDER	2
#define WRITER	4
#define SECOND	8
#define READER	16
byte who;

init {
	atomic {
		c_code { now.broken = number_of("BROKEN"); now.who = number_of("WHO"); };
		if :: who & CLAIMER -> run claimer() :: else fi;
		if :: who & ENDER -> run ender() :: else fi;
		if :: who & WRITER -> run hop_writer(1) :: else fi;
		if :: who & SECOND -> run hop_writer(2) :: else fi;
		if :: who & READER -> run reader() :: else fi
	}
	_nr_pr == 1;
	assert(!(word & HIDDEN) && !IS_ODD(word))
}
