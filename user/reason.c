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
	[XDNAT_PASS_NO_RULE] = {"no_rule", "no rule and no flow: for this host or another program"},
	[XDNAT_DROP_HEADER_CHECKSUM] = {"header_checksum",
					"wrong IPv4 header checksum: look for a bad cable or card"},
	[XDNAT_DROP_MALFORMED] = {"malformed",
				  "TCP or UDP header cut short or at odds with itself"},
	[XDNAT_DROP_PRIORITY_TAG] =
		{"priority_tag",
		 "priority-tagged (VLAN 0): this version does not forward it; send it untagged"},
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
	[XDNAT_DROP_NO_NEIGHBOUR] = {"no_neighbour",
				     "the target's or gateway's MAC address is not known (yet): "
				     "is it up, is xdnatd running?"},
	[XDNAT_DROP_NOT_LOADED] = {"not_loaded", "it would leave by an interface without xdnat: "
						 "xdnat load that interface too"},
	[XDNAT_DROP_WRONG_INTERFACE] = {"wrong_interface",
					"a reply that came in elsewhere than packets to the target "
					"leave: see `ip route get ADDRESS`"},
	[XDNAT_DROP_TUPLE_TAKEN] = {"tuple_taken",
				    "another flow already uses the same addresses and ports: "
				    "the client retries with another port"},
	[XDNAT_DROP_TABLE_FULL] =
		{"table_full", "no room for new flows; they end after their lifetime; more room: "
			       "xdnat unload --all, then load --flows N"},
	[XDNAT_DROP_EXPIRED] = {"expired", "the flow has ended: the client must connect again"},
	[XDNAT_DROP_BUSY] = {"busy", "the flow was being changed at that moment: senders retry"},
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
	return reason < XDNAT_FIRST_DROP ? "passed" : "dropped";
}
