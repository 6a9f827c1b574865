/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a load that succeeded says: for people a line an interface, for programs one
 * object.
 */
#ifndef XDNAT_CMD_LOAD_REPORT_H
#define XDNAT_CMD_LOAD_REPORT_H

#include <jansson.h>

#include "cmd.h"
#include "store.h"

struct cmd_load_done {
	json_t *changes;      /* array, by cmd_load_note() */
	pid_t daemon;	      /* 0: none */
	uint64_t confirm_sec; /* the load is undone after that; 0: it stays */
	bool says_daemon;     /* people hear of the daemon */
};

/* What became of an interface. */
struct cmd_load_change {
	const char *word; /* "loaded", "upgraded" or "reattached" */
	const char *why;  /* it is in that mode; "" or NULL: that was asked for, or before */
};
/* Notes it; nothing if the interface is not in the store. */
void cmd_load_note(json_t *changes, const struct store *store, uint32_t ifindex,
		   struct cmd_load_change change);
/* Prints as the global options say. 0 or -errno with fail(). */
int cmd_load_report(const struct cmd_context *context, const struct cmd_load_done *done);

#endif
