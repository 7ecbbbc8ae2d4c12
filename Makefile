# SPDX-License-Identifier: BSD-2-Clause-Patent
# The commands of this tree; what each does, how long it takes and what it needs: HACKING.md. Meson and Ninja build.
BUILD ?= build/release
PREFIX ?= /usr/local
NINJA = ninja
MESON_ARGS ?=

.PHONY: help deps deps-bench build demo check check-long sim soak bench fuzz fmt lint asan tsan coverage clean install
.NOTPARALLEL:

help:
	@echo "make demo         set up, start a local system, copy a tree through it, kill an engine, compare"
	@echo "make check        set up, build, run the tests, lint; ends with: N passed, N failed, N skipped"
	@echo "make build        build into $(BUILD)"
	@echo "more: deps deps-bench check-long sim bench fuzz fmt lint asan tsan coverage install clean (HACKING.md)"

deps:
	@tools/deps.sh tools/deps-debian.txt

deps-bench: deps
	@tools/deps.sh tools/deps-bench-debian.txt

# Meson does not notice a component that is new: its file is newer than what was configured.
$(BUILD)/build.ninja: $(wildcard meson.build */meson.build */*/meson.build)
	@if [ -f $@ ]; then meson setup --reconfigure $(BUILD) && touch $@; \
	else meson setup --prefix $(PREFIX) $(MESON_ARGS) $(BUILD); fi

build: deps
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@$(NINJA) -C $(BUILD)

demo: build
	@tools/demo $(BUILD)

check: deps
	@tools/check.sh

# What only check-long needs may be missing: its tests are then skipped.
check-long: deps
	-@tools/deps.sh tools/deps-long-debian.txt
	@tools/check.sh --long

# Whole systems under faults (test/sim/README.md): MINUTES=10 from a new seed on, or SEED=n alone.
sim: build
	@$(BUILD)/test/sim/sim_run $(if $(SEED),--seed $(SEED) --verbose,--minutes $(or $(MINUTES),10) --seed $$(date +%s)000)

# Endurance (test/soak/README.md): SOAK_MINUTES shared among the networks of SOAK_NET.
soak: build
	@test/soak/soak.py --build $(BUILD) --minutes $(or $(SOAK_MINUTES),60) --nets $(or $(SOAK_NET),unix,tcp,ofi) \
	    --seed $(or $(SOAK_SEED),1) --json build/soak.json

bench: deps-bench build
	@bench/run $(BUILD) build/bench.json $(if $(BENCH_FULL),--full)

fuzz: deps
	@tools/fuzz.sh

fmt:
	@tools/lint --fix

lint: build
	@tools/lint --build $(BUILD)

asan: deps
	@tools/check.sh --only asan

tsan: deps
	@tools/check.sh --only tsan

# What the tests of vos and bio reach of them.
coverage: deps
	@tools/coverage.sh

install: build
	@meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build
