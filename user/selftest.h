/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Golden packets through a program before it meets real ones. Every byte of what
 * comes out is compared with constants (selftest_packets.h).
 */
#ifndef XDNAT_SELFTEST_H
#define XDNAT_SELFTEST_H

struct bpf_object;

#define SELFTEST_ENTRIES 16 /* room that each of the object's hashes needs */

/* object: loaded, with maps that nothing else uses; they are filled here. clock:
 * descriptor of xdnat_clock. 0, or -errno with fail() naming the first packet that
 * was not treated as it must be. */
int selftest_run(const struct bpf_object *object, int clock);

#endif
