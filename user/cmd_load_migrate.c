// SPDX-License-Identifier: GPL-2.0-only
#include "cmd_load_migrate.h"

#include <inttypes.h>

#include "cmd_load_options.h"
#include "confirm.h"
#include "log.h"
#include "migrate.h"
#include "store.h"

int cmd_load_migrate(const struct instance *instance)
{
	bool had_daemon = instance_daemon(instance);
	struct xdnat_config config;
	uint64_t flows;
	int err = confirm_need_none(instance); /* it would be undone by the earlier version */

	if (!err)
		err = migrate_config(instance, &config);
	if (!err)
		err = store_need_netns_cookie(config.netns_cookie);
	if (!err)
		err = cmd_load_check_flows(&config);
	if (!err)
		err = migrate(instance, &flows);
	if (err)
		return err;
	log_info("upgraded from the version with ABI %d: %" PRIu64 " flow%s taken along",
		 INSTANCE_ABI_OLDER, flows, flows == 1 ? "" : "s");
	if (had_daemon && cmd_load_wish.no_daemon)
		log_warning("the daemon of the earlier version was stopped; for another type: "
			    "xdnat load");
	return 0;
}
