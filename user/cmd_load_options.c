// SPDX-License-Identifier: GPL-2.0-only
#include "cmd_load_options.h"

#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "fail.h"

#define FLOWS_MAX   16777216
#define CONFIRM_MAX 86400

struct cmd_load_wish cmd_load_wish;

const struct opt cmd_load_options[] = {
	{.name = "mode",
	 .type = OPT_CHOICE,
	 .value = "auto|native|generic|tc",
	 .text = &cmd_load_wish.mode,
	 .help = "auto (default): native where the driver has it and packets come whole, else tc; "
		 "native: XDP in the driver; generic: XDP after it, slower; tc: filters only, "
		 "any device"},
	{.name = "flows",
	 .type = OPT_NUMBER,
	 .value = "N",
	 .number = &cmd_load_wish.flows,
	 .low = 64,
	 .high = FLOWS_MAX,
	 .help = "room for N flows of IPv4 and N of IPv6 (default 262144, less below 2 GiB of "
		 "RAM)"},
	{.name = "confirm",
	 .type = OPT_NUMBER,
	 .value = "SECONDS",
	 .number = &cmd_load_wish.confirm_sec,
	 .low = 1,
	 .high = CONFIRM_MAX,
	 .help = "undo this load unless 'xdnat confirm' comes within SECONDS"},
	{.name = "no-daemon",
	 .type = OPT_FLAG,
	 .flag = &cmd_load_wish.no_daemon,
	 .help = "do not start xdnatd: addresses, neighbours and expiry are then not looked after"},
	{.name = "shared",
	 .type = OPT_FLAG,
	 .flag = &cmd_load_wish.shared,
	 .help = "beside other XDP programs, in libxdp's dispatcher"},
	{.name = "snat-ports",
	 .type = OPT_TEXT,
	 .value = "A-B",
	 .text = &cmd_load_wish.snat_ports,
	 .help = "masquerade from these ports (default 1024-65535 without those that this host "
		 "uses itself)"},
	{},
};

int cmd_load_check(bool is_for_all, struct snat_range *snat_ports)
{
	if (geteuid())
		return fail(-EPERM, "load needs root (CAP_BPF and CAP_NET_ADMIN)");
	if (cmd_load_wish.shared && cmd_load_wish.mode && !strcmp(cmd_load_wish.mode, "tc"))
		return fail(-EUSAGE,
			    "--shared is about XDP programs, and --mode tc has none; leave "
			    "one of them away");
	if (cmd_load_wish.shared && is_for_all)
		return fail(-EUSAGE, "--shared is for interfaces that are loaded now; name them");
	return cmd_load_wish.snat_ports ? snat_range_parse(cmd_load_wish.snat_ports, snat_ports)
					: 0;
}

int cmd_load_check_flows(const struct xdnat_config *config)
{
	if (!cmd_load_wish.flows || cmd_load_wish.flows == config->flows)
		return 0;
	return fail(-EEXIST,
		    "this instance has room for %u flows and keeps it while it is loaded; "
		    "leave --flows away, or type: xdnat unload --all",
		    config->flows);
}
