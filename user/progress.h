/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Says that long work goes on: after two seconds a line on stderr, renewed a few
 * times a second and removed at the end. Anybody may call; nothing is shown
 * unless progress_enable() was called, which main does for people at a terminal.
 */
#ifndef XDNAT_PROGRESS_H
#define XDNAT_PROGRESS_H

#include <stdint.h>

void progress_enable(void);
/* "reading flows". The two seconds go on from an earlier piece of work that has not
 * ended. what stays the caller's until the end. */
void progress_begin(const char *what);
/* total 0: unknown. Cheap: may be called for every flow. */
void progress_step(uint64_t done, uint64_t total);
/* Removes the line, if there is one. Before anything else goes to the terminal. */
void progress_end(void);

#endif
