/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rows of program time as data: which packets, in which world, against what, with
 * which goal.
 */
#ifndef PROGRAM_CASE_H
#define PROGRAM_CASE_H

#include "report.h"
#include "world.h"

enum program_kind {
	CASE_SELF,	  /* Floor-P beside itself */
	CASE_ESTABLISHED, /* beside Floor-P and the NAT on a kernel hash */
	CASE_FAMILIES,	  /* IPv6 beside IPv4 */
	CASE_FOREIGN,	  /* beside a program that only passes */
	CASE_BESIDE,	  /* established, beside flows of another rule */
	CASE_CHURNED,	  /* beside itself, without embryos */
	CASE_NEW,	  /* beside Floor-N */
	CASE_ANY,	  /* new flows, in set 1 beside set 0 */
	CASE_NEW_BESIDE,  /* new flows, beside those of another rule */
};

enum world_kind {
	WORLD_PLAIN,
	WORLD_TICKING,
	WORLD_CROWDED, /* small tables */
	WORLD_RULES,
	WORLD_MILLION4, /* one family's tables are large */
	WORLD_MILLION6,
	WORLD_MILLIONS4,
	WORLD_MILLIONS6,
};

#define CASE_FEW_RULES	10
#define CASE_MANY_RULES 1000000

struct program_case {
	const char *section;
	const char *name;
	const char *against; /* CASE_ESTABLISHED: as its kind says */
	enum program_kind kind;
	enum world_kind world;
	bool is_v6;
	bool is_tcp;
	uint8_t direction;
	uint8_t hook;		/* XDNAT_HOOK_... */
	enum flows_rule rule;	/* of ours */
	enum flows_rule beside; /* of the others */
	uint32_t flows;
	uint32_t percent; /* flows: of the world's rated capacity instead */
	double goal;	  /* 0: none */
};

/* Those of one world stand together, so do those of a section. */
extern const struct program_case program_cases[];
extern const uint32_t program_cases_count;

/* flows_max: no more flows are wanted. False: the world is left out then. */
bool program_world(enum world_kind kind, uint32_t flows_max, struct world_setup *setup);

#endif
