// SPDX-License-Identifier: GPL-2.0-only
/*
 * ethtool's legacy flag ioctls, which every driver still answers. Policy (which
 * interface needs what) is the caller's.
 */
#include "offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ethtool(const char *interface, void *command)
{
	struct ifreq request = {.ifr_data = command};
	int descriptor, err = 0;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return -errno;
	if (ioctl(descriptor, SIOCETHTOOL, &request))
		err = -errno;
	close(descriptor);
	return err;
}

static int get_flags(const char *interface, uint32_t *flags)
{
	struct ethtool_value value = {.cmd = ETHTOOL_GFLAGS};
	int err = ethtool(interface, &value);

	*flags = value.data;
	return err;
}

/* 1 if it had to be changed, 0 if it was so, -errno. */
static int set_rxvlan(const char *interface, bool on)
{
	struct ethtool_value value = {.cmd = ETHTOOL_SFLAGS};
	uint32_t flags;
	int err;

	err = get_flags(interface, &flags);
	if (err)
		return err;
	if (!!(flags & ETH_FLAG_RXVLAN) == on)
		return 0;
	value.data = flags ^ ETH_FLAG_RXVLAN;
	err = ethtool(interface, &value);
	if (err)
		return err;
	/* A driver may accept it and leave it as it was. */
	err = get_flags(interface, &flags);
	if (err)
		return err;
	return !!(flags & ETH_FLAG_RXVLAN) == on ? 1 : -EOPNOTSUPP;
}

int offload_rxvlan_off(const char *interface)
{
	return set_rxvlan(interface, false);
}

int offload_rxvlan_on(const char *interface)
{
	int changed = set_rxvlan(interface, true);

	return changed < 0 ? changed : 0;
}

bool offload_has_lro(const char *interface)
{
	uint32_t flags;

	return !get_flags(interface, &flags) && flags & ETH_FLAG_LRO;
}
