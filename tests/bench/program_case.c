// SPDX-License-Identifier: GPL-2.0-only
#include "program_case.h"

#define ESTABLISHED "Program time, established packets, net of an empty program (ns)"
#define FILLED                                                                           \
	"Program time, established packets of all flows in no order, the table so full " \
	"(% of its rated capacity) (ns)"
#define FOREIGN "Program time, packets of nobody, beside a program that only passes (ns)"
#define MASQUERADED \
	"Program time, masqueraded packets beside preserved ones, net of an empty program (ns)"
#define NEW_FLOWS "Program time, a new flow with each packet, net of an empty program (ns)"
#define RULES	  "Program time, many rules beside few, net of an empty program (ns)"
#define CROWDED                                                                                 \
	"Program time, established packets in turns with a flood of new flows, their buckets' " \
	"embryo quota full and churning beside the flood elsewhere (ns)"

#define ROWS_MIN (2 * 65536) /* established flows' packets, and a flood's behind them */

/* Of PERFORMANCE.md. */
#define GOAL_ESTABLISHED 0.65 /* 1 */
#define GOAL_MANY	 0.8  /* 13 */
#define GOAL_FAMILIES	 1.4  /* 3 */
#define GOAL_NEW	 1.3  /* 9 */
#define GOAL_FOREIGN_NS	 8.   /* 15 */
#define GOAL_RULES	 1.05 /* 12: established */
#define GOAL_RULES_NEW	 1.25 /* 12: new flow */
#define GOAL_CROWDED	 1.05 /* 18 */
#define GOAL_ANY	 1.3  /* a new flow under "*" beside one of a single port */
#define GOAL_PREFIXES	 1.25 /* flat, as for a new flow and many rules */
#define GOAL_SAME	 1.03 /* what the scale itself may differ by */

#define HOT(what, v6, tcp, way)                                                              \
	{                                                                                    \
		.section = ESTABLISHED, .name = what, .kind = CASE_ESTABLISHED, .is_v6 = v6, \
		.is_tcp = tcp, .direction = way, .flows = 64, .goal = GOAL_ESTABLISHED,      \
	}
#define MANY(what, v6, where)                                                                   \
	{                                                                                       \
		.section = ESTABLISHED, .name = what, .kind = CASE_ESTABLISHED, .world = where, \
		.is_v6 = v6, .flows = 65536, .goal = GOAL_MANY,                                 \
	}
#define FILL(what, v6, where, full)                                                        \
	{                                                                                  \
		.section = FILLED, .name = what, .kind = CASE_ESTABLISHED, .world = where, \
		.is_v6 = v6, .percent = full, .goal = GOAL_MANY,                           \
	}
#define PASSING(what, v6, where)                                                              \
	{                                                                                     \
		.section = FOREIGN, .name = what, .against = where ? "empty tc" : "XDP_PASS", \
		.kind = CASE_FOREIGN, .is_v6 = v6, .hook = where, .rule = FLOWS_FOREIGN,      \
		.beside = FLOWS_FOREIGN, .flows = 64, .goal = GOAL_FOREIGN_NS,                \
	}
#define BESIDE(what, v6, way)                                                                     \
	{                                                                                         \
		.section = MASQUERADED, .name = what, .against = "preserve", .kind = CASE_BESIDE, \
		.is_v6 = v6, .direction = way, .rule = FLOWS_MASQUERADED, .flows = 64,            \
		.goal = GOAL_SAME,                                                                \
	}
#define MAKING(what, v6, tcp)                                                               \
	{                                                                                   \
		.section = NEW_FLOWS, .name = what, .against = "Floor-N", .kind = CASE_NEW, \
		.is_v6 = v6, .is_tcp = tcp, .flows = 32768, .goal = GOAL_NEW,               \
	}
#define SOURCES(what, v6)                                                          \
	{                                                                          \
		.section = NEW_FLOWS, .name = what, .against = "1 prefix",         \
		.kind = CASE_NEW_BESIDE, .is_v6 = v6, .rule = FLOWS_MANY_PREFIXES, \
		.beside = FLOWS_ONE_PREFIX, .flows = 32768, .goal = GOAL_PREFIXES, \
	}
#define RULED(what, how, so_many, least)                                            \
	{                                                                           \
		.section = RULES, .name = what, .against = "10 rules", .kind = how, \
		.world = WORLD_RULES, .rule = FLOWS_RULED, .beside = FLOWS_RULED,   \
		.flows = so_many, .goal = least,                                    \
	}
#define CHURNED(what, v6)                                                                   \
	{                                                                                   \
		.section = CROWDED, .name = what, .against = "quiet", .kind = CASE_CHURNED, \
		.world = WORLD_CROWDED, .is_v6 = v6, .flows = 64, .goal = GOAL_CROWDED,     \
	}

const struct program_case program_cases[] = {
	{.section = ESTABLISHED, .name = "Floor-P", .against = "itself", .flows = 64},
	HOT("v4 udp original", false, false, XDNAT_ORIGINAL),
	HOT("v4 udp reply", false, false, XDNAT_REPLY),
	HOT("v4 tcp original", false, true, XDNAT_ORIGINAL),
	HOT("v4 tcp reply", false, true, XDNAT_REPLY),
	HOT("v6 udp original", true, false, XDNAT_ORIGINAL),
	HOT("v6 udp reply", true, false, XDNAT_REPLY),
	HOT("v6 tcp original", true, true, XDNAT_ORIGINAL),
	HOT("v6 tcp reply", true, true, XDNAT_REPLY),
	{.section = ESTABLISHED,
	 .name = "v6 udp original",
	 .against = "v4, ours",
	 .kind = CASE_FAMILIES,
	 .is_v6 = true,
	 .flows = 64,
	 .goal = GOAL_FAMILIES},
	MANY("v4 udp original", false, WORLD_PLAIN),
	MANY("v6 udp original", true, WORLD_PLAIN),
	PASSING("v4 udp, XDP", false, XDNAT_HOOK_XDP),
	PASSING("v6 udp, XDP", true, XDNAT_HOOK_XDP),
	PASSING("v4 udp, tc ingress", false, XDNAT_HOOK_INGRESS),
	PASSING("v6 udp, tc ingress", true, XDNAT_HOOK_INGRESS),
	PASSING("v4 udp, tc egress", false, XDNAT_HOOK_EGRESS),
	PASSING("v6 udp, tc egress", true, XDNAT_HOOK_EGRESS),
	BESIDE("v4 udp original", false, XDNAT_ORIGINAL),
	BESIDE("v4 udp reply", false, XDNAT_REPLY),
	BESIDE("v6 udp original", true, XDNAT_ORIGINAL),
	BESIDE("v6 udp reply", true, XDNAT_REPLY),
	MAKING("v4 udp", false, false),
	MAKING("v4 tcp", false, true),
	MAKING("v6 udp", true, false),
	{.section = NEW_FLOWS,
	 .name = "v4 udp, 1000 rules and *",
	 .against = "one rule",
	 .kind = CASE_ANY,
	 .flows = 32768,
	 .goal = GOAL_ANY},
	SOURCES("v4 udp, 10000 prefixes", false),
	SOURCES("v6 udp, 10000 prefixes", true),
	RULED("v4 udp original", CASE_BESIDE, 65536, GOAL_RULES),
	RULED("v4 udp, new flow", CASE_NEW_BESIDE, 32768, GOAL_RULES_NEW),
	CHURNED("v4 udp original", false),
	CHURNED("v6 udp original", true),
	FILL("v4 udp, 1 %", false, WORLD_MILLION4, 1),
	FILL("v4 udp, 50 %", false, WORLD_MILLION4, 50),
	FILL("v4 udp, 85 %", false, WORLD_MILLION4, 85),
	FILL("v4 udp, 95 %", false, WORLD_MILLION4, 95),
	FILL("v4 udp, 100 %", false, WORLD_MILLION4, 100),
	FILL("v6 udp, 1 %", true, WORLD_MILLION6, 1),
	FILL("v6 udp, 50 %", true, WORLD_MILLION6, 50),
	FILL("v6 udp, 85 %", true, WORLD_MILLION6, 85),
	FILL("v6 udp, 95 %", true, WORLD_MILLION6, 95),
	FILL("v6 udp, 100 %", true, WORLD_MILLION6, 100),
	FILL("v4 udp, 100 %", false, WORLD_MILLIONS4, 100),
	FILL("v6 udp, 100 %", true, WORLD_MILLIONS6, 100),
	{.section = "Program time, the same with the clock running: each flow has its tick (ns)",
	 .name = "v4 udp original",
	 .against = "Floor-P",
	 .kind = CASE_ESTABLISHED,
	 .world = WORLD_TICKING,
	 .flows = 65536},
};
const uint32_t program_cases_count = sizeof(program_cases) / sizeof(*program_cases);

bool program_world(enum world_kind kind, uint32_t flows_max, struct world_setup *setup)
{
	static const struct world_setup setups[] = {
		[WORLD_PLAIN] = {.flows4 = XDNAT_FLOWS_DEFAULT, .flows6 = XDNAT_FLOWS_DEFAULT},
		[WORLD_TICKING] = {.flows4 = XDNAT_FLOWS_DEFAULT, .flows6 = 1, .has_ticks = true},
		[WORLD_CROWDED] = {.flows4 = 4096, .flows6 = 4096},
		[WORLD_RULES] = {.flows4 = XDNAT_FLOWS_DEFAULT,
				 .flows6 = 1,
				 .rules = CASE_MANY_RULES},
		[WORLD_MILLION4] = {.flows4 = 1 << 20, .flows6 = 1},
		[WORLD_MILLION6] = {.flows4 = 1, .flows6 = 1 << 20},
		[WORLD_MILLIONS4] = {.flows4 = 4 << 20, .flows6 = 1},
		[WORLD_MILLIONS6] = {.flows4 = 1, .flows6 = 4 << 20},
	};

	*setup = setups[kind];
	if (kind >= WORLD_MILLIONS4 && flows_max < 4 << 20)
		return false;
	if (kind >= WORLD_MILLION4 && flows_max < 1 << 20) {
		setup->flows4 = kind == WORLD_MILLION4 ? flows_max : 1;
		setup->flows6 = kind == WORLD_MILLION6 ? flows_max : 1;
	}
	if (setup->rules > flows_max)
		setup->rules = flows_max;
	setup->rows_max = ROWS_MIN;
	if (setup->flows4 > setup->rows_max)
		setup->rows_max = setup->flows4;
	if (setup->flows6 > setup->rows_max)
		setup->rows_max = setup->flows6;
	return true;
}
