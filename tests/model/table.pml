/* SPDX-License-Identifier: GPL-2.0-only */
/* A part of flow_table.pml, as bpf/table.bpf.h: slots; find, insert, publish, release. */

/* Compare and swap. */
inline swap(slot, was, is)
{
	atomic {
		ok = (word[slot] == (was));
		if
		:: ok -> word[slot] = is
		:: else
		fi
	}
}

/* The visible half with that key: a reader sees slot by slot, each whole (slot.pml). */
inline find_in(slot, tuple)
{
	if
	:: IS_VISIBLE(word[slot]) && key[slot] == tuple ->
		at = slot; seen = word[slot]; leads = to[slot]
	:: else
	fi
}

inline find(tuple)
{
	at = NONE;
	i = FIRST_OF(HOME_OF(tuple));
	told = tags;
	do
	:: atomic { at == NONE && i < END_OF(HOME_OF(tuple)) ->
		if
		:: told & TAG(i) -> find_in(i, tuple)
		:: else
		fi;
		i++ }
	:: else -> break
	od;
	told = 0;
	if
	:: at == NONE && overflowed[HOME_OF(tuple)] ->
		i = place[tuple];
		if
		:: atomic { i != NONE -> find_in(i, tuple) }
		:: i == NONE
		fi
	:: else
	fi;
	i = 0
}

/* Under the key's home's lock: is it in that slot? */
inline look(slot, tuple)
{
	if
	:: (word[slot] & TAKEN) && key[slot] == tuple &&
	   !(broken == HIDDEN_UNSEEN && (word[slot] & HIDDEN)) ->
		result = ((word[slot] & HIDDEN) -> BUSY : EXISTS)
	:: else
	fi
}

/* The bucket's free slots and embryos; at home, the key itself. */
inline scan(bucket, tuple)
{
	free = NONE; embryo = NONE; embryos = 0;
	i = FIRST_OF(bucket);
	told = tags;
	do
	:: atomic { i < END_OF(bucket) ->
		if
		:: bucket != HOMES && (told & TAG(i)) -> look(i, tuple)
		:: else
		fi;
		if
		:: !(told & TAG(i)) -> free = i; free_seen = word[i]
		:: (told & TAG(i)) &&
		   (IS_EMBRYO(word[i]) || (broken == REPLACE_ANY && IS_ALIVE(word[i]))) ->
			embryos++;
			if
			:: embryo = i; embryo_seen = word[i]
			:: embryo != NONE /* it has had a packet since */
			fi
		:: else
		fi;
		i++ }
	:: else -> break
	od;
	i = 0; told = 0
}

/* at, seen: what is to be claimed. Assured halves: a free slot before an embryo's. */
inline choose(bits)
{
	if
	:: ((bits) & ASSURED) && free == NONE || !((bits) & ASSURED) && embryos >= EMBRYOS_MAX ->
		at = embryo; seen = embryo_seen
	:: else -> at = free; seen = free_seen
	fi;
	free = NONE; embryo = NONE; embryos = 0; free_seen = 0; embryo_seen = 0
}

/* 1. old: whose slot it was. */
inline claim_slot(tuple, bits)
{
	atomic {
		ok = ((word[at] == seen || broken == CLAIM_BLINDLY) &&
		      (!(seen & ODD) || broken == CLAIM_ODD));
		if
		:: ok ->
			assert(!(word[at] & HIDDEN));
			assert(!(word[at] & TAKEN) || IS_EMBRYO(word[at]));
			assert(!(word[at] & ODD));
			old = ((word[at] & TAKEN) -> key[at] : NONE);
			word[at] = TAKEN | HIDDEN | (bits) |
				   (OWNER_OF(word[at]) + 1) * OWNER;
			claim[at] = tuple;
			for (i : 0 .. SLOTS - 1) {
				assert(i == at || claim[i] != tuple)
			}
			i = 0
		:: else
		fi
	}
}

inline drop_entry(tuple)
{
	atomic { assert(place[tuple] != NONE); place[tuple] = NONE };
	atomic { assert(overflowed[HOME_OF(tuple)] > 0); overflowed[HOME_OF(tuple)]-- }
}

inline set_entry(tuple)
{
	overflowed[HOME_OF(tuple)]++;
	atomic { assert(place[tuple] == NONE); place[tuple] = at }
}

inline set_tag(slot)
{
	if
	:: broken != TAG_LAST -> tags = tags | TAG(slot)
	:: else
	fi
}

/* 4. A slot that is hidden by us, and its entry if it was not refused. */
inline free_slot(slot)
{
	claim[slot] = NONE; /* nobody has been told of it, or will be any more */
	if
	:: broken == FREE_FIRST -> word[slot] = word[slot] & ~(OWNER - 1); tags = tags & ~TAG(slot)
	:: broken == TAG_FIRST -> tags = tags & ~TAG(slot)
	:: else
	fi;
	if
	:: slot >= BEYOND -> drop_entry(key[slot])
	:: else
	fi;
	if
	:: broken != FREE_FIRST ->
		atomic {
			assert(word[slot] & HIDDEN);
			word[slot] = word[slot] & ~(OWNER - 1)
		};
		if
		:: broken != TAG_FIRST -> tags = tags & ~TAG(slot)
		:: else
		fi
	:: else
	fi
}

/* 3. and 4. of a half that is dead. Who finds its hop odd waits, or leaves it to the
 * sweep; who finds another word, to who was there before. */
inline release(slot, was)
{
	ok = 0;
	if
	:: atomic { !(word[slot] & ODD) || broken == RELEASE_ODD ->
		ok = (broken == FREE_ENDED ||
		      (OWNER_OF(word[slot]) == OWNER_OF(was) && IS_VISIBLE(word[slot]) &&
		       (word[slot] & (DEAD | RESTING)) == DEAD));
		if
		:: ok ->
			assert(!(word[slot] & ODD));
			word[slot] = word[slot] | HIDDEN; claim[slot] = NONE
		:: else
		fi }
	:: atomic { (word[slot] & ODD) -> skip }
	fi;
	if
	:: ok -> free_slot(slot)
	:: else
	fi
}

/* 2. */
inline publish(slot)
{
	atomic {
		assert((word[slot] & HIDDEN) && !(word[slot] & ODD));
		assert(claim[slot] == key[slot]);
		assert(slot < BEYOND || broken == NO_ENTRY ||
		       (place[key[slot]] == slot && overflowed[HOME_OF(key[slot])] > 0));
		word[slot] = word[slot] & ~HIDDEN
	};
	if
	:: broken == TAG_LAST -> tags = tags | TAG(slot)
	:: else
	fi
}

inline take_lock(bucket) /* ok: got it */
{
	if
	:: atomic { !lock[bucket] || broken == NO_LOCK -> lock[bucket] = 1; ok = 1 }
	:: atomic { lock[bucket] -> ok = 0; assert(!alone) }
	fi
}

/* In the overflow bucket, under both locks. The kernel's hash may refuse the entry. */
inline insert_beyond(tuple, partner, bits)
{
	take_lock(HOMES);
	if
	:: !ok -> result = BUSY
	:: else ->
		scan(HOMES, tuple);
		choose(bits);
		if
		:: at == NONE -> result = FULL
		:: else ->
			claim_slot(tuple, bits);
			if
			:: !ok -> result = AGAIN
			:: ok ->
				if
				:: old != NONE && broken != KEEP_ENTRY -> drop_entry(old)
				:: else
				fi;
				set_tag(at);
				atomic { key[at] = tuple; to[at] = partner };
				result = DONE
			fi
		fi;
		lock[HOMES] = 0;
		if
		:: result == DONE && broken != NO_ENTRY -> set_entry(tuple)
		:: result == DONE && !alone -> /* the kernel's hash refuses it */
			if
			:: broken != REFUSED_STAYS ->
				atomic { claim[at] = NONE; word[at] = word[at] & ~(OWNER - 1) };
				tags = tags & ~TAG(at)
			:: else
			fi;
			result = FULL
		:: else
		fi
	fi
}

/* Hidden, in at, with its entry: DONE; or why not. */
inline insert(tuple, partner, bits)
{
	result = BUSY;
	tries = 0;
	take_lock(HOME_OF(tuple));
	if
	:: ok -> result = AGAIN
	:: else
	fi;
	do
	:: result == AGAIN && tries < CLAIM_TRIES ->
		tries++;
		scan(HOME_OF(tuple), tuple);
		if
		:: result == AGAIN && overflowed[HOME_OF(tuple)] && broken != NO_INDEX_LOOK ->
			i = place[tuple];
			if
			:: atomic { i != NONE -> look(i, tuple); i = 0 }
			:: i == NONE -> i = 0
			fi
		:: else
		fi;
		if
		:: result == AGAIN ->
			choose(bits);
			if
			:: at == NONE -> insert_beyond(tuple, partner, bits)
			:: else ->
				claim_slot(tuple, bits);
				if
				:: ok ->
					set_tag(at);
					atomic { key[at] = tuple; to[at] = partner };
					result = DONE
				:: else
				fi
			fi
		:: else
		fi
	:: else -> break
	od;
	if
	:: tries && !(result == EXISTS && broken == NO_UNLOCK) -> lock[HOME_OF(tuple)] = 0
	:: else
	fi;
	if
	:: result == AGAIN -> assert(!alone); result = BUSY
	:: else
	fi;
	atomic {
		if
		:: result == FULL -> no_room = alone || no_room
		:: else
		fi;
		free = NONE; embryo = NONE; embryos = 0; old = NONE; tries = 0; seen = 0;
		free_seen = 0; embryo_seen = 0
	}
}

