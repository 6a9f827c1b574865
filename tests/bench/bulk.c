// SPDX-License-Identifier: GPL-2.0-only
#include "bulk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "router.h"

#define PATIENCE_MS   3000
#define PATTERN_BYTES 251000 /* no multiple of anything that a segment is cut by */
/* Buffers of a size of their own do not grow in one lane before they do in another. */
#define BUFFER_BYTES (1 << 20)

static const char *name_of(const struct bulk *bulk)
{
	static const char *const names[BULK_KINDS] = {"xdnat", "nft DNAT", "nft DNAT again",
						      "routing"};

	return names[bulk->kind];
}

int bulk_make(struct bulk *bulk, enum bulk_kind kind, const char *xdnat)
{
	int err, instance;

	*bulk = (struct bulk){.kind = kind, .client = -1, .server = -1};
	err = network_make(&bulk->network, NETWORK_HOSTS);
	if (!err && kind == BULK_XDNAT)
		err = router_xdnat(&bulk->network, xdnat, "wan lan --mode tc", FLOWS_PRESERVED,
				   &instance);
	if (!err && (kind == BULK_NFT || kind == BULK_NFT_AGAIN))
		err = router_nft(&bulk->network);
	return err;
}

void bulk_close(struct bulk *bulk)
{
	if (bulk->client >= 0)
		close(bulk->client);
	if (bulk->server >= 0)
		close(bulk->server);
	bulk->client = bulk->server = -1;
}

static int socket_make(bool is_v6)
{
	int size = BUFFER_BYTES, one = 1;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t address_make(union address *address, const struct xdnat_addr *from, bool is_v6,
			      uint16_t port_host)
{
	*address = (union address){};
	if (is_v6) {
		address->v6.sin6_family = AF_INET6;
		address->v6.sin6_port = htons(port_host);
		memcpy(&address->v6.sin6_addr, from->word, sizeof(from->word));
		return sizeof(address->v6);
	}
	address->v4.sin_family = AF_INET;
	address->v4.sin_port = htons(port_host);
	address->v4.sin_addr.s_addr = from->word[3];
	return sizeof(address->v4);
}

/* Sockets belong to the namespace that they were made in. */
static int listen_at_target(const struct bulk *bulk, bool is_v6)
{
	struct xdnat_addr target = flows_target(is_v6);
	union address address;
	socklen_t bytes = address_make(&address, &target, is_v6, FLOWS_TARGET_PORT);
	int err = network_enter(&bulk->network, NETWORK_SERVER);
	int fd = err ? err : socket_make(is_v6);

	if (fd < 0)
		return fd;
	if (!bind(fd, &address.any, bytes) && !listen(fd, 1))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int start_client(const struct bulk *bulk, bool is_v6)
{
	bool is_routed = bulk->kind == BULK_ROUTED;
	struct xdnat_addr to = is_routed ? flows_target(is_v6) : flows_listener(is_v6);
	union address address;
	socklen_t bytes =
		address_make(&address, &to, is_v6,
			     is_routed ? FLOWS_TARGET_PORT : flows_port_host(FLOWS_PRESERVED));
	int err = network_enter(&bulk->network, NETWORK_CLIENT);
	int fd = err ? err : socket_make(is_v6);

	if (fd < 0)
		return fd;
	if (!connect(fd, &address.any, bytes) || errno == EINPROGRESS)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* The target sees who the client is. */
static int compare_ends(const struct bulk *bulk)
{
	union address client = {}, seen = {};
	socklen_t client_bytes = sizeof(client), seen_bytes = sizeof(seen);

	if (getsockname(bulk->client, &client.any, &client_bytes) ||
	    getpeername(bulk->server, &seen.any, &seen_bytes))
		return -errno;
	if (client_bytes == seen_bytes && !memcmp(&client, &seen, seen_bytes))
		return 0;
	fprintf(stderr, "%s: the target sees another client\n", name_of(bulk));
	return -EBADMSG;
}

int bulk_connect(struct bulk *bulk, bool is_v6)
{
	int listener = listen_at_target(bulk, is_v6);
	struct pollfd arrival = {.fd = listener, .events = POLLIN};
	int err = listener < 0 ? listener : 0;

	if (!err)
		bulk->client = start_client(bulk, is_v6);
	if (!err && bulk->client < 0)
		err = bulk->client;
	if (!err && poll(&arrival, 1, PATIENCE_MS) != 1) {
		fprintf(stderr, "%s: no connection arrives at the target\n", name_of(bulk));
		err = -ETIMEDOUT;
	}
	if (!err) {
		bulk->server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		err = bulk->server < 0 ? -errno : compare_ends(bulk);
	}
	if (listener >= 0)
		close(listener);
	return err;
}

/* Byte n of a transfer is byte n % PATTERN_BYTES. */
static const uint8_t *pattern(void)
{
	static uint8_t bytes[PATTERN_BYTES];

	for (uint32_t i = 0; !bytes[1] && i < PATTERN_BYTES; i++)
		bytes[i] = i * 2654435761u >> 24;
	return bytes;
}

/* A transfer under way. */
struct transfer {
	uint64_t bytes;
	uint64_t sent;
	uint64_t received;
	bool is_checked;
};

static uint64_t room(uint64_t done, uint64_t bytes)
{
	uint64_t to_end = PATTERN_BYTES - done % PATTERN_BYTES;

	return to_end < bytes - done ? to_end : bytes - done;
}

/* 0: as much as is possible now was sent; else -errno. */
static int send_some(const struct bulk *bulk, struct transfer *transfer)
{
	ssize_t count;

	while (transfer->sent < transfer->bytes) {
		count = send(bulk->client, pattern() + transfer->sent % PATTERN_BYTES,
			     room(transfer->sent, transfer->bytes), MSG_NOSIGNAL);
		if (count < 0)
			return errno == EAGAIN ? 0 : -errno;
		transfer->sent += count;
	}
	return 0;
}

static int receive_some(const struct bulk *bulk, struct transfer *transfer)
{
	static uint8_t bytes[PATTERN_BYTES];
	ssize_t count;

	while (transfer->received < transfer->bytes) {
		count = recv(bulk->server, bytes, room(transfer->received, transfer->bytes), 0);
		if (!count)
			return -ECONNRESET;
		if (count < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (transfer->is_checked &&
		    memcmp(bytes, pattern() + transfer->received % PATTERN_BYTES, count)) {
			fprintf(stderr, "%s: wrong bytes after %llu\n", name_of(bulk),
				(unsigned long long)transfer->received);
			return -EBADMSG;
		}
		transfer->received += count;
	}
	return 0;
}

/* Nothing to do at either end: until there is. */
static int wait_for_some(const struct bulk *bulk, const struct transfer *transfer)
{
	struct pollfd ends[] = {
		{.fd = bulk->server, .events = POLLIN},
		{.fd = transfer->sent < transfer->bytes ? bulk->client : -1, .events = POLLOUT},
	};

	if (poll(ends, 2, PATIENCE_MS) > 0)
		return 0;
	fprintf(stderr, "%s: bulk TCP stands still after %llu bytes of %llu\n", name_of(bulk),
		(unsigned long long)transfer->received, (unsigned long long)transfer->bytes);
	return -ETIMEDOUT;
}

static int work(const struct bulk *bulk, struct transfer *transfer)
{
	int err = 0;

	while (!err && transfer->received < transfer->bytes) {
		err = send_some(bulk, transfer);
		if (!err)
			err = receive_some(bulk, transfer);
		if (!err && transfer->received < transfer->bytes)
			err = wait_for_some(bulk, transfer);
	}
	return err;
}

int bulk_check(const struct bulk *bulk, uint64_t bytes)
{
	struct transfer transfer = {.bytes = bytes, .is_checked = true};

	return work(bulk, &transfer);
}

int bulk_send(const struct bulk *bulk, uint64_t bytes, double *seconds)
{
	struct transfer transfer = {.bytes = bytes};
	struct timespec start, end;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &start);
	err = work(bulk, &transfer);
	clock_gettime(CLOCK_MONOTONIC, &end);
	*seconds = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
	return err;
}
