// SPDX-License-Identifier: GPL-2.0-only
#include "rule_edit.h"

#include <errno.h>
#include <net/if.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "addr.h"
#include "ephemeral.h"
#include "fail.h"
#include "flow_end.h"
#include "host_port.h"
#include "interface.h"
#include "log.h"
#include "netlink.h"
#include "nexthop.h"
#include "problem.h"
#include "progress.h"
#include "target_side.h"

#define RESOLVE_MS 1000
/* Each costs questions to the kernel; `xdnat` shows the others' problems. */
#define RULES_JUDGED  64
#define WARNINGS_SAID 8

int rule_edit_begin(const struct instance *instance, struct rule_edit *edit)
{
	int err;

	*edit = (struct rule_edit){.instance = instance, .lock = -1};
	/* Before the lock, which a loaded instance has. */
	err = store_open(instance, &edit->store);
	if (err)
		return err;
	edit->lock = instance_lock(instance);
	if (edit->lock < 0)
		return edit->lock;
	/* Again: it may have been loaded anew while we waited for the lock. */
	store_close(edit->store);
	edit->store = NULL;
	err = store_open(instance, &edit->store);
	if (!err)
		err = interface_need_netns(instance, edit->store);
	if (!err)
		err = rule_set_read(edit->store, &edit->set);
	if (err)
		return err;
	edit->gone = calloc(edit->set.count + 1, sizeof(*edit->gone));
	return edit->gone ? 0 : fail(-ENOMEM, "no memory for %zu rules", edit->set.count);
}

static void release(struct rule_edit *edit)
{
	if (edit->lock >= 0)
		close(edit->lock);
	edit->lock = -1;
}

void rule_edit_end(struct rule_edit *edit)
{
	rule_change_free(&edit->change);
	free(edit->gone);
	rule_set_close(edit->store, &edit->set);
	release(edit);
}

/* What forbids a new rule, other rules apart. */
static int check_new(const struct spec *spec, bool force)
{
	uint16_t session_host = force || !spec->enabled ? 0 : host_port_of_session(spec);
	struct netlink_link link;

	if (spec->bind == SPEC_BIND_INTERFACE && !if_nametoindex(spec->bind_interface)) {
		int err = netlink_link(spec->bind_interface, &link);

		if (err)
			return err;
	}
	if (session_host)
		return fail(-EBUSY,
			    "port %u carries your own ssh session, which would end; add --force "
			    "to do it all the same",
			    session_host);
	return 0;
}

/* An address that no packet would ever have is a mistake, most likely of mode=. */
static int check_snat(const struct rule_wanted *wanted)
{
	static const struct xdnat_addr none;
	const struct spec *spec = &wanted->spec;
	int err;

	if (addr_equal(&spec->snat, &none) || spec->is_masqueraded || spec->has_hairpin)
		return 0;
	err = fail(-EINVAL, "snat= is for masqueraded flows: add mode=masquerade or hairpin=on");
	return wanted->line ? fail_while(err, "line %u", wanted->line) : err;
}

/* A rule that was in force before takes nothing from anybody. */
static int check_all(const struct rule_edit *edit, bool force)
{
	const struct rule_change *change = &edit->change;
	int err = 0;

	for (size_t i = 0; !err && i < change->added_count; i++)
		if (!change->was_enabled[i])
			err = check_new(&change->added[i].spec, force);
	return err;
}

static int compare_addrs(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct xdnat_addr));
}

/* The different targets of new rules, the first RULES_JUDGED of them. */
static size_t list_targets(const struct rule_change *change, struct xdnat_addr *targets)
{
	size_t count = 0;

	for (size_t i = 0; i < change->added_count && count < RULES_JUDGED; i++) {
		const struct spec *spec = &change->added[i].spec;

		if (spec->enabled && !spec->is_local &&
		    !lfind(&spec->target, targets, &count, sizeof(*targets), compare_addrs))
			targets[count++] = spec->target;
	}
	return count;
}

/* The first packet should find its next hop: all are asked for. Of more targets the
 * daemon sees to it. */
static void ask_for(const struct rule_edit *edit, const struct xdnat_addr *targets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int err = nexthop_ask(edit->store, &targets[i]);

		if (err && err != -EHOSTUNREACH)
			log_warning("cannot resolve the target's next hop: %s", fail_text());
	}
}

static void warn_of_service(const struct spec *spec)
{
	uint16_t port_host = host_port_of_service(spec);

	if (port_host)
		log_warning("a service of this host listens on port %u; clients from outside no "
			    "longer reach it",
			    port_host);
}

static bool has_any(const struct spec *spec, const struct spec_ports *ports)
{
	for (uint32_t port = ports->first_host; port <= ports->last_host; port++)
		if (spec_has_port(spec, (uint16_t)port))
			return true;
	return false;
}

/* "*" leaves them to this host, a range that names them does not: single ports of so many
 * are seldom met. */
static void warn_of_connections(const struct spec *spec)
{
	char reserved[EPHEMERAL_REMEDY_BYTES];
	struct spec_ports own, shared;

	if (spec->form == SPEC_EXACT || ephemeral_read(&own) ||
	    !ephemeral_meets(&own, &spec->ports))
		return;
	shared = ephemeral_shared(&own, &spec->ports);
	if (spec->form == SPEC_ANY)
		log_info("left to this host: what it listens on, and ports %u-%u, by which answers "
			 "to its own connections come in (net.ipv4.ip_local_port_range); a rule "
			 "that names such ports takes them",
			 own.first_host, own.last_host);
	else if (!has_any(spec, &shared))
		return;
	else if (ephemeral_remedy(&own, &spec->ports, reserved))
		log_warning("%u-%u has ports by which answers to this host's own connections come "
			    "in (net.ipv4.ip_local_port_range %u-%u); to keep them apart, type: "
			    "sysctl -w net.ipv4.ip_local_reserved_ports=%s",
			    spec->ports.first_host, spec->ports.last_host, own.first_host,
			    own.last_host, reserved);
	else
		log_warning("%u-%u has ports by which answers to this host's own connections come "
			    "in, more than can be kept apart; leave them out: except=%u-%u",
			    spec->ports.first_host, spec->ports.last_host, shared.first_host,
			    shared.last_host);
}

/* A file may have become empty by whatever makes it. */
static void warn_of_sources(const struct store_rule *rule, const struct store_sources *sources)
{
	if (*rule->spec.allow && !sources->allow.count)
		log_warning("rule %s admits nobody: there is no prefix in allow=%s",
			    rule->spec.name, rule->spec.allow);
}

/* What will keep new rules from working: said, not refused, since routes, addresses
 * and neighbours may come later. */
static void warn(const struct rule_edit *edit)
{
	const struct rule_change *change = &edit->change;
	json_t *problems = json_array();
	struct problem_view view = {};
	const json_t *problem;
	size_t i;

	if (problem_view_read(edit->store, &view)) {
		log_warning("cannot look for problems: %s", fail_text());
		goto out;
	}
	for (i = 0; i < change->added_count && i < RULES_JUDGED; i++) {
		if (!change->added[i].spec.enabled)
			continue;
		warn_of_sources(&change->added[i], &change->sources[i]);
		if (!change->was_enabled[i]) {
			warn_of_service(&change->added[i].spec);
			warn_of_connections(&change->added[i].spec);
		}
		problem_of_rule(&view, &change->added[i], problems);
	}
	json_array_foreach(problems, i, problem) if (i < WARNINGS_SAID)
		log_warning("%s", json_string_value(json_object_get(problem, "text")));
	if (json_array_size(problems) > WARNINGS_SAID)
		log_warning("and %zu more of that kind; see them: xdnat",
			    json_array_size(problems) - WARNINGS_SAID);
out:
	json_decref(problems);
	problem_view_free(&view);
}

static int compare_words(const void *left, const void *right)
{
	const uint32_t *l = left, *r = right;

	return (*l > *r) - (*l < *r);
}

static int kill_flows(struct rule_edit *edit, uint32_t named)
{
	const struct rule_change *change = &edit->change;
	uint32_t *ids = calloc(change->removed_count + 1, sizeof(*ids));
	size_t count = 0;
	int err;

	if (!ids)
		return fail(-ENOMEM, "no memory");
	for (size_t i = 0; i < change->removed_count; i++)
		ids[count++] = change->removed[i].id;
	if (named && !lfind(&named, ids, &count, sizeof(*ids), compare_words))
		ids[count++] = named;
	qsort(ids, count, sizeof(*ids), compare_words);
	err = flow_end_of_rules(edit->store, ids, count, &edit->ended);
	free(ids);
	return err ? fail_while(err, "the rules have changed, but not all of their flows could be "
				     "ended")
		   : 0;
}

int rule_edit_apply(struct rule_edit *edit, const struct rule_wanted *wanted, size_t count,
		    const struct rule_edit_options *options)
{
	struct xdnat_addr targets[RULES_JUDGED];
	size_t target_count = 0;
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = check_snat(&wanted[i]);
	if (err)
		return err;
	progress_begin("changing the rules");
	err = rule_plan(&edit->set, edit->gone, wanted, count, &edit->change);
	if (!err)
		err = rule_change_read_sources(&edit->change);
	if (!err)
		err = check_all(edit, options->force);
	if (!err) {
		target_count = list_targets(&edit->change, targets);
		ask_for(edit, targets, target_count);
		if (target_side_add(edit->instance, edit->store, edit->change.added,
				    edit->change.added_count))
			log_warning("%s", fail_text());
		err = rule_change_apply(edit->instance, edit->store, &edit->set, &edit->change);
		edit->is_committed = !err;
	}
	if (!err && options->kill_flows)
		err = kill_flows(edit, options->named);
	progress_end();
	if (err)
		return err;
	release(edit); /* others need not wait for answers */
	nexthop_await(targets, target_count, RESOLVE_MS);
	warn(edit);
	return 0;
}
