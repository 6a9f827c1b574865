// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "cmd.h"
#include "confirm.h"
#include "fail.h"

int cmd_confirm(struct cmd_context *context, const char *const *words, size_t count)
{
	(void)words;
	(void)count;
	if (!instance_is_loaded(&context->instance))
		return fail(-ENOTLOADED, "xdnat is not loaded (instance \"%s\"): there is nothing to "
					 "confirm",
			    context->instance.name);
	if (confirm_cancel(&context->instance))
		printf("confirmed: it stays loaded\n");
	else
		printf("nothing was waiting to be confirmed\n");
	return 0;
}
