// SPDX-License-Identifier: GPL-2.0-only
#include "network.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

/* Run in the router; $client and $server are the namespaces' paths. */
static const char *const commands[] = {
	"sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.accept_dad=0 "
	"net.ipv6.conf.default.addr_gen_mode=1 net.ipv4.ip_forward=1 "
	"net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.forwarding=1",
	"ip link add wan address 02:00:00:00:01:01 type veth "
	"peer eth0 address 02:00:00:00:01:fe netns $client",
	"ip link add lan address 02:00:00:00:02:01 type veth "
	"peer eth0 address 02:00:00:00:02:05 netns $server",
	"ip link set wan up && ip link set lan up",
	"ip addr add 203.0.113.1/24 dev wan && ip addr add 10.0.0.1/24 dev lan",
	"ip addr add 2001:db8::1/64 dev wan nodad && ip addr add fd00::1/64 dev lan nodad",
	"ip neigh replace 203.0.113.254 lladdr 02:00:00:00:01:fe dev wan nud permanent",
	"ip neigh replace 2001:db8::fe lladdr 02:00:00:00:01:fe dev wan nud permanent",
	"ip neigh replace 10.0.0.5 lladdr 02:00:00:00:02:05 dev lan nud permanent",
	"ip neigh replace fd00::5 lladdr 02:00:00:00:02:05 dev lan nud permanent",
	"ip route add default via 203.0.113.254",
	"ip -6 route add default via 2001:db8::fe",
};

static const char *const end_commands[] = {
	[NETWORK_FRAMES] = "for space in $client $server; do nsenter --net=$space sh -c "
			   "'sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && ip link set eth0 up && "
			   "ethtool -K eth0 tx off txvlan off gro on >/dev/null'; done",
	[NETWORK_HOSTS] =
		"for space in $client $server; do nsenter --net=$space sh -c "
		"'sysctl -qw net.ipv6.conf.all.disable_ipv6=0 && ip link set eth0 up'; done && "
		"nsenter --net=$client sh -c 'ip addr add 203.0.113.254/24 dev eth0 && "
		"ip addr add 2001:db8::fe/64 dev eth0 nodad && ip route add default via "
		"203.0.113.1 && "
		"ip -6 route add default via 2001:db8::1' && "
		"nsenter --net=$server sh -c 'ip addr add 10.0.0.5/24 dev eth0 && "
		"ip addr add fd00::5/64 dev eth0 nodad && ip route add default via 10.0.0.1 && "
		"ip -6 route add default via fd00::1'",
};

int network_privacy(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
		return -errno;
	return 0;
}

static int space_make(int *space)
{
	if (unshare(CLONE_NEWNET))
		return -errno;
	*space = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return *space < 0 ? -errno : 0;
}

static void name_space(const char *variable, int space)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), space);
	setenv(variable, path, 1);
}

int network_enter(const struct network *network, int space)
{
	return setns(network->spaces[space], CLONE_NEWNET) ? -errno : 0;
}

int network_run(const struct network *network, int space, const char *command)
{
	int err = network_enter(network, space);

	if (err)
		return err;
	if (!system(command))
		return 0;
	fprintf(stderr, "it failed: %s\n", command);
	return -EIO;
}

static int find_interfaces(struct network *network)
{
	int err = network_enter(network, NETWORK_CLIENT);

	network->client = if_nametoindex("eth0");
	if (!err)
		err = network_enter(network, NETWORK_SERVER);
	network->server = if_nametoindex("eth0");
	if (!err)
		err = network_enter(network, NETWORK_ROUTER);
	network->wan = if_nametoindex("wan");
	network->lan = if_nametoindex("lan");
	return err;
}

int network_make(struct network *network, enum network_ends ends)
{
	int err = 0;

	for (int i = 0; !err && i < NETWORK_SPACES; i++)
		err = space_make(&network->spaces[i]);
	if (err)
		return err;
	name_space("client", network->spaces[NETWORK_CLIENT]);
	name_space("server", network->spaces[NETWORK_SERVER]);
	for (size_t i = 0; !err && i < sizeof(commands) / sizeof(*commands); i++)
		err = network_run(network, NETWORK_ROUTER, commands[i]);
	if (!err)
		err = network_run(network, NETWORK_ROUTER, end_commands[ends]);
	return err ? err : find_interfaces(network);
}
