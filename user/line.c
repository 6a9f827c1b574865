// SPDX-License-Identifier: GPL-2.0-only
#include "line.h"

#include <errno.h>

#include "fail.h"

int line_read(FILE *file, char *line)
{
	size_t length = 0;
	int c;

	while ((c = getc(file)) != EOF && c != '\n') {
		if (!c)
			return fail(-EINVAL, "it holds a NUL byte: this is not text");
		if (length == LINE_BYTES - 1)
			return fail(-EINVAL, "it is longer than %d bytes", LINE_BYTES - 1);
		line[length++] = c;
	}
	if (ferror(file))
		return fail_kernel(-errno, "cannot read on");
	if (length && line[length - 1] == '\r')
		length--;
	line[length] = '\0';
	return length || c != EOF;
}
