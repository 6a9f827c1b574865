/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Talk: what goes to stderr, and to the system's log. stdout belongs to data. libbpf's and
 * libxdp's chatter comes here too and is dropped, but for a line that load errors may quote.
 */
#ifndef XDNAT_LOG_H
#define XDNAT_LOG_H

#include <stdbool.h>

/* Routes the libraries' output here. program ("xdnat", "xdnatd") starts each line. */
void log_init(const char *program);
/* From now on to syslog(3) as well, facility daemon: a daemon has no terminal. */
void log_to_syslog(void);
void log_quiet(bool quiet); /* drops log_info, keeps warnings and errors */

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The last warning that libbpf or the verifier gave, one line, "" if none. */
const char *log_libbpf_last(void);
/* The first thing that libxdp complained of since it was told to forget, likewise. */
void log_libxdp_forget(void);
const char *log_libxdp_first(void);

#endif
