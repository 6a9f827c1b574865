# SPDX-License-Identifier: GPL-2.0-only
# make            build/xdnat and build/xdnatd
# make deps       what apt lacks for building and testing (root)
# make check      unit tests, headers   · make check-prog, check-netns (root)
# make check-gate what may not grow unseen, against tests/gate/budget.json (root)
# make check-model the flow table's protocol, exhaustively, by spin
# make check-stress the flow table under fire; STRESS_SECONDS=60 STRESS_SEED=1 (root)
# make bench      program time, live frames, bulk TCP beside floors and nft (root)
# V=1 shows commands, CLANG=clang-19 chooses the BPF compiler, WERROR=0 for packagers.

B := build
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
PYTHON := /usr/bin/python3
PREFIX ?= /usr/local
ifneq ($(V),1)
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
endif
ifneq ($(WERROR),0)
ERROR := -Werror
endif

WARN := -Wall -Wextra $(ERROR)
LIBS := libbpf libxdp libmnl jansson libuv
# Only asked when something is compiled: `make deps` runs before pkg-config exists.
CFLAGS ?= -O2 -g
USER_CFLAGS = -std=gnu11 $(WARN) -D_GNU_SOURCE -Iinclude -Iuser -I$(B) \
	-DXDNAT_VERSION='"$(VERSION)"' $(CFLAGS) $(shell pkg-config --cflags $(LIBS))
USER_LIBS = $(shell pkg-config --libs $(LIBS))
MACHINE := $(shell uname -m)
# The programs know by it how the processor may reorder loads.
BPF_ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(MACHINE)))
BPF_CFLAGS = -std=gnu11 -target bpf -mcpu=v3 -O2 -g $(WARN) \
	-D__TARGET_ARCH_$(BPF_ARCH) -Iinclude -I/usr/include/$(MACHINE)-linux-gnu
VERSION := 0.1.0

COMMON := addr attach attach_own attach_shared attach_tc capacity clock confirm destination ephemeral fail \
	flow_end host_port instance instance_daemon interface leak_guard line listener listener_claim \
	listener_expand listener_range log memory mode netlink_event netlink_link netlink_neighbour \
	netlink_request netlink_route netlink_tc nexthop offload out pins preflight port_list program \
	port_bits progress reason rule_overlap rules_file selftest selftest_flow snat snat_port \
	snat_record source spec spec_key spec_listener spec_ports spec_rule store store_change \
	store_flow store_listener store_network store_pin store_port_bits store_prefix store_rule \
	store_snat store_table store_target_port sweep \
	target_port target_side upgrade program_pin instance_abi migrate store_abi3
XDNAT := main opt cmd_ask cmd_table cmd_help cmd_load cmd_load_migrate cmd_load_options \
	cmd_load_report cmd_unload \
	cmd_confirm cmd_status cmd_rule cmd_rule_edit cmd_flow cmd_flow_end cmd_stats flow_filter \
	flow_print help_topic problem problem_listener problem_rule rule_change rule_edit \
	rule_lines rule_options rule_plan rule_record rule_set
XDNATD := daemon follow daemon_main
UNIT := addr csum listener opt port range reason source spec tags
COMMON_O := $(COMMON:%=$(B)/user/%.o)

all: $(B)/xdnat $(B)/xdnatd

$(B)/xdnat: $(XDNAT:%=$(B)/user/%.o) $(COMMON_O)
$(B)/xdnatd: $(XDNATD:%=$(B)/user/%.o) $(COMMON_O)
$(B)/xdnat $(B)/xdnatd:
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(USER_LIBS)

$(B)/user/%.o: user/%.c Makefile | $(B)/user
	$(call say,CC,$<)
	$(Q)$(CC) $(USER_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/user/capacity.o $(B)/user/program.o $(B)/user/program_pin.o $(B)/user/selftest.o: \
		$(B)/xdnat.skel.h $(B)/clock.skel.h
$(B)/user/attach_shared.o: $(B)/xdnat.skel.h

$(B)/%.bpf.o: bpf/%.bpf.c Makefile | $(B)/user
	$(call say,CLANG,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@
.PRECIOUS: $(B)/%.bpf.o $(B)/%.skel.h

$(B)/user $(B)/tests:
	$(Q)mkdir -p $@

# Tests
$(B)/tests/unit_%: tests/unit/test_%.c $(COMMON_O) $(B)/user/opt.o Makefile | $(B)/tests
	$(call say,UNIT,$@)
	$(Q)$(CC) $(USER_CFLAGS) -I. -MMD -MP -o $@ $< $(COMMON_O) $(B)/user/opt.o $(USER_LIBS) -lcmocka
check: all check-headers check-unit
check-unit: $(UNIT:%=$(B)/tests/unit_%)
	$(Q)for t in $^; do ./$$t || exit 1; done
# Each header compiles alone; the ABI under both compilers.
check-headers: $(B)/xdnat.skel.h
	$(Q)echo '#include "xdnat_abi.h"' | $(CLANG) $(BPF_CFLAGS) -x c -fsyntax-only -
	$(Q)for h in include/xdnat_abi.h user/*.h; do echo "#include \"$$h\"" | \
		$(CC) $(USER_CFLAGS) -I. -x c -fsyntax-only - || { echo "$$h"; exit 1; }; done
	@echo "headers: each compiles alone"
check-prog: all
	$(Q)$(PYTHON) -m pytest -q tests/prog
check-netns: all
	$(Q)$(PYTHON) -m pytest -q tests/netns
# Instructions and calls of an established packet, size, verifier's work, bytes a flow.
check-gate: all
	$(Q)$(PYTHON) -B tests/gate/gate.py
# The flow table's protocol, every interleaving of small scenarios.
check-model:
	$(Q)$(PYTHON) -B tests/model/model.py $(B)/model
gate-renew: all
	$(Q)$(PYTHON) -B tests/gate/gate.py --renew

# Program time, live frames, bulk TCP beside floors and nft; BENCH_ARGS=--quick for fewer rounds.
LIVE := flows frame lane live network rounds router
BENCH := bench bulk measure program_case report rows_bulk rows_fresh rows_live rows_program stream trial \
	trial_contest world world_rules world_table $(LIVE)
$(B)/bench.bpf.o $(B)/live.bpf.o: $(B)/%.bpf.o: tests/bench/%.bpf.c Makefile | $(B)/user
	$(call say,CLANG,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/tests/bench: $(BENCH:%=tests/bench/%.c) $(wildcard tests/bench/*.h) $(B)/user/clock.o \
		$(B)/bench.skel.h $(B)/clock.skel.h $(B)/live.skel.h | $(B)/tests
	$(call say,CC,$@)
	$(Q)$(CC) $(USER_CFLAGS) -o $@ $(filter %.c %.o,$^) $(USER_LIBS) -lm
# For ./demo: the same frames through nft and through xdnat.
$(B)/tests/beside: tests/bench/beside.c $(LIVE:%=tests/bench/%.c) $(wildcard tests/bench/*.h) \
		$(B)/live.skel.h | $(B)/tests
	$(call say,CC,$@)
	$(Q)$(CC) $(USER_CFLAGS) -o $@ $(filter %.c,$^) $(USER_LIBS)
bench: $(B)/tests/bench $(B)/xdnat
	$(Q)$< $(BENCH_ARGS)

# The flow table under fire from two processors, and a checker.
STRESS := audit check lanes phase_aimed phase_random phases rules stress table watch world
STRESS_SECONDS ?= 6
$(B)/stress.bpf.o: tests/stress/stress.bpf.c Makefile | $(B)/user
	$(call say,CLANG,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/tests/stress: $(STRESS:%=tests/stress/%.c) $(wildcard tests/stress/*.h) $(B)/stress.skel.h \
		| $(B)/tests
	$(call say,CC,$@)
	$(Q)$(CC) $(USER_CFLAGS) -o $@ $(filter %.c,$^) $(USER_LIBS) -lpthread
check-stress: $(B)/tests/stress
	$(Q)$< $(STRESS_SECONDS) $(STRESS_SEED)

format:
	$(Q)clang-format -i bpf/*.[ch] user/*.[ch] include/*.h tests/*/*.[ch]

DEPS := gcc make clang llvm bpftool libbpf-dev libmnl-dev libjansson-dev libuv1-dev libelf-dev \
	zlib1g-dev libcmocka-dev pkg-config linux-libc-dev iproute2 nftables ethtool kmod procps \
	python3-pytest python3-pytest-xdist python3-scapy python3-jsonschema curl libxdp-dev strace spin \
	conntrack
deps:
	$(Q)missing=$$(dpkg-query -W -f '$${Package} $${Status}\n' $(DEPS) 2>/dev/null | \
		awk '/ok installed/ {have[$$1]=1} END {n=split("$(DEPS)",want," "); \
		for (i=1;i<=n;i++) if (!have[want[i]]) printf "%s ", want[i]}'); \
	if [ -n "$$missing" ]; then echo "installing: $$missing"; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends $$missing; fi

install: all
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(B)/xdnat $(B)/xdnatd
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/xdnat share/xdnat.schema.json
clean:
	rm -rf $(B)

-include $(wildcard $(B)/*.d $(B)/user/*.d $(B)/tests/*.d)
ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif
.PHONY: all bench check check-unit check-headers check-prog check-netns check-gate check-model \
	check-stress gate-renew format deps install clean
.DELETE_ON_ERROR:
