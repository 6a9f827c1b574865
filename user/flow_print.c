// SPDX-License-Identifier: GPL-2.0-only
#include "flow_print.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "flow_filter.h"
#include "out.h"

#define END_BYTES (ADDR_TEXT_BYTES + sizeof("[]:65535"))

static const char *proto_name(const struct store_flow *flow)
{
	return flow->proto == IPPROTO_UDP ? "udp" : "tcp";
}

static uint32_t left_sec(const struct store_flow *flow)
{
	return flow->life_sec > flow->idle_sec ? flow->life_sec - flow->idle_sec : 0;
}

static void put_end(json_t *record, const char *addr_key, const char *port_key,
		    const struct xdnat_addr *addr, uint16_t port_host)
{
	char text[ADDR_TEXT_BYTES];

	json_object_set_new(record, addr_key, json_string(addr_format(addr, false, text)));
	json_object_set_new(record, port_key, json_integer(port_host));
}

int flow_print_json(const struct store_flow *flow, const char *rule)
{
	json_t *record = out_document("flow");

	json_object_set_new(record, "proto", json_string(proto_name(flow)));
	put_end(record, "client", "client_port", &flow->client, flow->client_port_host);
	put_end(record, "listener", "listener_port", &flow->listener, flow->listener_port_host);
	put_end(record, "target", "target_port", &flow->target, flow->target_port_host);
	put_end(record, "source", "source_port", &flow->source, flow->source_port_host);
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

/* Fixed widths that hold IPv4; what is longer pushes its own line only. A column is
 * there on terminals that have from and not yet below (0: any) columns. */
enum column_id { PROTO, CLIENT, LISTENER, PORT, TARGET, STATE, IDLE, LEFT, PACKETS, BYTES, RULE };

static const struct column {
	const char *title;
	int width; /* negative: left-aligned, as printf() has it */
	int from, below;
} columns_table[] = {
	[PROTO] = {"PROTO", -5, 131, 0},
	[CLIENT] = {"CLIENT", -21, 0, 0},
	[LISTENER] = {"LISTENER", -21, 131, 0},
	[PORT] = {"PORT", -9, 0, 131}, /* for PROTO and LISTENER */
	[TARGET] = {"TARGET", -21, 0, 0},
	[STATE] = {"STATE", -11, 0, 0},
	[IDLE] = {"IDLE", 4, 79, 0},
	[LEFT] = {"LEFT", 4, 105, 0},
	[PACKETS] = {"PACKETS", 7, 113, 0},
	[BYTES] = {"BYTES", 8, 79, 0},
	[RULE] = {"RULE", -20, 100, 0},
};
#define COLUMNS (sizeof(columns_table) / sizeof(columns_table[0]))

/* What stands in the columns, titles or a flow's. The last one ends the line. */
static void print_line(const char *const *cells, int columns)
{
	const char *blank = "";

	for (size_t i = 0; i < COLUMNS; i++) {
		const struct column *column = &columns_table[i];

		if (columns < column->from || (column->below && columns >= column->below))
			continue;
		printf("%s%*s", blank, i == RULE ? 0 : column->width, cells[i]);
		blank = " ";
	}
}

void flow_print_title(int columns)
{
	const char *titles[COLUMNS];

	for (size_t i = 0; i < COLUMNS; i++)
		titles[i] = columns_table[i].title;
	fputs(out_has_colour() ? "\033[1m" : "", stdout);
	print_line(titles, columns);
	fputs(out_has_colour() ? "\033[0m\n" : "\n", stdout);
}

static const char *end_text(const struct xdnat_addr *addr, uint16_t port_host, char *text)
{
	char bare[ADDR_TEXT_BYTES];

	snprintf(text, END_BYTES, "%s:%u", addr_format(addr, true, bare), port_host);
	return text;
}

void flow_print_row(const struct store_flow *flow, const char *rule, int columns)
{
	char client[END_BYTES], listener[END_BYTES], target[END_BYTES], port[16];
	char idle[16], left[16], packets[16], bytes[16];
	const char *cells[COLUMNS] = {
		[PROTO] = proto_name(flow),
		[CLIENT] = end_text(&flow->client, flow->client_port_host, client),
		[LISTENER] = end_text(&flow->listener, flow->listener_port_host, listener),
		[PORT] = port,
		[TARGET] = end_text(&flow->target, flow->target_port_host, target),
		[STATE] = flow_state(flow),
		[IDLE] = idle,
		[LEFT] = left,
		[PACKETS] = out_count(flow->packets[XDNAT_ORIGINAL] + flow->packets[XDNAT_REPLY],
				      packets),
		[BYTES] = out_bytes(flow->bytes[XDNAT_ORIGINAL] + flow->bytes[XDNAT_REPLY], bytes),
		[RULE] = rule ?: "-",
	};

	snprintf(port, sizeof(port), "%u/%s", flow->listener_port_host, proto_name(flow));
	snprintf(idle, sizeof(idle), "%" PRIu32, flow->idle_sec);
	snprintf(left, sizeof(left), "%" PRIu32, left_sec(flow));
	print_line(cells, columns);
	putchar('\n');
}
