/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The datapath's time, read through its own clock program.
 */
#ifndef XDNAT_CLOCK_H
#define XDNAT_CLOCK_H

#include <stdint.h>

#include "xdnat_abi.h"

/* program: descriptor of xdnat_clock. 0 or -errno. */
int clock_read(int program, struct xdnat_clock *clock);
/* Jiffies a second, measured in a tenth of one and rounded to a rate that
 * kernels are built with. */
int clock_measure_hz(int program, uint32_t *hz);

#endif
