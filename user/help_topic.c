// SPDX-License-Identifier: GPL-2.0-only
#include "help_topic.h"

#include <stddef.h>

#include "xdnat_abi.h"

static const char grammar_text[] =
	"A rule says where clients connect and where that goes, left to right:\n"
	"\n"
	"  [ADDRESS:]PORTS:TARGET[:TARGET-PORTS][/PROTOCOL] [KEY=VALUE...]\n"
	"\n"
	"  80:10.0.0.5                        port 80 of this host to 10.0.0.5, port 80\n"
	"  8080:10.0.0.5:80                   port 8080 to port 80 of 10.0.0.5\n"
	"  203.0.113.7:8080:10.0.0.5:80       only at this address of the host\n"
	"  eth0:8080:10.0.0.5:80              at the addresses of eth0, as they change\n"
	"  '*:8080:10.0.0.5:80'               at the addresses of all loaded interfaces\n"
	"  53:10.0.0.6/udp                    UDP; without /udp a rule is for TCP\n"
	"  53:10.0.0.6/tcp+udp                both, as one rule\n"
	"  30000-30099:10.0.0.7/udp           a range of ports, to the same ports\n"
	"  30000-30099:10.0.0.7:40000-40099   to as many others, the first to the first\n"
	"  30000-30099:10.0.0.7:53/udp        all to one port\n"
	"  '*:10.0.0.9/tcp+udp'               all ports but this host's own (see below)\n"
	"  '*:10.0.0.9' except=443,8000-8010  all but those and these\n"
	"  203.0.113.7:*:10.0.0.9             all of one address\n"
	"  8080:local:80                      to port 80 of this host itself\n"
	"  '[2001:db8::7]:443:[fd00::5]:8443'  IPv6 stands in brackets (quote them)\n"
	"  80:10.0.0.5 name=web               keys come after the rule: xdnat help keys\n"
	"\n"
	"Without ADDRESS a rule holds for the loaded interfaces that have a default\n"
	"route, or for all loaded ones if none has. Family follows the target; a local\n"
	"rule without ADDRESS holds for IPv4 and IPv6.\n"
	"\n"
	"Where rules meet: those with ADDRESS first, then one port before a range before\n"
	"all (*). Two of one kind that have a port in common are refused; except= leaves\n"
	"a port to the other. A client that a rule does not admit has the next one.\n"
	"\n"
	"* leaves to this host what it listens on, as sockets come and go (seen within 5\n"
	"seconds), and the ports by which answers to its own connections come in (sysctl\n"
	"net.ipv4.ip_local_port_range, most often 32768-60999). A rule that names such\n"
	"ports, 80 or 1-65535, takes them: of a service, and of a range that meets those\n"
	"ports, `rule add` warns. Where this host masquerades other hosts with nft, keep\n"
	"their answers in that range, too, or * takes them: masquerade to :32768-60999\n"
	"\n"
	"local: the address stays what it is, the port changes. Services that listen on\n"
	"127.0.0.1 only are out of reach.\n"
	"\n"
	"This host as a client of its own listener is not forwarded, whatever the rule:\n"
	"its packets never arrive on an interface. Connect to the target itself.\n"
	"\n"
	"`rule add -` and `rule replace -` read such rules from standard input, one a\n"
	"line; empty lines and lines that begin with # are left out. All of them come\n"
	"into force at once, or, if one is wrong, none. `rule list --format rules` writes\n"
	"them. `rule replace NAME RULE` keeps the name, unless name= is given, and no\n"
	"other key.\n";

static const char keys_text[] =
	"Behind the rule, in any order:\n"
	"\n"
	"  80:10.0.0.5 name=web               else it is named by its listener: 80/tcp\n"
	"  80:10.0.0.5 comment='the shop'\n"
	"  80:10.0.0.5 enabled=no             kept, but as if it were not there\n"
	"  20-30:10.0.0.5 except=22,25-26     ranges and *: these ports are not its own\n"
	"  80:10.0.0.5 allow=192.0.2.0/24,198.51.100.7   only for clients from there\n"
	"  80:10.0.0.5 deny=192.0.2.66        not for those (xdnat help sources)\n"
	"  80:10.0.0.5 deny=@/etc/xdnat/blocklist   not for those in the file\n"
	"  443:10.0.0.5 mss=auto              TCP: segments fit the MTU of both ways\n"
	"  443:10.0.0.5 mss=1360              or this (IPv4 from 536, IPv6 from 1220)\n"
	"  27015:192.0.2.20/udp mode=masquerade   the target sees this host, answers it\n"
	"  80:10.0.0.6 mode=masquerade snat=10.0.0.1   with this address of the host\n"
	"  443:10.0.0.5 hairpin=on            masquerades clients in the target's network\n"
	"\n"
	"mode=preserve, hairpin=off and mss=off are what holds without the key. mss=\n"
	"lowers what SYNs announce; it never raises it and adds none. Masqueraded flows\n"
	"keep their client's port if that is free, else they get another one; from which\n"
	"ports:\n"
	"  xdnat load --snat-ports 20000-29999\n";

static const char sources_text[] =
	"allow= and deny= say whose new connections a rule takes. A client is admitted if\n"
	"there is no allow=, or a prefix of it holds the client's address, and no prefix\n"
	"of deny= does. To others it is as if the rule were not there: a less specific\n"
	"rule or this host itself has their packets. Connections that exist go on until\n"
	"they end; to end them at once: xdnat flow kill src=ADDR\n"
	"\n"
	"  allow=192.0.2.0/24,198.51.100.7   prefixes or addresses of the rule's family\n"
	"  allow=@/etc/xdnat/office          those in a file, one a line; empty lines and\n"
	"                                    what follows # are left out\n"
	"\n"
	"A file may hold many thousands; that makes no connection slower. It is read when\n"
	"its rule is added, replaced or enabled. When it has changed, type:\n"
	"  xdnat rule enable NAME\n"
	"which puts the new list in force at one blow. `rule add` of a rule that is there\n"
	"does not read it. If it cannot be read, or a line is wrong, nothing changes: the\n"
	"rule keeps the list that is in force (exit code 6; file and line are named). An\n"
	"empty file is a list of nobody.\n";

static const char modes_text[] =
	"Every loaded interface has two tc filters, and so has, by itself, every\n"
	"interface that a target's route leads to. --mode says what stands in front of\n"
	"them:\n"
	"\n"
	"  auto     native where the driver has it and packets arrive whole, else tc: on\n"
	"           veth, bridge, tun, tap, VLAN devices, WireGuard, ppp, and where the\n"
	"           driver refuses native\n"
	"  native   XDP in the driver: the fastest\n"
	"  generic  XDP behind the driver: any driver, slower; only when asked for\n"
	"  tc       the filters alone: any device, also without Ethernet headers\n"
	"\n"
	"  xdnat load eth0                    says what it chose, and why\n"
	"  xdnat load eth1 --mode tc          two interfaces may differ\n"
	"  xdnat load eth0 --shared           beside other XDP programs, in a dispatcher\n"
	"\n"
	"What XDP cannot send itself (the next hop is not resolved, the way out is a\n"
	"bridge or a tunnel) it hands on to tc: `xdnat stats` calls it handed on.\n"
	"What tc forwards passes its filter on the way out, too: at egress it is counted\n"
	"once more, as passed, translated.\n"
	"tcpdump does not see what XDP forwards; what tc forwards it sees.\n"
	"Somebody who deletes clsact or a filter gets it back from xdnatd, within two\n"
	"seconds. Until then XDP goes on forwarding, and what it hands on reaches nobody:\n"
	"this host never answers it. In tc mode this host itself answers meanwhile, as if\n"
	"xdnat were not there.\n";

static const char layouts_text[] =
	"Router: clients come in by eth0, targets have this host as their gateway. They\n"
	"see the clients' own addresses.\n"
	"  xdnat load eth0 eth1\n"
	"  xdnat rule add 8080:10.0.0.5:80\n"
	"\n"
	"Relay with one interface, a VPS in front of a game server: answers must come\n"
	"back through it, so the target sees the relay. mss= where the way there is\n"
	"narrower.\n"
	"  xdnat load eth0\n"
	"  xdnat rule add 27015:198.51.100.20/udp mode=masquerade\n"
	"  xdnat rule add 443:198.51.100.20 mode=masquerade mss=auto\n"
	"\n"
	"Clients in the target's own network that use the public address (hairpin): load\n"
	"their interface, too. Clients from outside are not masqueraded.\n"
	"  xdnat rule add '*:443:10.0.0.5' hairpin=on\n"
	"\n"
	"docker: to a container's own address, with the network's bridge as its gateway.\n"
	"docker0 needs no load; docker's nft rules stay and are not asked. Give the\n"
	"container a fixed address (--ip), and do not publish the same port with -p.\n"
	"  xdnat rule add 8081:172.17.0.2:80\n"
	"\n"
	"WireGuard, other tunnels: load eth0 only, the tunnel gets its filters by itself.\n"
	"The peer's AllowedIPs must hold the clients (0.0.0.0/0), else mode=masquerade.\n"
	"  xdnat rule add 25565:10.8.0.2 mss=auto\n"
	"\n"
	"This host's own services, at another port, for clients from outside:\n"
	"  xdnat rule add 2222:local:22\n"
	"\n"
	"Leak guard: what would leave, by an interface that clients come in by, from a\n"
	"private address and port that a rule sends to, and belongs to no flow, is\n"
	"dropped: `xdnat stats` counts it as leak. It is a target's answer to a flow that\n"
	"has ended. So clients there cannot talk to that port of the target directly,\n"
	"past its rule; other ports, and targets with global addresses, are let alone.\n";

static const char filter_text[] =
	"Words that must all hold; none: every flow.\n"
	"\n"
	"  src=ADDR[:PORT]   the client\n"
	"  dst=ADDR[:PORT]   the listener or the target\n"
	"  rule=NAME         made by this rule\n"
	"  proto=tcp|udp\n"
	"  state=WORD        embryo       the target has not answered yet or has refused:\n"
	"                                 a RST, or an ICMP error, is no answer\n"
	"                    half-open    TCP: answered, the client has not gone on\n"
	"                    established  TCP: both have\n"
	"                    answered     UDP: answered; as a filter also established TCP\n"
	"                    closing      TCP: a FIN or RST has passed\n"
	"\n"
	"`flow list` shows \"-\" as RULE where the rule has been deleted or replaced since;\n"
	"such flows go on.\n";

static const char exit_text[] =
	"  0  done, or it was so already\n"
	"  1  failed\n"
	"  2  the command line is wrong\n"
	"  3  xdnat is not loaded (`unload` then has nothing to take off)\n"
	"  4  no such rule, flow or interface\n"
	"  5  conflict: port taken, another XDP program, another network namespace\n"
	"  6  invalid rule or configuration; nothing was changed\n"
	"  7  not permitted, or the kernel lacks a feature\n";

static const char files_text[] =
	"  " XDNAT_PIN_ROOT "/INSTANCE/       programs and maps: all that forwarding needs\n"
	"  " XDNAT_RUN_ROOT "/INSTANCE/xdnatd.pid    the daemon's process\n"
	"  " XDNAT_RUN_ROOT "/INSTANCE/rules         the live rules, one a line\n"
	"\n"
	"Nothing of it survives a reboot, and 'xdnat unload --all' removes it.\n";

static const char json_text[] =
	"With --json every command that prints data prints one object on stdout, and\n"
	"'flow list' one object a line (JSON Lines). What is said to people stays on\n"
	"stderr.\n"
	"\n"
	"  {\"version\": 1, \"kind\": \"flow_count\", \"count\": 3}\n"
	"  {\"version\":1,\"kind\":\"error\",\"exit_code\":3,\"error\":\"xdnat is not...\"}\n"
	"\n"
	"kind says which object it is. A command that fails prints an object of the kind\n"
	"error, at last; its exit_code is the command's. Within version 1 members keep\n"
	"name, type and meaning, and are there whether or not they have something to say\n"
	"(null, empty); later versions of xdnat may add members, kinds and words (of\n"
	"states, reasons, problems): ignore what you do not know. Numbers are whole:\n"
	"bytes, packets, seconds (_sec).\n"
	"\n"
	"The JSON Schema, xdnat.schema.json, is installed in share/xdnat beside\n"
	"sbin/xdnat.\n";

const struct help_topic help_topics[] = {
	{"grammar", "how a rule is written, by example", grammar_text},
	{"keys", "what a rule can say besides, by example", keys_text},
	{"sources", "allow= and deny=, lists in files", sources_text},
	{"layouts", "router, relay, hairpin, docker, tunnel, local", layouts_text},
	{"modes", "XDP and tc", modes_text},
	{"filter", "how flows are chosen", filter_text},
	{"exit", "exit codes", exit_text},
	{"json", "what --json prints", json_text},
	{"files", "what is where", files_text},
	{},
};
