// SPDX-License-Identifier: GPL-2.0-only
/*
 * xdnatd: the loop that owns the duties, each in a file of its own: interfaces stay
 * attached, listeners follow addresses, neighbours stay resolved, masquerading follows
 * routes and the host's own ports, expired flows are freed. It decides when, never how.
 * Packets flow without it for now; no duty's error ends it, and it waits for nobody.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon.h"
#include "destination.h"
#include "fail.h"
#include "follow.h"
#include "instance.h"
#include "listener.h"
#include "log.h"
#include "netlink.h"
#include "nexthop.h"
#include "port_bits.h"
#include "snat.h"
#include "store.h"
#include "sweep.h"
#include "target_side.h"

/* Announcements come in bunches (an address brings its routes along). */
#define DEBOUNCE_MS 50
#define SECOND_MS   1000
#define ROUND_SEC   5
/* Neighbours out of turn: at most a tenth of the time, as a round may be long and locks. */
#define NEIGHBOURS_PAUSE_MS 250
#define NEIGHBOURS_SHARE    9
#define PROBLEM_BYTES	    256

struct daemon;

struct duty {
	const char *what;
	int (*run)(struct daemon *daemon);
	bool is_due;
	char problem[PROBLEM_BYTES]; /* what was last logged; "" while it works */
};

/* In this order: listeners are those of the interfaces that are attached. */
enum { DUTY_INTERFACES, DUTY_LISTENERS, DUTY_NEIGHBOURS, DUTY_MASQUERADE, DUTY_SWEEP, DUTY_MAX };

struct daemon {
	struct instance instance;
	struct store *store;
	struct follow follow;
	struct stat pins;     /* of pin_dir, to see that it is still the same */
	struct stat programs; /* of one of their pins, to see when they are replaced */
	struct netlink_events *announcements;
	bool routes_changed;
	bool neighbours_wanted; /* a round out of turn, from neighbours_next_ms on */
	uint64_t neighbours_next_ms;
	uint32_t generation;  /* of the rules that neighbours were last kept for */
	uint64_t missed_pkts; /* to_tc_neighbour, when last looked at */
	struct port_bits_watch ports;
	unsigned int seconds;
	struct duty duties[DUTY_MAX];
	uv_loop_t loop;
	uv_poll_t events;
	uv_timer_t debounce, second;
	uv_signal_t terminate, interrupt;
};

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Its routes and neighbours went with the interface that was there before. */
static int keep_interfaces(struct daemon *daemon)
{
	int attached = follow_attach(&daemon->follow, &daemon->instance, daemon->store);

	if (attached <= 0)
		return attached;
	daemon->routes_changed = true;
	daemon->duties[DUTY_LISTENERS].is_due = true;
	daemon->duties[DUTY_NEIGHBOURS].is_due = true;
	return 0;
}

static int keep_listeners(struct daemon *daemon)
{
	int lock, err;

	lock = instance_try_lock(&daemon->instance);
	if (lock < 0)
		return lock;
	err = follow_interfaces(&daemon->instance, daemon->store);
	if (!err)
		err = listener_sync(daemon->store);
	close(lock);
	return err;
}

/* Under the lock: a command that adds a rule resolves its target first. */
static int keep_neighbours(struct daemon *daemon)
{
	uint64_t started_ms = now_ms(), pause_ms;
	struct xdnat_config config;
	int lock, err;

	lock = instance_try_lock(&daemon->instance);
	if (lock < 0)
		return lock;
	if (daemon->routes_changed)
		destination_forget();
	daemon->routes_changed = false;
	daemon->neighbours_wanted = false;
	err = store_config(daemon->store, &config);
	if (!err)
		err = nexthop_sync(daemon->store);
	if (!err)
		err = target_side_sync(&daemon->instance, daemon->store);
	if (!err)
		daemon->generation = config.generation;
	close(lock);
	pause_ms = NEIGHBOURS_SHARE * (now_ms() - started_ms);
	daemon->neighbours_next_ms =
		now_ms() + (pause_ms > NEIGHBOURS_PAUSE_MS ? pause_ms : NEIGHBOURS_PAUSE_MS);
	return err;
}

static int keep_masquerade(struct daemon *daemon)
{
	int lock = instance_try_lock(&daemon->instance), err;

	if (lock < 0)
		return lock;
	err = snat_follow(daemon->store);
	close(lock);
	return err;
}

/* 1: there is more; the next second goes on. Ports of no flow any more are foreign. */
static int sweep(struct daemon *daemon)
{
	uint64_t freed;
	int err = sweep_flows(daemon->store, &freed);

	return err ? err : port_bits_follow(&daemon->instance, daemon->store, &daemon->ports);
}

/* Once for every change, so that a lasting error does not fill the log. */
static void report(struct duty *duty, int err)
{
	if (err >= 0) {
		if (*duty->problem)
			log_info("%s: works again", duty->what);
		*duty->problem = '\0';
		return;
	}
	if (!strncmp(duty->problem, fail_text(), PROBLEM_BYTES - 1))
		return;
	snprintf(duty->problem, PROBLEM_BYTES, "%s", fail_text());
	log_warning("%s: %s", duty->what, duty->problem);
}

static bool is_loaded(const struct daemon *daemon)
{
	struct stat pins;

	return !stat(daemon->instance.pin_dir, &pins) && pins.st_dev == daemon->pins.st_dev &&
	       pins.st_ino == daemon->pins.st_ino;
}

/* The pin of the program that the sweep runs. */
static int stat_programs(const struct daemon *daemon, struct stat *programs)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/xdnat_flow_end", daemon->instance.pin_dir);
	return stat(path, programs);
}

/* `load` has replaced the programs: the old ones would do, but never go. */
static void follow_programs(struct daemon *daemon)
{
	struct stat programs;
	struct store *store;

	if (stat_programs(daemon, &programs) || programs.st_ino == daemon->programs.st_ino)
		return;
	if (store_open(&daemon->instance, &store)) {
		log_warning("the programs were replaced: %s", fail_text());
		return;
	}
	store_close(daemon->store);
	daemon->store = store;
	daemon->programs = programs;
}

static void on_debounce(uv_timer_t *timer);

static void run_soon(struct daemon *daemon)
{
	if (!uv_is_active((uv_handle_t *)&daemon->debounce))
		uv_timer_start(&daemon->debounce, on_debounce, DEBOUNCE_MS, 0);
}

/* What could not have the lock is tried again soon. */
static void run_due(struct daemon *daemon)
{
	follow_programs(daemon);
	for (int i = 0; i < DUTY_MAX; i++) {
		struct duty *duty = &daemon->duties[i];
		int err;

		if (!duty->is_due)
			continue;
		err = duty->run(daemon);
		duty->is_due = err == -EWOULDBLOCK || err > 0;
		if (err == -EWOULDBLOCK)
			run_soon(daemon);
		else if (is_loaded(daemon))
			report(duty, err);
	}
}

static void on_debounce(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	if (daemon->neighbours_wanted && now_ms() >= daemon->neighbours_next_ms)
		daemon->duties[DUTY_NEIGHBOURS].is_due = true;
	run_due(daemon);
	if (daemon->neighbours_wanted)
		run_soon(daemon);
}

/* A next hop was not resolved since the last look: of a new flow, perhaps. */
static bool neighbour_was_missed(struct daemon *daemon)
{
	struct store_counters counters;
	uint64_t before = daemon->missed_pkts;

	if (store_counters(daemon->store, &counters))
		return false;
	daemon->missed_pkts = store_reason_pkts(&counters, XDNAT_HAND_ON_NEIGHBOUR);
	return daemon->missed_pkts != before;
}

static bool rules_have_changed(const struct daemon *daemon)
{
	struct xdnat_config config;

	return !store_config(daemon->store, &config) && config.generation != daemon->generation;
}

/* Listeners are looked at, too: nobody misses an announcement for longer. */
static void start_round(struct daemon *daemon)
{
	for (int i = 0; i < DUTY_MAX; i++)
		daemon->duties[i].is_due = true;
}

static void on_second(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	if (!is_loaded(daemon)) {
		log_info("instance %s was unloaded", daemon->instance.name);
		uv_stop(&daemon->loop);
		return;
	}
	if (neighbour_was_missed(daemon) || rules_have_changed(daemon)) {
		daemon->neighbours_wanted = true;
		run_soon(daemon);
	}
	daemon->duties[DUTY_INTERFACES].is_due = true;
	if (++daemon->seconds % ROUND_SEC == 0)
		start_round(daemon);
	run_due(daemon);
}

/* After an error (ENOBUFS, which the drain has taken) libuv no longer watches. */
static void on_event(uv_poll_t *poll, int status, int events)
{
	struct daemon *daemon = poll->data;
	unsigned int changes = netlink_events_drain(daemon->announcements, nexthop_is_kept);

	(void)events;
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_event);
	if (changes & NETLINK_CHANGED_ADDRESSES) {
		daemon->duties[DUTY_INTERFACES].is_due = true;
		daemon->duties[DUTY_LISTENERS].is_due = true;
	}
	if (changes & NETLINK_CHANGED_FILTERS)
		daemon->duties[DUTY_INTERFACES].is_due = true;
	if (changes & NETLINK_CHANGED_ROUTES)
		daemon->routes_changed = true;
	if (changes & (NETLINK_CHANGED_ROUTES | NETLINK_LOST_NEIGHBOUR))
		daemon->neighbours_wanted = true;
	if (changes & (NETLINK_CHANGED_ADDRESSES | NETLINK_CHANGED_ROUTES))
		daemon->duties[DUTY_MASQUERADE].is_due = true;
	if (changes)
		run_soon(daemon);
}

static void on_signal(uv_signal_t *handle, int signal)
{
	(void)signal;
	uv_stop(handle->loop);
}

/* Everything that may refuse: after this it is this instance's daemon. */
static int start(struct daemon *daemon)
{
	int events, err;

	stat_programs(daemon, &daemon->programs); /* first: a later change is seen */
	err = store_open(&daemon->instance, &daemon->store);
	if (!err)
		err = store_need_netns(daemon->store);
	if (!err && stat(daemon->instance.pin_dir, &daemon->pins))
		err = fail(-errno, "%s: %s", daemon->instance.pin_dir, strerror(errno));
	if (!err)
		err = instance_become_daemon(&daemon->instance);
	if (err)
		return err;
	events = netlink_events_open(&daemon->announcements);
	if (events < 0)
		return events;
	err = uv_poll_init(&daemon->loop, &daemon->events, events);
	return err ? fail(err, "cannot watch the network: %s", uv_strerror(err)) : 0;
}

static void start_timers_and_signals(struct daemon *daemon)
{
	daemon->events.data = daemon;
	uv_poll_start(&daemon->events, UV_READABLE, on_event);
	uv_timer_init(&daemon->loop, &daemon->debounce);
	daemon->debounce.data = daemon;
	uv_timer_init(&daemon->loop, &daemon->second);
	daemon->second.data = daemon;
	uv_timer_start(&daemon->second, on_second, SECOND_MS, SECOND_MS);
	uv_signal_init(&daemon->loop, &daemon->terminate);
	uv_signal_start(&daemon->terminate, on_signal, SIGTERM);
	uv_signal_init(&daemon->loop, &daemon->interrupt);
	uv_signal_start(&daemon->interrupt, on_signal, SIGINT);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

static int run(struct daemon *daemon, int ready)
{
	int err;

	daemon->duties[DUTY_INTERFACES] = (struct duty){"interfaces", keep_interfaces, true, ""};
	daemon->duties[DUTY_LISTENERS] = (struct duty){"listeners", keep_listeners, true, ""};
	daemon->duties[DUTY_NEIGHBOURS] = (struct duty){"neighbours", keep_neighbours, true, ""};
	daemon->duties[DUTY_MASQUERADE] = (struct duty){"masquerade", keep_masquerade, true, ""};
	daemon->duties[DUTY_SWEEP] = (struct duty){"sweep", sweep, false, ""};
	err = uv_loop_init(&daemon->loop);
	if (err)
		fail(err, "cannot make the event loop: %s", uv_strerror(err));
	else
		err = start(daemon);
	if (err) {
		daemon_tell_starter(ready, fail_text());
		goto out;
	}
	start_timers_and_signals(daemon);
	run_due(daemon);
	daemon_tell_starter(ready, "");
	uv_run(&daemon->loop, UV_RUN_DEFAULT);
out:
	instance_end_daemon(&daemon->instance);
	netlink_events_close(daemon->announcements);
	follow_forget(&daemon->follow);
	store_close(daemon->store);
	return err;
}

int daemon_run(const struct instance *instance, int ready)
{
	static struct daemon daemon;

	daemon.instance = *instance;
	return run(&daemon, ready);
}

void daemon_tell_starter(int ready, const char *problem)
{
	if (ready < 0)
		return;
	dprintf(ready, "%s\n", problem);
	close(ready);
}
