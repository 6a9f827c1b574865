/* SPDX-License-Identifier: GPL-2.0-only */
/* A part of flow_table.pml: what must be when all are done. */

/* An original that lives although its flow has ended: the reply of just that one rests. */
#define IS_REVIVED(o, r) \
	(IS_ALIVE(word[o]) && IS_ORIGINAL(key[o]) && (word[r] & RESTING) && \
	 key[r] == to[o] && to[r] == key[o])

/* On the fast path a half would not miss its partner. */
#define IS_FAST(h) (IS_ALIVE(word[h]) && (word[h] & CONFIRMED))

/* All are done. */
inline judge()
{
	atomic {
		for (i : 0 .. HOMES) {
			assert(!lock[i])
		}
		for (i : 0 .. HOMES - 1) {
			many = 0;
			for (j : 0 .. KEYS - 1) {
				if
				:: place[j] != NONE && HOME_OF(j) == i -> many++
				:: else
				fi
			}
			assert(overflowed[i] == many)
		}
		for (i : 0 .. SLOTS - 1) {
			assert(!(word[i] & (HIDDEN | ODD)));
			assert(claim[i] == ((word[i] & TAKEN) -> key[i] : NONE));
			assert(!(tags & TAG(i)) == !(word[i] & TAKEN));
			assert(i < BEYOND || !(word[i] & TAKEN) || place[key[i]] == i);
			ok = !IS_FAST(i);
			for (j : 0 .. i - 1) {
				assert(!(word[i] & word[j] & TAKEN) || key[i] != key[j]);
				assert(!IS_REVIVED(i, j) && !IS_REVIVED(j, i))
			}
			for (j : 0 .. SLOTS - 1) {
				ok = ok || (IS_ALIVE(word[j]) && key[j] == to[i] && to[j] == key[i])
			}
			assert(ok);
			ok = 0
		}
		for (i : 0 .. KEYS - 1) {
			assert(place[i] == NONE || place[i] >= BEYOND && (word[place[i]] & TAKEN) && key[place[i]] == i)
		}
		i = 0; j = 0; many = 0
	}
}

/* Where the living half with that key is. */
inline spot(k)
{
	at = NONE;
	for (j : 0 .. SLOTS - 1) {
		if
		:: IS_ALIVE(word[j]) && key[j] == k -> at = j
		:: else
		fi
	}
	j = 0
}

/* What one packet of each half mends, and that an end of each frees all. */
inline settle()
{
	alone = 1;
	for (i : 0 .. KEYS - 1) {
		spot(i);
		if
		:: at != NONE ->
			no_room = 0;
			run packet(i);
			_nr_pr == 1;
			judge_pair(i)
		:: else
		fi
	}
	judge();
	for (i : 0 .. 2 * KEYS - 1) {
		run end(i % KEYS);
		_nr_pr == 1
	}
	for (i : 0 .. SLOTS - 1) {
		assert(!(word[i] & TAKEN))
	}
}

/* A reply half whose client has another flow by now, or whose original is dead and still
 * there, is left for the sweep. */
inline judge_pair(k)
{
	atomic {
		spot(k);
		if
		:: at != NONE && !no_room && IS_ORIGINAL(k) ->
			other = to[at];
			spot(other);
			assert(at != NONE && to[at] == k)
		:: at != NONE && !no_room && !IS_ORIGINAL(k) ->
			other = to[at];
			ok = 0;
			for (j : 0 .. SLOTS - 1) {
				if
				:: IS_VISIBLE(word[j]) && key[j] == other ->
					ok = 1;
					assert(to[j] != k || (word[j] & DEAD) || (word[j] & word[at] & ANSWERED))
				:: else
				fi
			}
			assert(ok)
		:: else
		fi;
		at = NONE; other = 0; ok = 0; j = 0
	}
}
