// SPDX-License-Identifier: GPL-2.0-only
/*
 * Choosing flows by words. Knows neither tables nor output.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "flow_filter.h"

const char *flow_state(const struct store_flow *flow)
{
	if (!(flow->state & XDNAT_ANSWERED))
		return "embryo";
	if (flow->state & XDNAT_CLOSING)
		return "closing";
	if (flow->proto == IPPROTO_UDP)
		return "answered";
	return flow->state & XDNAT_CONFIRMED ? "established" : "half-open";
}

/* ADDR, ADDR:PORT, [IPv6] or [IPv6]:PORT. Cuts text up. */
static int parse_end(char *text, struct flow_filter_end *end)
{
	char *port = NULL;
	char *close;
	int err;

	if (text[0] == '[') {
		close = strchr(++text, ']');
		if (!close || (close[1] && close[1] != ':'))
			return fail(-EINVAL, "expected [ADDRESS] or [ADDRESS]:PORT");
		port = close[1] ? close + 2 : NULL;
		*close = '\0';
	} else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
		port = strchr(text, ':') + 1;
		port[-1] = '\0';
	}
	err = addr_parse(text, &end->addr);
	if (!err && port)
		err = port_parse(port, &end->port_host);
	end->is_set = !err;
	return err;
}

static int parse_addr(const char *value, struct flow_filter_end *end)
{
	char text[ADDR_TEXT_BYTES + sizeof(":65535")];

	if ((size_t)snprintf(text, sizeof(text), "%s", value) >= sizeof(text))
		return fail(-EUSAGE, "an address is not that long");
	return parse_end(text, end) ? -EUSAGE : 0;
}

static int parse_proto(const char *value, uint8_t *proto)
{
	*proto = strcmp(value, "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
	if (*proto == IPPROTO_TCP && strcmp(value, "tcp") != 0)
		return fail(-EUSAGE, "the protocol is tcp or udp");
	return 0;
}

static int parse_state(const char *value, const char **state)
{
	static const char *const states[] = {"embryo", "half-open", "established", "answered",
					     "closing"};
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(value, states[i]) == 0)
			*state = states[i];
	if (!*state)
		return fail(-EUSAGE,
			    "the state is embryo, half-open, established, answered or closing");
	return 0;
}

static int parse_rule(const char *value, const struct rule_set *set, uint32_t *id)
{
	const struct store_rule *rule;
	int err;

	err = rule_set_match(set, &value, 1, &rule);
	if (!err)
		*id = rule->id;
	return err;
}

static int parse_word(const char *word, const struct rule_set *set, struct flow_filter *filter)
{
	if (strncmp(word, "src=", 4) == 0)
		return parse_addr(word + 4, &filter->src);
	if (strncmp(word, "dst=", 4) == 0)
		return parse_addr(word + 4, &filter->dst);
	if (strncmp(word, "rule=", 5) == 0)
		return parse_rule(word + 5, set, &filter->rule);
	if (strncmp(word, "proto=", 6) == 0)
		return parse_proto(word + 6, &filter->proto);
	if (strncmp(word, "state=", 6) == 0)
		return parse_state(word + 6, &filter->state);
	return fail(-EUSAGE, "a filter is src=ADDR, dst=ADDR, rule=NAME, proto=tcp|udp or "
			     "state=WORD");
}

int flow_filter_parse(const char *const *words, size_t count, const struct rule_set *set,
		      struct flow_filter *filter)
{
	size_t i, j;
	int err;

	for (i = 0; i < count; i++) {
		err = parse_word(words[i], set, filter);
		for (j = 0; !err && j < i; j++)
			if (strcspn(words[i], "=") == strcspn(words[j], "=") &&
			    strncmp(words[i], words[j], strcspn(words[i], "=")) == 0)
				err = fail(-EUSAGE, "it is the second of its kind; give one");
		if (err)
			return fail_while(err, "filter '%s'", words[i]);
	}
	return 0;
}

static bool end_matches(const struct flow_filter_end *end, const struct xdnat_addr *addr,
			uint16_t port_host)
{
	return addr_equal(&end->addr, addr) && (!end->port_host || end->port_host == port_host);
}

/* "answered" is also said of TCP flows, whatever they are called in the list. */
static bool state_matches(const struct flow_filter *filter, const struct store_flow *flow)
{
	const char *state = flow_state(flow);

	return strcmp(state, filter->state) == 0 ||
	       (strcmp(filter->state, "answered") == 0 && strcmp(state, "established") == 0);
}

bool flow_filter_matches(const struct flow_filter *filter, const struct store_flow *flow)
{
	if (flow->expired || flow->state & XDNAT_DEAD) /* a rest is no flow */
		return false;
	if (filter->proto && filter->proto != flow->proto)
		return false;
	if (filter->rule && filter->rule != flow->rule)
		return false;
	if (filter->state && !state_matches(filter, flow))
		return false;
	if (filter->src.is_set && !end_matches(&filter->src, &flow->client, flow->client_port_host))
		return false;
	return !filter->dst.is_set ||
	       end_matches(&filter->dst, &flow->listener, flow->listener_port_host) ||
	       end_matches(&filter->dst, &flow->target, flow->target_port_host);
}
