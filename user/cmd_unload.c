// SPDX-License-Identifier: GPL-2.0-only
/*
 * unload: leaves no trace of what load did.
 */
#include <net/if.h>
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
#include "out.h"
#include "rules_file.h"

static bool all;

const struct opt cmd_unload_options[] = {
	{.name = "all", .type = OPT_FLAG, .flag = &all, .help = "every interface of the instance"},
	{},
};

/* What people call it: it may have been renamed and nobody have followed. */
static const char *present_name(const struct store_interface *row, char *name)
{
	return if_indextoname(row->ifindex, name) ?: row->interface.name;
}

/* Row of the loaded interface that a word names; -ENOENT tells which there are. */
static int find_row(const char *name, const struct store_interface *rows, size_t count)
{
	char list[256] = "", present[IF_NAMESIZE];

	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(list);

		if (rows[i].interface.flags & XDNAT_TARGET_SIDE)
			continue;
		if (!strcmp(present_name(&rows[i], present), name))
			return i;
		snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "",
			 present_name(&rows[i], present));
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

/* One call of unload. */
struct unloading {
	const struct cmd_context *context;
	const struct instance *instance;
	const struct instance *pinned; /* the same, or as an earlier version has it */
	struct instance older;
	struct store *store;
	struct store_interface *rows;
	bool *marked; /* as rows: what is to go; target's sides, which come and go by
			 themselves, only with all */
	size_t count;
	json_t *unloaded; /* names */
	bool is_damaged;  /* the pins are not all there, or of another build */
	bool is_home;	  /* in the instance's network namespace: can restore what it changed */
};

/* --all takes whatever there is: what is left of a load that died, too. */
static int open_instance(struct unloading *unloading)
{
	char path[PATH_MAX];
	int err = store_open(unloading->instance, &unloading->store);

	unloading->pinned = unloading->instance;
	if (all && (err == -EBUSY || err == -ENOTLOADED)) {
		unloading->is_damaged = true;
		if (instance_older(unloading->instance, &unloading->older))
			unloading->pinned = &unloading->older;
		else if (instance_other_abi(unloading->instance, path))
			log_warning(
				"another version of xdnat may have switched VLAN offload off on "
				"its interfaces; to switch it on: ethtool -K IFACE rxvlan on");
		err = store_open_remains(unloading->pinned, &unloading->store);
	}
	if (err)
		return err;
	err = store_interfaces(unloading->store, &unloading->rows, &unloading->count);
	return unloading->is_damaged ? 0 : err;
}

/* Whether the rows fit the interfaces here, when nothing else tells. */
static bool fits_here(const struct unloading *unloading)
{
	char name[IF_NAMESIZE];

	for (size_t i = 0; i < unloading->count; i++)
		if (!if_indextoname(unloading->rows[i].ifindex, name) ||
		    strcmp(unloading->rows[i].interface.name, name))
			return false;
	return unloading->count;
}

static int check_netns(struct unloading *unloading)
{
	struct xdnat_config config;
	int err;

	if (unloading->is_damaged && store_config(unloading->store, &config)) {
		unloading->is_home = fits_here(unloading);
		return 0;
	}
	err = interface_need_netns(unloading->instance, unloading->store);
	unloading->is_home = !err;
	if (err == -EBUSY && all && !interface_is_any_attached(unloading->pinned, unloading->store))
		return 0;
	return err;
}

/* Said as it happens: another may fail. */
static bool has_text(const struct unloading *unloading)
{
	return !unloading->context->json && !unloading->context->quiet;
}

/* The last interface is off: nothing of the instance stays. */
static void end_instance(const struct unloading *unloading)
{
	const struct instance *instance = unloading->instance;
	struct store_rule *rules = NULL;
	size_t count = 0;

	if (!unloading->is_damaged && has_text(unloading) &&
	    !store_rules(unloading->store, &rules, &count) && count)
		printf("that was the last interface: %zu rule%s gone\n", count,
		       count == 1 ? " is" : "s are");
	free(rules);
	if (instance_stop_daemon(instance))
		log_warning("%s", fail_text());
	if (unloading->is_home)
		nexthop_release(unloading->store);
	confirm_cancel(instance);
	attach_destroy(instance);
	rules_file_remove(instance);
	instance_remove_dirs(instance);
	if (unloading->is_damaged && has_text(unloading))
		printf("removed what was left of instance %s\n", instance->name);
}

static bool leads_to_target(const struct store_interface *row)
{
	const uint32_t *sides;
	size_t count;

	nexthop_target_sides(&sides, &count);
	for (size_t i = 0; i < count; i++)
		if (sides[i] == row->ifindex)
			return true;
	return false;
}

static int unload_row(const struct unloading *unloading, const struct store_interface *row,
		      bool is_side)
{
	const char *name = row->interface.name;
	int err = 0;

	if (is_side)
		err = interface_step_back(unloading->pinned, unloading->store, row);
	else if (unloading->is_home)
		err = interface_unload(unloading->pinned, unloading->store, row->ifindex);
	if (err)
		return fail_kernel(err, "cannot detach from %s", name);
	if (row->interface.flags & XDNAT_TARGET_SIDE)
		return 0;
	json_array_append_new(unloading->unloaded, json_string(name));
	if (has_text(unloading))
		printf("%s: unloaded%s\n", name,
		       is_side ? " (its tc filters stay while a target's route leads there)" : "");
	return 0;
}

/* How many loaded ones are to stay. Without any, targets need nothing either. */
static size_t count_left(const struct unloading *unloading)
{
	size_t left = 0;

	for (size_t i = 0; i < unloading->count; i++)
		left += !unloading->marked[i] &&
			!(unloading->rows[i].interface.flags & XDNAT_TARGET_SIDE);
	for (size_t i = 0; !left && i < unloading->count; i++)
		unloading->marked[i] = true;
	return left;
}

static int print_json(const struct unloading *unloading)
{
	json_t *document = out_document("unload");

	json_object_set(document, "interfaces", unloading->unloaded);
	return out_json(document, false);
}

static int unload_marked(const struct unloading *unloading)
{
	size_t left = count_left(unloading);
	int err = 0;

	if (left && nexthop_sync(unloading->store)) /* whose targets' sides the daemon finds */
		log_warning("%s", fail_text());
	for (size_t i = 0; i < unloading->count && !err; i++)
		if (unloading->marked[i])
			err = unload_row(unloading, &unloading->rows[i],
					 left && leads_to_target(&unloading->rows[i]));
	if (err)
		return err;
	if (left)
		return listener_sync(unloading->store);
	end_instance(unloading);
	return 0;
}

int cmd_unload(struct cmd_context *context, const char *const *words, size_t count)
{
	struct unloading unloading = {
		.context = context,
		.instance = &context->instance,
	};
	int lock, err;

	if (all == (count > 0))
		return fail(-EUSAGE, all ? "--all names every interface; leave the others away"
					 : "unload which interface? type: xdnat unload IFACE, or "
					   "xdnat unload --all");
	lock = instance_lock(&context->instance);
	if (lock < 0)
		return lock;
	err = open_instance(&unloading);
	if (!err)
		err = check_netns(&unloading);
	if (err)
		goto out;
	unloading.unloaded = json_array();
	unloading.marked = calloc(unloading.count + 1, sizeof(*unloading.marked));
	err = unloading.marked
		      ? mark_rows(words, count, unloading.rows, unloading.count, unloading.marked)
		      : fail(-ENOMEM, "no memory");
	if (!err)
		err = unload_marked(&unloading);
	if (!err && context->json)
		err = print_json(&unloading);
out:
	json_decref(unloading.unloaded);
	free(unloading.marked);
	free(unloading.rows);
	store_close(unloading.store);
	close(lock);
	return err;
}
