// SPDX-License-Identifier: GPL-2.0-only
/*
 * confirm: a load --confirm stays. Whether one was waiting confirm.c knows.
 */
#include <stdio.h>

#include "cmd.h"
#include "confirm.h"
#include "fail.h"
#include "interface.h"
#include "migrate.h"
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

/* By an earlier version, too: load does not upgrade it before that is said. */
static int need_loaded(const struct instance *instance)
{
	struct store *store = NULL;
	struct xdnat_config config;
	struct instance older;
	int err;

	if (instance_older(instance, &older)) {
		err = migrate_config(instance, &config);
		return err ?: store_need_netns_cookie(config.netns_cookie);
	}
	err = store_open(instance, &store);
	if (err == -ENOTLOADED)
		fail(err, "xdnat is not loaded (instance \"%s\"): there is nothing to confirm",
		     instance->name);
	if (!err)
		err = interface_need_netns(instance, store);
	store_close(store);
	return err;
}

int cmd_confirm(struct cmd_context *context, const char *const *words, size_t count)
{
	int err = need_loaded(&context->instance);

	(void)words;
	(void)count;
	return err ?: report(context, confirm_cancel(&context->instance));
}
