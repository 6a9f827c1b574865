/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RUN_DIR/rules: the live rules as text, one a line, to refill maps after an
 * upgrade that changes them. Never read at boot.
 */
#ifndef XDNAT_RULES_FILE_H
#define XDNAT_RULES_FILE_H

#include "instance.h"
#include "store.h"

/* Replaces the file as a whole. 0 or -errno with fail(). */
int rules_file_write(const struct instance *instance, const struct store_rule *rules, size_t count);
void rules_file_remove(const struct instance *instance);

#endif
