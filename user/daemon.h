/* SPDX-License-Identifier: GPL-2.0-only */
/* The daemon's life, from the moment that it knows whose it is. */
#ifndef XDNAT_DAEMON_H
#define XDNAT_DAEMON_H

#include "instance.h"

/* Runs until it is told to end or the instance is unloaded; tells the starter. 0 or
 * -errno with fail(). */
int daemon_run(const struct instance *instance, int ready);
/* The line that instance_start_daemon() waits for; ready -1: nobody does. */
void daemon_tell_starter(int ready, const char *problem);

#endif
