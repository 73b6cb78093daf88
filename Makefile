# The front door. Every target installs what is missing first; on a bare Debian, git and make are enough.
#   V8_ROOT=DIR       use this V8 instead of fetching Debian's
#   V8_SUITE=trixie   use the V8 of another Debian suite
#   PREFIX=DIR        where `make install` puts things
#   QUICK=1 ROUNDS=N  of `make bench`

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
V8_SUITE ?= forky
JOBS := $(shell nproc)
RELEASE := build/release
ASAN := build/asan

ifneq ($(V8_ROOT),)
cmake_flags := -DV8_ROOT=$(abspath $(V8_ROOT))
else
cmake_flags := -DISOQ_V8_SUITE=$(V8_SUITE) -UV8_ROOT
endif

# $(call configure,preset,extra flags): only when the flags are others than last time; the build itself
# notices changed CMake files.
configure = dir=build/$1; flags='$(cmake_flags) $2'; \
  if [ ! -f $$dir/build.ninja ] || [ "$$flags" != "$$(cat $$dir/.isoq-flags 2>/dev/null)" ]; then \
    cmake --preset $1 $$flags -Wno-dev >$$dir.log 2>&1 || { cat $$dir.log >&2; exit 1; }; \
    printf '%s' "$$flags" >$$dir/.isoq-flags; \
  fi

.PHONY: help
help: ## this list
	@echo 'isoq: JavaScript jobs from Redis, each in a pristine V8 isolate'
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS='|' read -r name what; do printf '%-20s%s\n' "$$name" "$$what"; done

.PHONY: setup
setup:
	@cmake/setup.sh

.PHONY: v8
v8: setup ## fetch V8 into .v8 (done by build)
ifeq ($(V8_ROOT),)
	@cmake/v8-with-fallback.sh $(V8_SUITE)
endif

.PHONY: build
build: v8 ## build isoq and isoq-executor into build/release/bin
	@mkdir -p build
	@$(call configure,release,)
	@cmake --build $(RELEASE) -j $(JOBS) --target isoq isoq-executor

.PHONY: run
run: build ## start a Redis and a worker, submit jobs, show the results
	@cmake/run-demo.sh $(RELEASE)/bin/isoq

.PHONY: test
test: build ## build and run all tests
	@cmake --build $(RELEASE) -j $(JOBS)
	@cmake/run-tests.sh $(RELEASE)

.PHONY: test-asan
test-asan: v8 ## the same with AddressSanitizer and UndefinedBehaviorSanitizer
	@mkdir -p build
	@$(call configure,asan,)
	@cmake --build $(ASAN) -j $(JOBS)
	@cmake/run-tests.sh $(ASAN)

# The installed executor is linked for PREFIX (cmake/IsoqV8.cmake says why), so the prefix is configured.
.PHONY: install
install: v8 ## install below PREFIX (/usr/local); DESTDIR is honoured
	@mkdir -p build
	@$(call configure,release,-DCMAKE_INSTALL_PREFIX=$(abspath $(PREFIX)))
	@cmake --build $(RELEASE) -j $(JOBS) --target isoq install-variant
	@cmake --install $(RELEASE)

# QUICK=1: a smoke run, which leaves bench/RESULTS.md alone.
bench_flags := $(if $(QUICK),--quick,--write bench/RESULTS.md) $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: bench
bench: build ## measure isoq beside its peers (from npm), and write bench/RESULTS.md (half an hour)
	@cmake --build $(RELEASE) -j $(JOBS) --target bench-programs
	@ISOQ_TEST_BIN_DIR=$(abspath $(RELEASE))/bin bench/run.py $(bench_flags)

.PHONY: format
format: ## format the C and C++ sources with clang-format
	@command -v clang-format >/dev/null || { echo 'format: install clang-format first' >&2; exit 1; }
	@find engine worker queue config bindings cli tests bench -type d \( -name node_modules -o -name dist \) -prune -o \
	  -type f \( -name '*.[ch]' -o -name '*.cc' -o -name '*.hh' \) -print0 | xargs -0r clang-format -i

.PHONY: clean
clean: ## remove what was built
	rm -rf build

.PHONY: clean-v8
clean-v8: ## remove the fetched V8
	rm -rf .v8
