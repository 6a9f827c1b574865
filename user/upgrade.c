// SPDX-License-Identifier: GPL-2.0-only
#include "upgrade.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "attach_shared.h"
#include "fail.h"
#include "program.h"

/* One interface on its way, and what it ran before. */
struct swap {
	const struct store_interface *row;
	struct attach_programs before;
	bool is_done;
};

static int swap_back(const struct instance *instance, const struct swap *swaps, size_t count)
{
	int result = 0;

	for (size_t i = 0; i < count; i++) {
		struct attach_programs replaced;
		int err = attach_replace(instance, swaps[i].row->ifindex, &swaps[i].before,
					 &replaced);

		attach_programs_close(&replaced);
		if (err < 0)
			result = err;
	}
	return result;
}

/* On all interfaces, or on none. */
static int swap_all(const struct instance *instance, const struct programs *programs,
		    struct swap *swaps, size_t count)
{
	const struct attach_programs present = program_attached(programs);

	for (size_t i = 0; i < count; i++) {
		int err =
			attach_replace(instance, swaps[i].row->ifindex, &present, &swaps[i].before);

		swaps[i].is_done |= swaps[i].before.xdp >= 0 || swaps[i].before.tc[0] >= 0;
		if (!err)
			continue;
		err = fail_kernel(err, "cannot replace the programs on %s",
				  swaps[i].row->interface.name);
		if (swap_back(instance, swaps, i + 1))
			fail_while(err, "not all interfaces could be set back");
		return err;
	}
	return 0;
}

static int swap_and_pin(const struct instance *instance, const struct programs *programs,
			struct swap *swaps, size_t count)
{
	int err = program_pin_beside(instance, programs);

	if (err)
		return err;
	err = swap_all(instance, programs, swaps, count);
	if (!err) {
		err = program_replace_pins(instance, programs);
		if (err)
			swap_back(instance, swaps, count);
	}
	program_discard_beside(instance, programs);
	return err;
}

/* In dispatchers the new program joins, then the old one leaves. */
static int upgrade_shared(const struct instance *instance, const struct store *store,
			  struct swap *swaps, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++) {
		const struct store_interface *row = swaps[i].row;
		struct netlink_link link = {.ifindex = row->ifindex};

		if (!(row->interface.flags & XDNAT_SHARED) || !attach_is_attached(instance, row))
			continue;
		strcpy(link.name, row->interface.name);
		err = attach_shared_add(instance, store, &link, row->interface.mode);
		swaps[i].is_done |= !err;
	}
	return err;
}

static int upgrade_rows(const struct instance *instance, const struct programs *programs,
			struct swap *swaps, size_t count)
{
	int err = swap_and_pin(instance, programs, swaps, count);

	for (size_t i = 0; i < count; i++)
		attach_programs_close(&swaps[i].before);
	return err;
}

int upgrade_to(const struct instance *instance, const struct store *store,
	       const struct programs *programs, upgrade_done *done, void *context)
{
	struct store_interface *rows = NULL;
	struct swap *swaps = NULL;
	size_t count = 0;
	int err = store_interfaces(store, &rows, &count);

	if (!err) {
		swaps = calloc(count + 1, sizeof(*swaps));
		err = swaps ? 0 : fail(-ENOMEM, "no memory");
	}
	for (size_t i = 0; !err && i < count; i++)
		swaps[i] = (struct swap){.row = &rows[i], .before = ATTACH_NO_PROGRAMS};
	if (!err)
		err = upgrade_rows(instance, programs, swaps, count);
	if (err)
		fail_while(err, "the programs were not replaced");
	if (!err)
		err = upgrade_shared(instance, store, swaps, count);
	for (size_t i = 0; !err && i < count; i++)
		if (swaps[i].is_done)
			done(swaps[i].row, context);
	free(swaps);
	free(rows);
	return err;
}

int upgrade_programs(const struct instance *instance, const struct store *store, upgrade_done *done,
		     void *context)
{
	struct programs *programs;
	int err = program_load(instance, store, &programs);

	if (err)
		return fail_while(err, "the programs were not replaced");
	err = upgrade_to(instance, store, programs, done, context);
	program_free(programs);
	return err;
}
