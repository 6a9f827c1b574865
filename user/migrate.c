// SPDX-License-Identifier: GPL-2.0-only
#include "migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "attach_tc.h"
#include "fail.h"
#include "log.h"
#include "pins.h"
#include "port_bits.h"
#include "program.h"
#include "progress.h"
#include "store_abi3.h"
#include "upgrade.h"

struct migration {
	const struct instance *instance;
	struct instance older;
	struct store_abi3 abi3;
	struct store *store;	   /* ours */
	struct programs *programs; /* ours */
	uint64_t flows;		   /* copied */
};

static int open_older(const struct instance *instance, struct migration *migration)
{
	*migration = (struct migration){.instance = instance, .abi3 = {-1, -1, -1}};
	if (!instance_older(instance, &migration->older))
		return instance_fail_not_loaded(instance);
	return store_abi3_open(&migration->older, &migration->abi3);
}

int migrate_config(const struct instance *instance, struct xdnat_config *config)
{
	struct migration migration;
	int err = open_older(instance, &migration);

	*config = (struct xdnat_config){};
	if (!err)
		err = store_abi3_config(&migration.abi3, config);
	store_abi3_close(&migration.abi3);
	return err;
}

/* Is any interface ours already? By its filters, which are swapped first. */
static bool is_begun(const struct migration *migration)
{
	struct store_interface *rows = NULL;
	bool is_ours = false;
	size_t count = 0;

	if (store_interfaces(migration->store, &rows, &count))
		return true;
	for (size_t i = 0; !is_ours && i < count; i++)
		is_ours = attach_tc_is_build_attached(migration->instance, rows[i].ifindex);
	free(rows);
	return is_ours;
}

void migrate_forget(const struct instance *instance)
{
	char dir[PINS_DIR_BYTES];

	pins_new_dir(instance, dir);
	pins_forget(dir);
}

/* Removes pins that the earlier build has, too, or that nobody uses. */
static int discard(const struct migration *migration, const char *pin_dir)
{
	char dir[PINS_DIR_BYTES];

	migrate_forget(migration->instance);
	pins_new_dir(migration->instance, dir);
	if (rename(pin_dir, dir))
		return errno == ENOENT ? 0 : fail_kernel(-errno, "cannot rename %s", pin_dir);
	migrate_forget(migration->instance);
	return 0;
}

/* What a killed one left: some interfaces are ours. */
static int resume(struct migration *migration)
{
	int err = store_abi3_keep_config(&migration->abi3, migration->store);

	return err ?: program_load(migration->instance, migration->store, &migration->programs);
}

static int begin(struct migration *migration)
{
	const struct instance *instance = migration->instance;
	struct xdnat_config config = {};
	int err = 0;

	if (instance_is_loaded(instance)) {
		err = store_open_unfinished(instance, &migration->store);
		if (err || is_begun(migration))
			return err ?: resume(migration);
		store_close(migration->store);
		migration->store = NULL;
	}
	err = discard(migration, instance->pin_dir);
	if (!err)
		err = store_abi3_config(&migration->abi3, &config);
	if (!err)
		err = program_take_over(instance, &migration->older, &config, &migration->programs);
	if (err)
		return err;
	err = store_open_unfinished(instance, &migration->store);
	if (err)
		discard(migration, instance->pin_dir);
	return err;
}

static int copy(struct migration *migration, bool embryos, struct store_abi3_copied *copied)
{
	int err = store_abi3_copy(&migration->abi3, migration->store, embryos, copied);

	migration->flows += copied->flows;
	return err;
}

/* Nothing that is a rule's or a flow's is foreign to the new programs. */
static int add_port_bits(struct store *store)
{
	struct store_rule *rules = NULL;
	size_t count = 0;
	int err = store_rules(store, &rules, &count);

	if (!err)
		err = port_bits_add(store, rules, count);
	free(rules);
	return err ?: port_bits_add_flows(store);
}

/* The confirmed ones are all there when the programs are swapped; then those that were
 * made since, and embryos, which may have been confirmed since. */
static int copy_before(struct migration *migration)
{
	struct store_abi3_copied copied;
	int err = copy(migration, false, &copied);

	if (!err && copied.no_room)
		return fail(-ENOSPC,
			    "%" PRIu64 " of %" PRIu64 " entries of flows find no room in the new "
			    "table; if they may end, type: xdnat unload --all",
			    copied.no_room, copied.seen);
	if (!err)
		err = add_port_bits(migration->store);
	return err ?: copy(migration, true, &copied);
}

static void copy_after(struct migration *migration)
{
	struct store_abi3_copied copied;

	if (copy(migration, true, &copied))
		log_warning("not all flows that began meanwhile are copied: %s", fail_text());
	else if (copied.no_room)
		log_warning("%" PRIu64 " entries of flows that began meanwhile find no room",
			    copied.no_room);
}

static void ignore_row(const struct store_interface *row, void *context)
{
	(void)row;
	(void)context;
}

static int swap(struct migration *migration)
{
	int err;

	progress_begin("copying flows");
	err = copy_before(migration);
	if (!err)
		err = upgrade_to(migration->instance, migration->store, migration->programs,
				 ignore_row, NULL);
	if (!err)
		copy_after(migration);
	progress_end();
	return err;
}

/* The cause stays the message. */
static int undo(struct migration *migration, int err, bool had_daemon)
{
	char why[FAIL_TEXT_BYTES];

	snprintf(why, sizeof(why), "%s", fail_text());
	if (migration->store && is_begun(migration))
		return fail(err, "%s; not all interfaces are upgraded: type xdnat load", why);
	discard(migration, migration->instance->pin_dir);
	return fail(err, "%s; the earlier version goes on%s", why,
		    had_daemon ? ", but its daemon was stopped" : "");
}

int migrate(const struct instance *instance, uint64_t *flows)
{
	bool had_daemon = instance_daemon(instance);
	struct migration migration;
	int err = open_older(instance, &migration);

	if (!err)
		err = begin(&migration);
	if (err)
		goto out;
	/* It would end what has been copied. */
	err = instance_stop_daemon(instance);
	if (!err)
		err = swap(&migration);
	if (!err)
		err = discard(&migration, migration.older.pin_dir);
	if (err)
		err = undo(&migration, err, had_daemon);
	*flows = migration.flows;
out:
	program_free(migration.programs);
	store_close(migration.store);
	store_abi3_close(&migration.abi3);
	return err;
}
