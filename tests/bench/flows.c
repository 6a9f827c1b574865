// SPDX-License-Identifier: GPL-2.0-only
#include "flows.h"

#include <arpa/inet.h>
#include <string.h>

#define TTL	     64
#define FOREIGN_PORT 443 /* below all that masquerading may give out */

/* FLOWS_RULED: an address has so many listeners, from this port on. */
#define RULED_PORTS	 60000
#define RULED_FIRST_PORT 1024
#define RULED_FIRST_BYTE 16

/* network.c makes interfaces with these addresses. */
const uint8_t flows_wan_mac[6] = {2, 0, 0, 0, 1, 1}, flows_lan_mac[6] = {2, 0, 0, 0, 2, 1};
static const uint8_t gateway_mac[6] = {2, 0, 0, 0, 1, 0xfe}, target_mac[6] = {2, 0, 0, 0, 2, 5};
static const uint8_t listener4[4] = {203, 0, 113, 1}, target4[4] = {10, 0, 0, 5};
static const uint8_t listener6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t target6[16] = {0xfd, [15] = 5};
static const uint8_t snat4[4] = {10, 0, 0, 1}, snat6[16] = {0xfd, [15] = 1};
/* Behind the gateway, as clients are. */
static const uint8_t far_target4[4] = {198, 51, 100, 9};
static const uint8_t far_target6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 9, [15] = 9};

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

struct xdnat_addr flows_snat(bool is_v6)
{
	return addr_of(is_v6 ? snat6 : snat4, is_v6);
}

uint16_t flows_port_host(enum flows_rule rule)
{
	return rule == FLOWS_FOREIGN ? FOREIGN_PORT : FLOWS_PORT + rule;
}

uint16_t flows_ruled_port_host(uint32_t n)
{
	return RULED_FIRST_PORT + n % RULED_PORTS;
}

static void ruled_listener(uint32_t n, uint8_t *address)
{
	memcpy(address, listener4, sizeof(listener4));
	address[3] = RULED_FIRST_BYTE + n / RULED_PORTS;
}

struct xdnat_addr flows_ruled_listener(uint32_t n)
{
	uint8_t address[4];

	ruled_listener(n, address);
	return addr_of(address, false);
}

/* Where flow i's client connects to. */
static void listener_of(const struct flows *flows, uint32_t i, uint8_t *address,
			uint16_t *port_host)
{
	uint32_t rule;

	if (flows->rule == FLOWS_RULED) {
		rule = i * 2654435761ULL % flows->rules; /* in no order */
		ruled_listener(rule, address);
		*port_host = flows_ruled_port_host(rule);
		return;
	}
	memcpy(address, flows->is_v6 ? listener6 : listener4, flows->is_v6 ? 16 : 4);
	*port_host = flows_port_host(flows->rule);
}

static const uint8_t *target_of(const struct flows *flows)
{
	if (flows->rule == FLOWS_RELAYED)
		return flows->is_v6 ? far_target6 : far_target4;
	return flows->is_v6 ? target6 : target4;
}

/* What the target sees instead of the client's address; NULL: that itself. */
static const uint8_t *source_of(const struct flows *flows)
{
	if (flows->rule == FLOWS_RELAYED)
		return flows->is_v6 ? listener6 : listener4;
	if (flows->rule == FLOWS_MASQUERADED)
		return flows->is_v6 ? snat6 : snat4;
	return NULL;
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
	*port_host = 1024 + i * 40503ULL % 60000; /* clients of one address: others */
}

struct xdnat_addr flows_client(bool is_v6, uint32_t i)
{
	uint8_t address[16] = {};
	uint16_t port_host;

	client_of(is_v6, i, address, &port_host);
	return addr_of(address, is_v6);
}

static void set_macs(struct frame *frame, const uint8_t *dst, const uint8_t *src)
{
	memcpy(frame->eth_dst, dst, 6);
	memcpy(frame->eth_src, src, 6);
}

static void address_set(uint8_t *address, const uint8_t *from, bool is_v6)
{
	memcpy(address, from, is_v6 ? 16 : 4);
}

static void arrive_at_target_side(const struct flows *flows, uint32_t i, struct frame *frame)
{
	if (flows->rule == FLOWS_RELAYED)
		set_macs(frame, flows_wan_mac, gateway_mac);
	else
		set_macs(frame, flows_lan_mac, target_mac);
	client_of(flows->is_v6, flows->first + i, frame->dst, &frame->dport_host);
	if (source_of(flows))
		address_set(frame->dst, source_of(flows), flows->is_v6);
	address_set(frame->src, target_of(flows), flows->is_v6);
	frame->sport_host = FLOWS_TARGET_PORT;
}

void flows_arriving(const struct flows *flows, uint32_t i, uint8_t direction, uint8_t tcp_flags,
		    struct frame *frame)
{
	*frame = (struct frame){
		.is_v6 = flows->is_v6,
		.is_tcp = flows->is_tcp,
		.tcp_flags = tcp_flags,
		.ttl = TTL,
	};
	if (direction == XDNAT_REPLY) {
		arrive_at_target_side(flows, i, frame);
		return;
	}
	set_macs(frame, flows_wan_mac, gateway_mac);
	client_of(flows->is_v6, flows->first + i, frame->src, &frame->sport_host);
	listener_of(flows, i, frame->dst, &frame->dport_host);
}

void flows_rerouted(const struct frame *arriving, struct frame *frame)
{
	*frame = *arriving;
	set_macs(frame, target_mac, flows_lan_mac);
}

void flows_leaving(const struct flows *flows, uint32_t i, uint8_t direction,
		   const struct frame *arriving, struct frame *frame)
{
	uint16_t port_host;

	*frame = *arriving;
	if (flows->rule == FLOWS_FOREIGN)
		return;
	frame->ttl--;
	set_macs(frame, gateway_mac, flows_wan_mac);
	if (direction == XDNAT_REPLY) {
		listener_of(flows, i, frame->src, &frame->sport_host);
		client_of(flows->is_v6, flows->first + i, frame->dst, &port_host);
		return;
	}
	if (flows->rule != FLOWS_RELAYED)
		set_macs(frame, target_mac, flows_lan_mac);
	if (source_of(flows))
		address_set(frame->src, source_of(flows), flows->is_v6);
	address_set(frame->dst, target_of(flows), flows->is_v6);
	frame->dport_host = FLOWS_TARGET_PORT;
}
