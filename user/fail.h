/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Errors on their way up. A lower file that cannot go on says why in the user's
 * words, once, and returns a negative errno; the command adds what it was doing;
 * main prints the line and exits with the errno's exit code. Not thread-safe.
 */
#ifndef XDNAT_FAIL_H
#define XDNAT_FAIL_H

#include <errno.h>

#define FAIL_TEXT_BYTES 1024

/* The errno values that have exit codes of their own (DESIGN.md section 4). */
#define EUSAGE	   EBADRQC  /* 2: the command line is wrong */
#define ENOTLOADED ENOTCONN /* 3 */
/* ENOENT, ENODEV: 4 no such rule, flow, interface
 * EEXIST, EBUSY: 5 conflict
 * EINVAL: 6 invalid rule or configuration
 * EPERM, EACCES, ENOSYS, EOPNOTSUPP: 7 permission or missing kernel feature
 * others: 1 */

/* Remembers the message, replacing an earlier one; returns err (negative). */
int fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "what: " before the remembered message; returns err. */
int fail_while(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* fail() with "WHAT: the kernel's reason". Returns -EPERM or -EACCES if it is that,
 * else -EIO: a kernel's errno does not mean what ours mean to main. */
int fail_kernel(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The remembered message, "" if there is none. */
const char *fail_text(void);
/* The table above; err is 0 or negative. */
int fail_exit_code(int err);

#endif
