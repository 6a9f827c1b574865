/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text files, line by line: what is no text is refused, not cut.
 */
#ifndef XDNAT_LINE_H
#define XDNAT_LINE_H

#include <stdio.h>

#define LINE_BYTES 2048 /* with NUL; more than a rule can take */

/* The next line without its end; line has LINE_BYTES. 1, 0 at the end of the file, or
 * -errno with fail(), which does not say which line it was. */
int line_read(FILE *file, char *line);

#endif
