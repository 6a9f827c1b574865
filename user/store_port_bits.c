// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's two bits a port. The datapath reads them while they are written: the kernel
 * copies over them, so that a bit which stays the same is never seen otherwise.
 */
#include <bpf/bpf.h>

#include "fail.h"
#include "store_maps.h"

static const uint32_t only_key;

int store_port_bits(const struct store *store, struct xdnat_port_bits *bits)
{
	int err = bpf_map_lookup_elem(store->maps[STORE_PORTS], &only_key, bits);

	return err ? fail_kernel(err, "cannot read xdnat_ports") : 0;
}

int store_port_bits_write(struct store *store, const struct xdnat_port_bits *bits)
{
	int err = bpf_map_update_elem(store->maps[STORE_PORTS], &only_key, bits, BPF_EXIST);

	return err ? fail_kernel(err, "cannot write xdnat_ports") : 0;
}
