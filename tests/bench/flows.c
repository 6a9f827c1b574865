// SPDX-License-Identifier: GPL-2.0-only
#include "flows.h"

#include <arpa/inet.h>
#include <string.h>

#define TTL	     64
#define FOREIGN_PORT 9999

/* network.c makes interfaces with these addresses. */
const uint8_t flows_wan_mac[6] = {2, 0, 0, 0, 1, 1}, flows_lan_mac[6] = {2, 0, 0, 0, 2, 1};
static const uint8_t gateway_mac[6] = {2, 0, 0, 0, 1, 0xfe}, target_mac[6] = {2, 0, 0, 0, 2, 5};
static const uint8_t listener4[4] = {203, 0, 113, 1}, target4[4] = {10, 0, 0, 5};
static const uint8_t listener6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t target6[16] = {0xfd, [15] = 5};

static struct xdnat_addr addr_of(const uint8_t *bytes, bool is_v6)
{
	struct xdnat_addr addr = {.word = {0, 0, htonl(0xffff), 0}};

	memcpy(is_v6 ? addr.word : &addr.word[3], bytes, is_v6 ? 16 : 4);
	return addr;
}

struct xdnat_addr flows_listener(bool is_v6)
{
	return addr_of(is_v6 ? listener6 : listener4, is_v6);
}

struct xdnat_addr flows_target(bool is_v6)
{
	return addr_of(is_v6 ? target6 : target4, is_v6);
}

/* Client i: 198.18.0.0/15 or 2001:db8:7::/64, with a port of its own. */
static void client_of(bool is_v6, uint32_t i, uint8_t *address, uint16_t *port_host)
{
	static const uint8_t prefix4[2] = {198, 18};
	static const uint8_t prefix6[6] = {0x20, 0x01, 0x0d, 0xb8, 0, 7};
	uint8_t *low = address + (is_v6 ? 14 : 2);

	memcpy(address, is_v6 ? prefix6 : prefix4, is_v6 ? sizeof(prefix6) : sizeof(prefix4));
	low[0] = i >> 8;
	low[1] = i;
	*port_host = 1024 + i * 40503 % 60000;
}

static void set_macs(struct frame *frame, const uint8_t *dst, const uint8_t *src)
{
	memcpy(frame->eth_dst, dst, 6);
	memcpy(frame->eth_src, src, 6);
}

void flows_arriving(const struct flows *flows, uint32_t i, uint8_t direction, uint8_t tcp_flags,
		    struct frame *frame)
{
	uint32_t bytes = flows->is_v6 ? 16 : 4;

	*frame = (struct frame){
		.is_v6 = flows->is_v6,
		.is_tcp = flows->is_tcp,
		.tcp_flags = tcp_flags,
		.ttl = TTL,
	};
	if (direction == XDNAT_ORIGINAL) {
		set_macs(frame, flows_wan_mac, gateway_mac);
		client_of(flows->is_v6, i, frame->src, &frame->sport_host);
		memcpy(frame->dst, flows->is_v6 ? listener6 : listener4, bytes);
		frame->dport_host = flows->is_foreign ? FOREIGN_PORT : FLOWS_PORT;
	} else {
		set_macs(frame, flows_lan_mac, target_mac);
		client_of(flows->is_v6, i, frame->dst, &frame->dport_host);
		memcpy(frame->src, flows->is_v6 ? target6 : target4, bytes);
		frame->sport_host = FLOWS_TARGET_PORT;
	}
}

void flows_rerouted(const struct frame *arriving, struct frame *frame)
{
	*frame = *arriving;
	set_macs(frame, target_mac, flows_lan_mac);
}

void flows_leaving(const struct flows *flows, uint8_t direction, const struct frame *arriving,
		   struct frame *frame)
{
	uint32_t bytes = flows->is_v6 ? 16 : 4;

	*frame = *arriving;
	if (flows->is_foreign)
		return;
	frame->ttl--;
	if (direction == XDNAT_ORIGINAL) {
		set_macs(frame, target_mac, flows_lan_mac);
		memcpy(frame->dst, flows->is_v6 ? target6 : target4, bytes);
		frame->dport_host = FLOWS_TARGET_PORT;
	} else {
		set_macs(frame, gateway_mac, flows_wan_mac);
		memcpy(frame->src, flows->is_v6 ? listener6 : listener4, bytes);
		frame->sport_host = FLOWS_PORT;
	}
}
