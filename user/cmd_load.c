// SPDX-License-Identifier: GPL-2.0-only
/*
 * load: programs on interfaces, maps, daemon. What it does it undoes if it cannot
 * finish. What it says of itself is in cmd_load_report.c.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cmd.h"
#include "cmd_load_migrate.h"
#include "cmd_load_options.h"
#include "cmd_load_report.h"
#include "confirm.h"
#include "fail.h"
#include "interface.h"
#include "listener.h"
#include "log.h"
#include "memory.h"
#include "migrate.h"
#include "mode.h"
#include "netlink.h"
#include "nexthop.h"
#include "preflight.h"
#include "program.h"
#include "snat.h"
#include "snat_port.h"
#include "target_side.h"
#include "upgrade.h"

/* One call of load. */
struct loading {
	const struct instance *instance;
	struct store *store;
	struct netlink_link *links; /* what to attach */
	bool *were_sides;	    /* as links: a target's side before */
	size_t count;
	size_t attached; /* the first ones of them */
	json_t *changes; /* by cmd_load_note() */
	struct snat_range snat_ports;
	bool is_new;	  /* this call made the instance */
	bool is_migrated; /* this call made it one of this build */
	bool is_watched;  /* this call started what undoes it */
	bool is_for_all;  /* no interface was named */
};

/* The named interfaces, each once; all that are loaded if none is named. */
static int find_links(struct loading *loading, const char *const *words, size_t count)
{
	loading->links = calloc(count + 1, sizeof(*loading->links));
	loading->were_sides = calloc(count + 1, sizeof(*loading->were_sides));
	if (!loading->links || !loading->were_sides)
		return fail(-ENOMEM, "no memory");
	for (size_t i = 0; i < count; i++) {
		struct netlink_link *link = &loading->links[loading->count];
		int err = netlink_link(words[i], link);

		if (err)
			return err;
		if (!strcmp(link->name, "lo"))
			return fail(-EOPNOTSUPP, "lo carries only what this host says to itself, "
						 "which is not forwarded");
		for (size_t j = 0; link && j < loading->count; j++)
			if (loading->links[j].ifindex == link->ifindex)
				link = NULL;
		loading->count += link != NULL;
	}
	return 0;
}

/* Options that a loaded instance cannot change. */
static int check_kept(const struct loading *loading)
{
	struct xdnat_config config;
	int err = interface_need_netns(loading->instance, loading->store);

	if (!err)
		err = store_config(loading->store, &config);
	return err ?: cmd_load_check_flows(&config);
}

static int open_instance(struct loading *loading)
{
	struct instance older;
	int err = 0;

	if (instance_older(loading->instance, &older)) {
		err = cmd_load_migrate(loading->instance);
		loading->is_migrated = !err;
	} else if (!instance_is_loaded(loading->instance)) {
		if (!loading->count)
			return instance_fail_not_loaded(loading->instance);
		confirm_cancel(loading->instance); /* of one whose pins were removed by hand */
		err = program_create(loading->instance, cmd_load_wish.flows
								? cmd_load_wish.flows
								: memory_default_flows());
		loading->is_new = !err;
	} else {
		migrate_forget(loading->instance);
	}
	if (!err)
		err = store_open(loading->instance, &loading->store);
	return err ?: check_kept(loading);
}

/* From then on rules' source ports are of the range that was asked for. */
static int set_snat_ports(const struct loading *loading)
{
	const struct snat_range *range = &loading->snat_ports;
	int err;

	if (!cmd_load_wish.snat_ports)
		return 0;
	err = snat_range_check(range);
	return err ? err
		   : store_snat_range_write(loading->store, range->first_host, range->last_host);
}

/* 0 if auto is, or nothing. */
static uint8_t asked_mode(void)
{
	return cmd_load_wish.mode ? mode_of_name(cmd_load_wish.mode) : 0;
}

/* 1: already there as the options say, 0: not there, or as a target's side only. */
static int is_loaded_so(struct loading *loading, const struct netlink_link *link)
{
	struct store_interface row;
	int err = interface_find(loading->store, link->ifindex, &row);
	bool shared;

	if (err || row.interface.flags & XDNAT_TARGET_SIDE ||
	    !attach_is_attached(loading->instance, &row))
		return 0;
	shared = row.interface.flags & XDNAT_SHARED;
	if ((asked_mode() && row.interface.mode != asked_mode()) ||
	    (cmd_load_wish.shared && !shared))
		return fail(-EEXIST,
			    "%s is loaded in %s mode%s; type first: xdnat unload %s (if it is the "
			    "last interface that ends all rules: keep them with: xdnat rule list "
			    "--format commands > FILE)",
			    link->name, mode_name(row.interface.mode),
			    cmd_load_wish.shared && !shared ? ", not shared" : "", link->name);
	return 1;
}

/* Leaves in links those that are not loaded yet. */
static int drop_loaded(struct loading *loading)
{
	size_t left = 0;

	for (size_t i = 0; i < loading->count; i++) {
		int err = is_loaded_so(loading, &loading->links[i]);

		if (err < 0)
			return err;
		if (!err)
			loading->links[left++] = loading->links[i];
	}
	loading->count = left;
	return 0;
}

/* What the options say; what they do not say stays as it was. */
static struct interface_wish make_wish(const struct loading *loading,
				       const struct netlink_link *link)
{
	struct interface_wish wish = {.mode = asked_mode(), .shared = cmd_load_wish.shared};
	struct store_interface row;

	if (!cmd_load_wish.mode && !interface_find(loading->store, link->ifindex, &row) &&
	    !(row.interface.flags & (XDNAT_TARGET_SIDE | XDNAT_AUTO)))
		wish.mode = row.interface.mode;
	return wish;
}

static bool is_side(const struct loading *loading, uint32_t ifindex)
{
	struct store_interface row;

	return !interface_find(loading->store, ifindex, &row) &&
	       row.interface.flags & XDNAT_TARGET_SIDE;
}

static int attach_all(struct loading *loading)
{
	char why[INTERFACE_WHY_BYTES];
	int err = 0;

	while (!err && loading->attached < loading->count) {
		const struct netlink_link *link = &loading->links[loading->attached];
		struct interface_wish wish = make_wish(loading, link);

		loading->were_sides[loading->attached] = is_side(loading, link->ifindex);
		err = interface_load(loading->instance, loading->store, link, &wish, why);
		if (err)
			continue;
		loading->attached++;
		cmd_load_note(loading->changes, loading->store, link->ifindex,
			      (struct cmd_load_change){"loaded", why});
	}
	return err;
}

static void note_again(const struct netlink_link *link, uint8_t mode, void *context)
{
	struct loading *loading = context;

	if (is_side(loading, link->ifindex))
		return;
	cmd_load_note(loading->changes, loading->store, link->ifindex,
		      (struct cmd_load_change){.word = "reattached"});
	preflight_warn(link, mode);
}

/* Those that this call attached are noted already, as loaded. */
static void note_upgrade(const struct store_interface *row, void *context)
{
	struct loading *loading = context;

	for (size_t i = 0; i < loading->attached; i++)
		if (loading->links[i].ifindex == row->ifindex)
			return;
	if (!(row->interface.flags & XDNAT_TARGET_SIDE))
		cmd_load_note(loading->changes, loading->store, row->ifindex,
			      (struct cmd_load_change){.word = "upgraded"});
}

static int note_migration(struct loading *loading)
{
	struct store_interface *rows = NULL;
	size_t count = 0;
	int err = store_interfaces(loading->store, &rows, &count);

	for (size_t i = 0; i < count; i++)
		if (attach_is_attached(loading->instance, &rows[i]))
			note_upgrade(&rows[i], loading);
	free(rows);
	return err;
}

/* The instance was there before: its programs become those of this build. Last of
 * what can be undone, so that a load that fails has replaced nothing. */
static int upgrade(struct loading *loading)
{
	struct store *reopened;
	int err;

	if (loading->is_new)
		return 0;
	if (loading->is_migrated)
		return note_migration(loading);
	err = upgrade_programs(loading->instance, loading->store, note_upgrade, loading);
	if (!err)
		err = store_open(loading->instance, &reopened);
	if (err)
		return err;
	store_close(loading->store);
	loading->store = reopened;
	return 0;
}

static void undo_link(const struct loading *loading, size_t i)
{
	uint32_t ifindex = loading->links[i].ifindex;
	struct store_interface row;

	if (loading->were_sides[i] && !interface_find(loading->store, ifindex, &row))
		interface_step_back(loading->instance, loading->store, &row);
	else
		interface_unload(loading->instance, loading->store, ifindex);
}

/* The cause of it stays the message. */
static void undo(struct loading *loading, int err)
{
	char why[FAIL_TEXT_BYTES];

	snprintf(why, sizeof(why), "%s", fail_text());
	for (size_t i = 0; i < loading->attached; i++)
		undo_link(loading, i);
	if (loading->is_new)
		attach_destroy(loading->instance);
	instance_remove_dirs(loading->instance);
	fail(err, "%s", why);
}

static int report(const struct cmd_context *context, const struct loading *loading)
{
	const struct cmd_load_done done = {
		.changes = loading->changes,
		.daemon = instance_daemon(loading->instance),
		.confirm_sec = loading->is_watched ? cmd_load_wish.confirm_sec : 0,
		.says_daemon = !loading->count && !cmd_load_wish.no_daemon,
	};
	int err = cmd_load_report(context, &done);
	char none[SNAT_PORT_NONE_BYTES];

	for (size_t i = 0; i < loading->count; i++) {
		struct store_interface row;

		if (!interface_find(loading->store, loading->links[i].ifindex, &row))
			preflight_warn(&loading->links[i], row.interface.mode);
	}
	if (cmd_load_wish.snat_ports && snat_port_none(loading->store, none))
		log_warning("--snat-ports: %s; no flow can be masqueraded, give another range",
			    none);
	if (cmd_load_wish.confirm_sec && !loading->is_watched)
		log_info("no interface was newly loaded, so nothing is pending: --confirm does "
			 "not undo an upgrade");
	return err;
}

/* From here on the load is undone if nobody confirms it. */
static int watch(struct loading *loading)
{
	int err;

	if (!cmd_load_wish.confirm_sec)
		return 0;
	if (!loading->count)
		return confirm_need_none(loading->instance);
	err = confirm_start(loading->instance, cmd_load_wish.confirm_sec, loading->is_new,
			    loading->links, loading->count);
	loading->is_watched = !err;
	return err;
}

/* Everything under the lock. What lost its link comes last: it was not this load's,
 * and if it cannot be helped the rest is in force all the same. */
static int load(struct loading *loading)
{
	int err = open_instance(loading);

	if (!err)
		err = set_snat_ports(loading);
	if (!err)
		err = drop_loaded(loading);
	if (!err)
		err = watch(loading);
	if (!err)
		err = attach_all(loading);
	if (!err)
		err = upgrade(loading);
	if (!err)
		err = listener_sync(loading->store);
	if (!err)
		err = snat_follow(loading->store);
	if (!err &&
	    (nexthop_sync(loading->store) || target_side_sync(loading->instance, loading->store)))
		log_warning("%s", fail_text()); /* the daemon tries again */
	if (!err && !cmd_load_wish.no_daemon)
		err = instance_start_daemon(loading->instance);
	if (!err && loading->is_for_all)
		err = interface_reattach(loading->instance, loading->store, note_again, loading);
	if (!err && loading->is_for_all)
		err = listener_sync(loading->store);
	if (err && loading->is_watched)
		confirm_cancel(loading->instance);
	return err;
}

int cmd_load(struct cmd_context *context, const char *const *words, size_t count)
{
	struct loading loading = {
		.instance = &context->instance,
		.is_for_all = !count,
		.changes = json_array(),
	};
	int lock = -1, err;

	err = cmd_load_check(loading.is_for_all, &loading.snat_ports);
	if (!err)
		err = find_links(&loading, words, count);
	if (!err)
		err = instance_need_bpffs();
	if (err)
		goto out;
	lock = instance_make_and_lock(&context->instance);
	if (lock < 0) {
		err = lock;
		goto out;
	}
	err = load(&loading);
	if (err)
		undo(&loading, err);
	else
		err = report(context, &loading);
out:
	json_decref(loading.changes);
	store_close(loading.store);
	if (lock >= 0)
		close(lock);
	free(loading.were_sides);
	free(loading.links);
	return err;
}
