/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * client - router - server: three network namespaces without names, joined by
 * veth. They, and what is pinned and written meanwhile, go with the process,
 * however it ends.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

enum { NETWORK_CLIENT, NETWORK_ROUTER, NETWORK_SERVER, NETWORK_SPACES };

/* What is at both ends: programs that send and count frames, which leave nothing to
 * hardware; or hosts, with their addresses and the offloads that they come with. */
enum network_ends { NETWORK_FRAMES, NETWORK_HOSTS };

struct network {
	int spaces[NETWORK_SPACES]; /* their descriptors */
	uint32_t client;	    /* interface indices, each in its own namespace */
	uint32_t wan;
	uint32_t lan;
	uint32_t server;
};

/* Once a process: its own bpffs and /run. 0 or -errno. */
int network_privacy(void);
/* 0 or -errno. Leaves the process in the router. Neighbours are permanent entries:
 * nothing ever waits for one. */
int network_make(struct network *network, enum network_ends ends);
int network_enter(const struct network *network, int space);
/* A shell's command in one of the namespaces. 0 or -EIO. */
int network_run(const struct network *network, int space, const char *command);

#endif
