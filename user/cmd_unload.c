// SPDX-License-Identifier: GPL-2.0-only
/*
 * unload: leaves no trace of what load did.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cmd.h"
#include "confirm.h"
#include "fail.h"
#include "interface.h"
#include "listener.h"
#include "log.h"
#include "nexthop.h"
#include "rules_file.h"

static bool all;

const struct opt cmd_unload_options[] = {
	{.name = "all",
	 .type = OPT_FLAG,
	 .flag = &all,
	 .help = "every interface of the instance"},
	{},
};

/* Row of the interface that a word names; -ENOENT tells which there are. */
static int find_row(const char *name, const struct store_interface *rows, size_t count)
{
	char list[256] = "";

	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(list);

		if (!strcmp(rows[i].interface.name, name))
			return i;
		snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "",
			 rows[i].interface.name);
	}
	return fail(-ENOENT, "%s is not loaded; loaded are: %s", name, list[0] ? list : "none");
}

/* Before anything is taken off: the words are all right. */
static int mark_rows(const char *const *words, size_t word_count,
		     const struct store_interface *rows, size_t count, bool *marked)
{
	for (size_t i = 0; i < word_count; i++) {
		int row = find_row(words[i], rows, count);

		if (row < 0)
			return row;
		marked[row] = true;
	}
	for (size_t i = 0; all && i < count; i++)
		marked[i] = true;
	return 0;
}

/* The last interface is off: nothing of the instance stays. */
static void end_instance(const struct instance *instance, struct store *store)
{
	if (instance_stop_daemon(instance))
		log_warning("%s", fail_text());
	nexthop_release(store);
	confirm_cancel(instance);
	attach_destroy(instance);
	rules_file_remove(instance);
	instance_remove_dirs(instance);
}

static int unload_rows(const struct instance *instance, struct store *store,
		       const struct store_interface *rows, size_t count, const bool *marked)
{
	size_t left = 0;
	int err = 0;

	for (size_t i = 0; i < count; i++) {
		if (!marked[i]) {
			left++;
			continue;
		}
		err = interface_unload(instance, store, rows[i].ifindex);
		if (err)
			return fail(err, "cannot detach from %s: %s", rows[i].interface.name,
				    strerror(-err));
		printf("%s: unloaded\n", rows[i].interface.name);
	}
	if (left)
		return listener_sync(store);
	end_instance(instance, store);
	return 0;
}

/* What is left of a load that died, or of another build: pins without sense. */
static int unload_remains(const struct instance *instance, int err)
{
	if (!all || (err != -EBUSY && err != -ENOTLOADED))
		return err;
	instance_stop_daemon(instance);
	attach_destroy(instance);
	rules_file_remove(instance);
	instance_remove_dirs(instance);
	printf("removed what was left of instance %s\n", instance->name);
	return 0;
}

int cmd_unload(struct cmd_context *context, const char *const *words, size_t count)
{
	const struct instance *instance = &context->instance;
	struct store_interface *rows = NULL;
	struct store *store = NULL;
	bool *marked = NULL;
	size_t row_count = 0;
	int lock, err;

	if (all == (count > 0))
		return fail(-EUSAGE, all ? "--all names every interface; leave the others away" :
					   "unload which interface? type: xdnat unload IFACE, or "
					   "xdnat unload --all");
	lock = instance_lock(instance);
	if (lock < 0)
		return lock;
	err = store_open(instance, &store);
	if (err) {
		err = unload_remains(instance, err);
		goto out;
	}
	err = store_need_netns(store);
	if (!err)
		err = store_interfaces(store, &rows, &row_count);
	if (err)
		goto out;
	marked = calloc(row_count + 1, sizeof(*marked));
	err = marked ? mark_rows(words, count, rows, row_count, marked) :
		       fail(-ENOMEM, "no memory");
	if (!err)
		err = unload_rows(instance, store, rows, row_count, marked);
out:
	free(marked);
	free(rows);
	store_close(store);
	close(lock);
	return err;
}
