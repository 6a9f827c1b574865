/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What load can be told, and whether it goes together.
 */
#ifndef XDNAT_CMD_LOAD_OPTIONS_H
#define XDNAT_CMD_LOAD_OPTIONS_H

#include "snat_port.h"
#include "xdnat_abi.h"

/* What the command line says; NULL, 0: nothing. */
extern struct cmd_load_wish {
	const char *mode;
	const char *snat_ports;
	uint64_t flows;
	uint64_t confirm_sec;
	bool shared;
	bool no_daemon;
} cmd_load_wish;

/* is_for_all: no interface is named. 0, or -errno with fail(); snat_ports only changes if
 * it is asked for. */
int cmd_load_check(bool is_for_all, struct snat_range *snat_ports);
/* -EEXIST with fail() if other flow tables are asked for than those that are loaded. */
int cmd_load_check_flows(const struct xdnat_config *config);

#endif
