// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "cmd.h"
#include "confirm.h"
#include "fail.h"
#include "interface.h"
#include "store.h"

int cmd_confirm(struct cmd_context *context, const char *const *words, size_t count)
{
	struct store *store = NULL;
	int err;

	(void)words;
	(void)count;
	err = store_open(&context->instance, &store);
	if (err == -ENOTLOADED)
		fail(err, "xdnat is not loaded (instance \"%s\"): there is nothing to confirm",
		     context->instance.name);
	if (!err)
		err = interface_need_netns(&context->instance, store);
	if (err)
		goto out;
	if (confirm_cancel(&context->instance))
		printf("confirmed: it stays loaded\n");
	else
		printf("nothing was waiting to be confirmed\n");
out:
	store_close(store);
	return err;
}
