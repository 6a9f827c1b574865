// SPDX-License-Identifier: GPL-2.0-only
#include "reason.h"

static const struct {
	const char *name;
	const char *help;
} reasons[] = {
	[XDNAT_FORWARDED] = {"forwarded", "translated and sent on"},
	[XDNAT_PASS_NOT_IP] = {"not_ip", "neither IPv4 nor IPv6 (ARP, for example)"},
	[XDNAT_PASS_VLAN] = {"vlan", "VLAN-tagged: load the VLAN's own interface instead"},
	[XDNAT_PASS_PROTOCOL] = {"protocol", "neither TCP nor UDP (ping, for example)"},
	[XDNAT_PASS_FRAGMENT] = {"fragment_later",
				 "a fragment after the first: it carries no ports to go by"},
	[XDNAT_PASS_MALFORMED] = {"malformed_ip",
				  "IP header cut short or at odds with itself: the kernel decides"},
	[XDNAT_PASS_OTHER_MAC] =
		{"other_mac",
		 "not addressed to this interface's MAC address (broadcast, a bridge's)"},
	[XDNAT_PASS_TRANSLATED] = {"translated",
				   "on its way out as it was forwarded on its way in"},
	[XDNAT_PASS_NO_RULE] = {"no_rule", "no rule and no flow: for this host or another program"},
	[XDNAT_HAND_ON_NEIGHBOUR] = {"to_tc_neighbour",
				     "the next hop's MAC address is not known yet: tc has the "
				     "kernel ask for it"},
	[XDNAT_HAND_ON_WAY_OUT] = {"to_tc_way_out",
				   "it leaves by an interface that XDP cannot send to: tc does"},
	[XDNAT_HAND_ON_PRIORITY_TAG] = {"to_tc_priority_tag",
					"priority-tagged (VLAN 0): tc forwards it untagged"},
	[XDNAT_DROP_HEADER_CHECKSUM] = {"header_checksum",
					"wrong IPv4 header checksum: look for a bad cable or card"},
	[XDNAT_DROP_MALFORMED] = {"malformed",
				  "TCP or UDP header cut short or at odds with itself"},
	[XDNAT_DROP_IP_OPTIONS] = {"ip_options",
				   "IPv4 options: this version does not forward them"},
	[XDNAT_DROP_EXT_HEADERS] = {"ext_headers",
				    "IPv6 extension headers: this version does not forward them"},
	[XDNAT_DROP_FRAGMENT] = {"fragment",
				 "fragmented: make the sender send smaller packets (path MTU)"},
	[XDNAT_DROP_TTL] = {"ttl", "TTL or hop limit used up: look for a routing loop"},
	[XDNAT_DROP_TOO_BIG] =
		{"too_big", "larger than the way out's MTU: raise it there or lower the sender's"},
	[XDNAT_DROP_UDP6_CHECKSUM] =
		{"udp6_checksum", "UDP over IPv6 without a checksum: fix the sender (RFC 8200)"},
	[XDNAT_DROP_BAD_SOURCE] =
		{"bad_source",
		 "no client can have this source: our own, martian, or no route leads back to it"},
	[XDNAT_DROP_TCP_FLAGS] = {"tcp_flags",
				  "TCP segment that belongs to no flow and cannot begin one"},
	[XDNAT_DROP_PICKUP_RATE] =
		{"pickup_rate", "too many connections picked up mid-stream at once: clients retry"},
	[XDNAT_DROP_NO_ROUTE] = {"no_route",
				 "no route to the next hop: see `ip route get ADDRESS`"},
	[XDNAT_DROP_FORWARDING_OFF] = {"forwarding_off",
				       "forwarding is off: sysctl -w net.ipv4.ip_forward=1 "
				       "net.ipv6.conf.all.forwarding=1"},
	[XDNAT_DROP_NOT_LOADED] = {"not_loaded", "it would leave by an interface without xdnat: "
						 "xdnat load that interface too"},
	[XDNAT_DROP_WRONG_INTERFACE] = {"wrong_interface",
					"a reply that came in elsewhere than packets to the target "
					"leave: see `ip route get ADDRESS`"},
	[XDNAT_DROP_TUPLE_TAKEN] = {"tuple_taken",
				    "another flow already uses the same addresses and ports: "
				    "the client retries with another port"},
	[XDNAT_DROP_TABLE_FULL] =
		{"table_full",
		 "no room beside connections in use; they end after their lifetime; more room: "
		 "xdnat unload --all, then load --flows N"},
	[XDNAT_DROP_NO_PORT] = {"no_port",
				"no source port is free towards that target: see `xdnat status`; "
				"more: load --snat-ports A-B"},
	[XDNAT_DROP_NO_SOURCE] = {"no_source",
				  "no address to masquerade with towards that target: see `xdnat "
				  "status`; give the rule one: snat=ADDRESS"},
	[XDNAT_DROP_LEAK] = {"leak", "from a target's private address and port, without a flow: it "
				     "would show that address to the outside"},
	[XDNAT_DROP_EXPIRED] = {"expired", "the flow has ended: the client must connect again"},
	[XDNAT_DROP_BUSY] = {"busy", "the flow was being changed at that moment: senders retry"},
	[XDNAT_DROP_NO_MEMORY] = {"no_memory", "the kernel had no memory to change the packet in"},
};
_Static_assert(sizeof(reasons) / sizeof(reasons[0]) == XDNAT_REASON_MAX, "a reason has no name");

const char *reason_name(enum xdnat_reason reason)
{
	return reasons[reason].name;
}

const char *reason_help(enum xdnat_reason reason)
{
	return reasons[reason].help;
}

const char *reason_verdict(enum xdnat_reason reason)
{
	if (reason < XDNAT_FIRST_PASS)
		return "forwarded";
	if (reason < XDNAT_FIRST_HAND_ON)
		return "passed";
	return reason < XDNAT_FIRST_DROP ? "handed on" : "dropped";
}

const char *reason_hook(uint32_t hook)
{
	static const char *const hooks[] = {
		[XDNAT_HOOK_XDP] = "xdp",
		[XDNAT_HOOK_INGRESS] = "ingress",
		[XDNAT_HOOK_EGRESS] = "egress",
	};
	_Static_assert(sizeof(hooks) / sizeof(hooks[0]) == XDNAT_HOOKS, "a hook has no name");

	return hooks[hook];
}
