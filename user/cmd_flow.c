// SPDX-License-Identifier: GPL-2.0-only
/*
 * flow list, count and flush. Flows are printed as they are read: a full table
 * takes no more memory than an empty one.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>

#include "addr.h"
#include "cmd.h"
#include "fail.h"
#include "flow_end.h"
#include "flow_filter.h"
#include "interface.h"
#include "log.h"
#include "out.h"
#include "rule_set.h"
#include "store.h"

static bool flush_yes;

const struct opt cmd_flow_flush_options[] = {
	{.name = "yes", .type = OPT_FLAG, .flag = &flush_yes, .help = "do not ask"},
	{},
};

/* What goes through all flows carries along. */
struct walk {
	struct store *store;
	struct rule_set set;
	struct flow_filter filter;
	bool json;
	uint64_t count;
};

static int walk_begin(const struct cmd_context *context, const char *const *words, size_t count,
		      struct walk *walk)
{
	int err;

	walk->json = context->json;
	err = rule_set_open(&context->instance, &walk->store, &walk->set);
	if (err)
		return err;
	return flow_filter_parse(words, count, &walk->set, &walk->filter);
}

static void walk_end(struct walk *walk)
{
	rule_set_close(walk->store, &walk->set);
}

/* An expired flow translates nothing any more; it only waits to be freed. */
static bool is_wanted(const struct walk *walk, const struct store_flow *flow)
{
	return !flow->expired && flow_filter_matches(&walk->filter, flow);
}

static uint32_t left_sec(const struct store_flow *flow)
{
	return flow->life_sec > flow->idle_sec ? flow->life_sec - flow->idle_sec : 0;
}

static const char *proto_name(const struct store_flow *flow)
{
	return flow->proto == IPPROTO_UDP ? "udp" : "tcp";
}

/* NULL if the rule was deleted: its flows go on. */
static const char *rule_name(const struct walk *walk, const struct store_flow *flow)
{
	const struct store_rule *rule = rule_set_find(&walk->set, flow->rule);

	return rule ? rule->spec.name : NULL;
}

static void put_end(json_t *record, const char *addr_key, const char *port_key,
		    const struct xdnat_addr *addr, uint16_t port_host)
{
	char text[ADDR_TEXT_BYTES];

	json_object_set_new(record, addr_key, json_string(addr_format(addr, false, text)));
	json_object_set_new(record, port_key, json_integer(port_host));
}

static int print_json(const struct walk *walk, const struct store_flow *flow)
{
	const char *rule = rule_name(walk, flow);
	json_t *record = out_document("flow");

	json_object_set_new(record, "proto", json_string(proto_name(flow)));
	put_end(record, "client", "client_port", &flow->client, flow->client_port_host);
	put_end(record, "listener", "listener_port", &flow->listener, flow->listener_port_host);
	put_end(record, "target", "target_port", &flow->target, flow->target_port_host);
	json_object_set_new(record, "state", json_string(flow_state(flow)));
	json_object_set_new(record, "idle_sec", json_integer(flow->idle_sec));
	json_object_set_new(record, "left_sec", json_integer(left_sec(flow)));
	json_object_set_new(record, "packets_original",
			    json_integer(flow->packets[XDNAT_ORIGINAL]));
	json_object_set_new(record, "packets_reply", json_integer(flow->packets[XDNAT_REPLY]));
	json_object_set_new(record, "bytes_original", json_integer(flow->bytes[XDNAT_ORIGINAL]));
	json_object_set_new(record, "bytes_reply", json_integer(flow->bytes[XDNAT_REPLY]));
	json_object_set_new(record, "rule", rule ? json_string(rule) : json_null());
	return out_json(record, true);
}

static const char *end_text(const struct xdnat_addr *addr, uint16_t port_host, char *text,
			    size_t size)
{
	char bare[ADDR_TEXT_BYTES];

	snprintf(text, size, "%s:%u", addr_format(addr, true, bare), port_host);
	return text;
}

/* Fixed widths that hold IPv4; what is longer pushes its own line only. */
#define TITLE_FORMAT "%-5s %-21s %-21s %-21s %-11s %5s %5s %8s %9s %s"
#define ROW_FORMAT   "%-5s %-21s %-21s %-21s %-11s %5" PRIu32 " %5" PRIu32 " %8s %9s %s\n"

static void print_title(void)
{
	printf(out_has_colour() ? "\033[1m" TITLE_FORMAT "\033[0m\n" : TITLE_FORMAT "\n", "PROTO",
	       "CLIENT", "LISTENER", "TARGET", "STATE", "IDLE", "LEFT", "PACKETS", "BYTES", "RULE");
}

static void print_row(const struct walk *walk, const struct store_flow *flow)
{
	char client[ADDR_TEXT_BYTES + 8], listener[ADDR_TEXT_BYTES + 8];
	char target[ADDR_TEXT_BYTES + 8];
	char packets[16], bytes[16];

	printf(ROW_FORMAT, proto_name(flow),
	       end_text(&flow->client, flow->client_port_host, client, sizeof(client)),
	       end_text(&flow->listener, flow->listener_port_host, listener, sizeof(listener)),
	       end_text(&flow->target, flow->target_port_host, target, sizeof(target)),
	       flow_state(flow), flow->idle_sec, left_sec(flow),
	       out_count(flow->packets[XDNAT_ORIGINAL] + flow->packets[XDNAT_REPLY], packets),
	       out_bytes(flow->bytes[XDNAT_ORIGINAL] + flow->bytes[XDNAT_REPLY], bytes),
	       rule_name(walk, flow) ?: "-");
}

static int list_flow(const struct store_flow *flow, void *context)
{
	struct walk *walk = context;

	if (!is_wanted(walk, flow))
		return 0;
	walk->count++;
	if (walk->json)
		return print_json(walk, flow);
	if (walk->count == 1)
		print_title();
	print_row(walk, flow);
	/* A reader that has gone (| head) ends the walk. */
	return ferror(stdout) ? fail(-EIO, "cannot write to standard output") : 0;
}

static int count_flow(const struct store_flow *flow, void *context)
{
	struct walk *walk = context;

	walk->count += is_wanted(walk, flow);
	return 0;
}

int cmd_flow_list(struct cmd_context *context, const char *const *words, size_t count)
{
	struct walk walk = {};
	int err;

	err = walk_begin(context, words, count, &walk);
	if (err)
		goto out;
	err = store_flows_each(walk.store, list_flow, &walk);
	if (!err && !walk.count)
		log_info("no flows");
out:
	walk_end(&walk);
	return err;
}

int cmd_flow_count(struct cmd_context *context, const char *const *words, size_t count)
{
	struct walk walk = {};
	json_t *document;
	int err;

	err = walk_begin(context, words, count, &walk);
	if (err)
		goto out;
	err = store_flows_each(walk.store, count_flow, &walk);
	if (err)
		goto out;
	if (!context->json) {
		printf("%" PRIu64 "\n", walk.count);
		goto out;
	}
	document = out_document("flow_count");
	json_object_set_new(document, "count", json_integer(walk.count));
	err = out_json(document, false);
out:
	walk_end(&walk);
	return err;
}

static bool is_any(const struct store_flow *flow, const void *context)
{
	(void)flow;
	(void)context;
	return true;
}

static int tell_flushed(const struct cmd_context *context, uint64_t ended)
{
	json_t *document;

	if (context->json) {
		document = out_document("flow_flush");
		json_object_set_new(document, "ended", json_integer(ended));
		return out_json(document, false);
	}
	if (!context->quiet)
		printf("ended %" PRIu64 " flow%s\n", ended, ended == 1 ? "" : "s");
	return 0;
}

static int flush(const struct cmd_context *context, struct walk *walk)
{
	static const struct flow_choice all = {.wants = is_any, .force = true};
	uint64_t ended;
	int err;

	err = interface_need_netns(&context->instance, walk->store);
	if (!err)
		err = store_flows_each(walk->store, count_flow, walk);
	if (err)
		return err;
	err = cmd_ask(flush_yes, "end %" PRIu64 " flow%s?", walk->count,
		      walk->count == 1 ? "" : "s");
	if (err)
		return err;
	err = flow_end_chosen(walk->store, &all, &ended);
	if (err)
		return err;
	return tell_flushed(context, ended);
}

int cmd_flow_flush(struct cmd_context *context, const char *const *words, size_t count)
{
	struct walk walk = {};
	int err;

	err = walk_begin(context, words, count, &walk);
	if (!err)
		err = flush(context, &walk);
	if (err && err != -ENOTLOADED && err != -EUSAGE && err != -ECANCELED)
		fail_while(err, "cannot end flows");
	walk_end(&walk);
	return err;
}
