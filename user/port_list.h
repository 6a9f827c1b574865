/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many ports as text.
 */
#ifndef XDNAT_PORT_LIST_H
#define XDNAT_PORT_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* "22,8080-8089", rising; has[XDNAT_PORTS] by number. False: text has room only for the
 * first of them, each of which is whole. */
bool port_list_format(const bool *has, char *text, size_t size);

#endif
