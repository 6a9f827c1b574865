/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules of flow_table.pml that can be broken, by their number in the environment. */
#define NO_LOCK		1  /* insert without the home's lock */
#define NO_INDEX_LOOK	2  /* ... without a look beyond the home */
#define HIDDEN_UNSEEN	3  /* a hidden slot with the key does not count */
#define CLAIM_BLINDLY	4  /* a claim that does not compare the word */
#define CLAIM_ODD	5  /* a claim while a hop is written */
#define KEEP_ENTRY	6  /* a replaced embryo's entry stays */
#define NO_ENTRY	7  /* a half beyond its home has none */
#define FREE_FIRST	8  /* release: the entry is deleted when the slot is free */
#define KEEP_REPLY	9  /* a make that fails leaves its reply half */
#define FREE_ADOPTED	10 /* ... and releases one that is not its own */
#define NO_REMAKE	11 /* an embryo's hit does not look at its partner */
#define STEAL		12 /* a remake takes any half for its own */
#define REPLACE_ANY	13 /* an assured half is as good as an embryo to replace */
#define NO_UNLOCK	14 /* who finds the tuple taken keeps the lock */
#define RELEASE_ODD	15 /* release while a hop is written */
#define FREE_ENDED	16 /* end releases without comparing the word */
#define DEAD_PARTNER	17 /* a dead partner, that rests, is not missing */
#define TAKEN_STAYS	18 /* an answered flow goes on when another has its reply's tuple */
#define REFUSED_STAYS	19 /* a claim whose entry is refused is not given back */
#define PUBLISH_FIRST	20 /* a claimed reply is visible before the original has a place */
#define REVIVE		21 /* a half is made anew by one that has ended meanwhile */
#define STAY_FAST	22 /* a half whose partner went as it was confirmed stays so */
#define TAG_LAST	23 /* a half's tag is written when it is visible */
#define TAG_FIRST	24 /* a tag is cleared before the slot is free */
