# Sluice: the only make file. `make help` lists the targets.
#
# Every variant builds into build/<variant>; a service is build/<variant>/sluice-<name>.
# A file X_test.c beside the code becomes the test build/<variant>/tests/<dir>/X_test.

VARIANT ?= release
BUILD := build/$(VARIANT)
CC := $(if $(filter fuzz,$(VARIANT)),clang,gcc)

# What Debian lacks (tools/install-deps) comes before what it has.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wundef -Wformat=2 -Wswitch-enum -Werror
CPPFLAGS := -I. -D_GNU_SOURCE -DH2O_USE_LIBUV=0 -isystem /usr/include/postgresql
CFLAGS := -std=gnu17 -g -MMD -MP -fno-omit-frame-pointer -fPIE $(WARNINGS)
LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
LIBS := -lpg_query -lprotobuf-c -lnng -lmsgpackc -llmdb -lpq -lh2o-evloop -lssl -lcrypto -lxxhash -lz -lbrotlienc -lzstd -lpthread -lm

ifeq ($(VARIANT),release)
CFLAGS += -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong
else ifeq ($(VARIANT),asan)
CFLAGS += -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
CFLAGS += -O1 -fsanitize=thread
LDFLAGS += -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
CFLAGS += -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -Wno-string-conversion
LDFLAGS += -fsanitize=address,undefined
else
$(error VARIANT is release, asan, tsan or fuzz, not '$(VARIANT)')
endif

TEST_LIBS := -lcmocka -lbrotlidec

COMMON_SRCS := $(filter-out %_test.c %_fuzz.c,$(wildcard common/*/*.c))
COMMON_OBJS := $(COMMON_SRCS:%.c=$(BUILD)/obj/%.o)
COMMON_LIB := $(BUILD)/libcommon.a

# One program per directory: its own objects and common/, nothing else.
PROGRAMS := ingest router edge supervisor
dir_ingest := services/ingest
dir_router := services/router
dir_edge := services/edge
dir_supervisor := supervisor
srcs = $(filter-out %_test.c %_fuzz.c,$(wildcard $(dir_$(1))/*.c))
objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(call srcs,$(1)))
program = $(BUILD)/sluice-$(1)

.PHONY: all
all: $(foreach p,$(PROGRAMS),$(call program,$(p))) ## build every service (VARIANT=release|asan|tsan)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(COMMON_LIB): $(COMMON_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

define program_rule
.PHONY: $(1)
$(1): $(call program,$(1))
$(call program,$(1)): $(call objs,$(1)) $(COMMON_LIB)
	$(CC) $(LDFLAGS) -o $$@ $(call objs,$(1)) $(COMMON_LIB) $(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

# The load generator is a program like the others, but not part of what is installed.
dir_bench := tests/bench
$(eval $(call program_rule,bench))

# Unit tests: a test sees the objects of its own directory (main apart) and common/.
TEST_SRCS := $(wildcard common/*/*_test.c) $(foreach p,$(PROGRAMS) bench,$(wildcard $(dir_$(p))/*_test.c))
TESTS := $(TEST_SRCS:%.c=$(BUILD)/tests/%)
COMMON_TESTS := $(filter $(BUILD)/tests/common/%,$(TESTS))

$(COMMON_TESTS): $(BUILD)/tests/%: $(BUILD)/obj/%.o $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(COMMON_LIB) $(LIBS) $(TEST_LIBS)

define test_rule
$(filter $(BUILD)/tests/$(dir_$(1))/%,$(TESTS)): $(BUILD)/tests/%: $(BUILD)/obj/%.o $(filter-out %/main.o,$(call objs,$(1))) $(COMMON_LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(COMMON_LIB) $(LIBS) $(TEST_LIBS)
endef
$(foreach p,$(PROGRAMS) bench,$(eval $(call test_rule,$(p))))

# Fuzz targets: X_fuzz.c beside the code, linked like a test. VARIANT=fuzz only.
FUZZ_SRCS := $(wildcard common/*/*_fuzz.c) $(foreach p,$(PROGRAMS),$(wildcard $(dir_$(p))/*_fuzz.c))
FUZZERS := $(FUZZ_SRCS:%.c=$(BUILD)/fuzz/%)
COMMON_FUZZERS := $(filter $(BUILD)/fuzz/common/%,$(FUZZERS))

$(COMMON_FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/obj/%.o $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(COMMON_LIB) $(LIBS)

define fuzz_rule
$(filter $(BUILD)/fuzz/$(dir_$(1))/%,$(FUZZERS)): $(BUILD)/fuzz/%: $(BUILD)/obj/%.o $(filter-out %/main.o,$(call objs,$(1))) $(COMMON_LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $$@ $$(filter %.o,$$^) $(COMMON_LIB) $(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call fuzz_rule,$(p))))

.PHONY: unit
unit: $(TESTS) ## build and run the unit tests (T=pattern runs those whose path matches)
	@tools/run-unit-tests $(BUILD)/tests "$(T)" $(TESTS)

.PHONY: deps
deps: ## install what building and running need (Debian 12; quick when it is there)
	@tools/install-deps run

.PHONY: demo
demo: ## build the demo page (examples/demo), when Node.js is there
	@tools/build-demo

.PHONY: run
run: ## install, build and run everything in the foreground; DATABASE_URL, SLUICE_HTTP_PORT, SLUICE_DATA_DIR …
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@$(MAKE) --no-print-directory demo
	@exec $(BUILD)/sluice-supervisor

.PHONY: check
check: ## every check there is; the last line counts them
	@tools/install-deps check
	@tools/check

.PHONY: integration
integration: all ## integration tests against real Postgres and real clients (T=words of a test's name)
	@tools/install-deps check
	@$(MAKE) --no-print-directory demo
	@tools/run-integration-tests $(VARIANT) "$(T)"

.PHONY: bounds
bounds: all ## memory and neighbours under the worst loads (FULL=1: at full size, half an hour; T=words of a test's name)
	@tools/install-deps check
	@$(MAKE) --no-print-directory demo
	@FULL="$(FULL)" tools/run-integration-tests $(VARIANT) "$(T)" bounds

.PHONY: torture
torture: all ## an oracle against the whole stack while it is written to, read and broken (SEED= SECONDS=30 FAULTS=kill,stop,…)
	@tools/install-deps check
	@SEED="$(SEED)" SECONDS="$(SECONDS)" FAULTS="$(FAULTS)" tools/run-torture $(VARIANT)

.PHONY: where-oracle
where-oracle: $(BUILD)/tests/services/router/where_oracle_test ## compare the verdicts of random where clauses with Postgres' (CHECKS=1m SEED=1)
	@tools/install-deps check
	@CHECKS="$(or $(CHECKS),1m)" SEED="$(or $(SEED),1)" tools/with-postgres $<

.PHONY: deploy-test
deploy-test: all ## tests of the supervisor, the image and deploy/k8s
	@tools/install-deps check
	@tools/run-deploy-tests

.PHONY: bench
bench: ## benchmarks against physical references (M=mode: one of them at full length)
	@tools/install-deps bench
	@$(MAKE) --no-print-directory all $(BUILD)/sluice-bench
	@tools/run-bench $(BUILD) $(M)

.PHONY: fuzz
fuzz: ## run every fuzz target for S seconds (60); T=part of its path
	@tools/install-deps fuzz
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzzers
	@$(MAKE) --no-print-directory VARIANT=asan all
	@tools/run-fuzzers build/fuzz/fuzz "$(S)" "$(T)"

.PHONY: fuzzers
fuzzers: $(FUZZERS)

.PHONY: asan tsan
asan: ## build with AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory VARIANT=asan all
tsan: ## build with ThreadSanitizer
	@$(MAKE) --no-print-directory VARIANT=tsan all

HEADERS = $(shell git ls-files '*.h')

.PHONY: headers
headers: $(HEADERS:%=$(BUILD)/lint/%.ok) ## does every header compile alone?

.PHONY: lint
lint: headers ## headers compile alone, rules no compiler knows, clang's warnings
	@tools/check-source
	@tools/lint "$(CPPFLAGS)" "$(filter-out -Werror -MMD -MP,$(WARNINGS))"

$(BUILD)/lint/%.h.ok: %.h
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) -std=gnu17 $(WARNINGS) -fsyntax-only -include $< -x c /dev/null
	@touch $@

.PHONY: format
format: ## format every C file in place
	clang-format -i $$(git ls-files '*.c' '*.h')

.PHONY: format-check
format-check: ## is every C file formatted?
	@clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')

.PHONY: docs
docs: all ## write what is generated: docs/ (configuration, metrics, messages), the checklist in tests/integration/README.md
	@tools/generate-docs $(BUILD) docs
	@tools/generate-checklist >$(BUILD)/checklist.md && mv $(BUILD)/checklist.md tests/integration/README.md

PREFIX ?= /usr/local
.PHONY: install
install: all ## install the services below DESTDIR and PREFIX (/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(foreach p,$(PROGRAMS),$(call program,$(p))) $(DESTDIR)$(PREFIX)/bin

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:[^#]*## /\t/' | expand -t 14

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
