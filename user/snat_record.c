// SPDX-License-Identifier: GPL-2.0-only
#include "snat_record.h"

#include <stdlib.h>
#include <string.h>

#include "snat.h"
#include "snat_port.h"

/* What a port can be given out for once. */
struct target {
	struct xdnat_addr addr, snat;
	struct spec_ports ports;
	uint32_t protos;
};

static int compare_targets(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct target));
}

static size_t count_ports(const struct target *target)
{
	size_t protos = target->protos == (SPEC_TCP | SPEC_UDP) ? 2 : 1;

	return protos * (target->ports.last_host - target->ports.first_host + 1);
}

/* Ports of targets, that is, and of both protocols. */
static size_t count_targets(const struct store_rule *rules, size_t count)
{
	struct target *targets = calloc(count + 1, sizeof(*targets));
	size_t listed = 0, distinct = 0;

	for (size_t i = 0; targets && i < count; i++) {
		const struct spec *spec = &rules[i].spec;

		if (snat_is_needed(spec))
			targets[listed++] = (struct target){
				.addr = spec->target,
				.snat = spec->snat,
				.ports = spec->target_ports,
				.protos = spec->protos,
			};
	}
	if (listed)
		qsort(targets, listed, sizeof(*targets), compare_targets);
	for (size_t i = 0; i < listed; i++)
		if (!i || compare_targets(&targets[i - 1], &targets[i]))
			distinct += count_ports(&targets[i]);
	free(targets);
	return distinct;
}

json_t *snat_record(const struct xdnat_config *config, const struct store_rule *rules, size_t count)
{
	struct snat_range range = snat_range_of(config);
	size_t targets = count_targets(rules, count);

	return json_pack("{s:i, s:i, s:I, s:I, s:I}", "first_port", (int)range.first_host,
			 "last_port", (int)range.last_host, "ports", (json_int_t)config->snat_ports,
			 "targets", (json_int_t)targets, "capacity",
			 (json_int_t)(config->snat_ports * targets));
}
