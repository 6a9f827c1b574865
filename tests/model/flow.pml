/* SPDX-License-Identifier: GPL-2.0-only */
/* A part of flow_table.pml, as bpf/flow, claim, create and forward.bpf.h: what packets
 * and ends do to a flow. */

/* The place of a half, whose partner is back. DONE: it is hidden in mine, or the flow has
 * it already; EXISTS: another flow has it, or it rests. */
inline make_partner(wanted, back, bits)
{
	again = 0;
	mine = NONE;
	do
	:: insert(wanted, back, bits);
		if
		:: result == EXISTS && !again ->
			find(wanted);
			again = (at == NONE);
			if
			:: at != NONE && (seen & RESTING) -> /* back's own rest, or one that is over */
				swap(at, seen, seen & ~RESTING);
				if
				:: ok -> release(at, seen); again = ok
				:: else
				fi
			:: at != NONE && (seen & RESTING) && leads != back
			:: at != NONE && (!(seen & DEAD) && leads == back || broken == STEAL) ->
				result = DONE
			:: else
			fi;
			if
			:: !again -> break
			:: else
			fi
		:: result == EXISTS && again -> result = BUSY; break
		:: result == DONE -> mine = at; break
		:: else -> break
		fi
	od;
	again = 0
}

/* Both halves or neither; of the reply tuples the first that can be had. */
inline make(k)
{
	reply = R;
	do
	:: make_partner(reply, k, 0);
		if
		:: result == EXISTS && reply != S -> reply = S
		:: else -> break
		fi
	od;
	if
	:: result == DONE ->
		if
		:: broken == PUBLISH_FIRST && mine != NONE -> publish(mine)
		:: else
		fi;
		insert(k, reply, 0);
		if
		:: result == DONE ->
			if
			:: broken != PUBLISH_FIRST && mine != NONE -> publish(mine)
			:: else
			fi;
			publish(at)
		:: mine != NONE && result != DONE && broken != KEEP_REPLY -> free_slot(mine)
		:: mine == NONE && result != DONE && broken == FREE_ADOPTED ->
			find(reply);
			if
			:: at != NONE -> free_slot(at)
			:: else
			fi
		:: else
		fi
	:: else
	fi
}

/* The half in me, with its key, is without its partner, whose key is other. */
inline remake(half)
{
	make_partner(other, half, my_word & SETTLED);
	if
	:: result == DONE && mine != NONE ->
		if
		:: broken == REVIVE || (IS_ALIVE(word[me]) && OWNER_OF(word[me]) == OWNER_OF(my_word)) ->
			publish(mine)
		:: else -> free_slot(mine); result = BUSY
		fi
	:: result == EXISTS && IS_ORIGINAL(half) &&
	   (broken != TAKEN_STAYS || !(my_word & ANSWERED)) -> /* another flow's tuple now: it has ended */
		swap(me, my_word, my_word | DEAD);
		if
		:: ok -> release(me, my_word)
		:: else
		fi
	:: else
	fi
}

/* Sets and clears bits, tries until the half is gone, or going. */
inline change(slot, was, set, clear)
{
	do
	:: swap(slot, was, ((was) & ~(clear)) | (set));
		if
		:: ok -> was = ((was) & ~(clear)) | (set); break
		:: else ->
			atomic {
				if
				:: OWNER_OF(word[slot]) == OWNER_OF(was) && IS_ALIVE(word[slot]) ->
					was = word[slot]
				:: else -> break
				fi
			}
		fi
	od
}

inline mark(slot, was, bits)
{
	change(slot, was, bits, 0)
}

/* Of both halves, one after the other. If the other one is gone, the one leaves the fast
 * path: its next packet makes that anew. */
inline mark_both(slot, was, other_slot, other_was, bits)
{
	mark(slot, was, bits);
	if
	:: ok ->
		mark(other_slot, other_was, bits);
		if
		:: !ok && broken != STAY_FAST -> change(slot, was, 0, CONFIRMED)
		:: else
		fi
	:: else
	fi
}

/* A packet of a half, not on the fast path (slot.pml has that): the partner is looked
 * for, a missing one made; what it says is marked; the tick is begun, the hop written. */
inline hit(k)
{
	me = at; my_word = seen; other = leads;
	find(other);
	if
	:: at != NONE && leads == k && (!(seen & DEAD) || broken == DEAD_PARTNER) ||
	   broken == NO_REMAKE -> result = DONE
	:: else ->
		remake(k);
		if
		:: result == DONE -> find(other)
		:: else -> at = NONE
		fi
	fi;
	if
	:: at != NONE && leads == k && !IS_ORIGINAL(k) -> /* an answer: the original is marked first */
		if
		:: marks = ANSWERED
		:: marks = SETTLED
		fi;
		mark_both(at, seen, me, my_word, marks);
		marks = 0
	:: at != NONE && leads == k && IS_ORIGINAL(k) && (my_word & ANSWERED) ->
		mark_both(me, my_word, at, seen, SETTLED)
	:: else
	fi;
	if
	:: result == DONE -> write_hop()
	:: else
	fi
}

inline write_hop()
{
	if
	:: !(my_word & ODD) -> swap(me, my_word, my_word | ODD)
	:: else -> ok = 0
	fi;
	if
	:: ok -> /* it is written here, see slot.pml */
		atomic {
			assert((word[me] & ODD) && OWNER_OF(word[me]) == OWNER_OF(my_word));
			assert(!(word[me] & HIDDEN));
			word[me] = word[me] & ~ODD
		}
	:: else
	fi
}

proctype packet(byte k)
{
	STACK;

	find(k);
	if
	:: at == NONE && IS_ORIGINAL(k) -> make(k)
	:: at != NONE && !(seen & DEAD) -> hit(k)
	:: else
	fi
}

/* A half that is dead already: whoever ended it could not free it, or it rests. */
inline bury()
{
	if
	:: seen & RESTING -> swap(at, seen, seen & ~RESTING)
	:: else -> ok = 1
	fi;
	if
	:: ok -> release(at, seen)
	:: else
	fi
}

/* The flow of me, whose partner is at, or missing. An answered one's claim rests. */
inline end_flow(k)
{
	swap(me, my_word, my_word | DEAD);
	if
	:: ok ->
		if
		:: at != NONE && IS_ORIGINAL(k) && !alone && ((seen | my_word) & ANSWERED) ->
			mark(at, seen, DEAD | RESTING)
		:: at != NONE ->
			mark(at, seen, DEAD);
			if
			:: ok -> release(at, seen)
			:: else
			fi
		:: else
		fi;
		release(me, my_word)
	:: else
	fi
}

/* The sweep, or a tool: at any time, expired or not. */
proctype end(byte k)
{
	STACK;

	find(k);
	if
	:: at == NONE
	:: at != NONE && (seen & DEAD) -> bury()
	:: else ->
		me = at; my_word = seen; other = leads;
		find(other);
		if
		:: at != NONE && (leads != k || (seen & DEAD)) -> at = NONE
		:: else
		fi;
		end_flow(k)
	fi
}
