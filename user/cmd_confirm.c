// SPDX-License-Identifier: GPL-2.0-only
/*
 * confirm: a load --confirm stays. Whether one was waiting confirm.c knows.
 */
#include <stdio.h>

#include "cmd.h"
#include "confirm.h"
#include "fail.h"
#include "interface.h"
#include "out.h"
#include "store.h"

static int report(const struct cmd_context *context, bool confirmed)
{
	json_t *document;

	if (context->json) {
		document = out_document("confirm");
		json_object_set_new(document, "confirmed", json_boolean(confirmed));
		return out_json(document, false);
	}
	if (!context->quiet)
		printf("%s\n", confirmed ? "confirmed: it stays loaded"
					 : "nothing was waiting to be confirmed");
	return 0;
}

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
	err = report(context, confirm_cancel(&context->instance));
out:
	store_close(store);
	return err;
}
