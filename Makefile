# Sluice: the only make file. `make help` lists the targets.
#
# Every variant builds into build/<variant>; a service is build/<variant>/sluice-<name>.
# A file X_test.c beside the code becomes the test build/<variant>/tests/<dir>/X_test.

VARIANT ?= release
BUILD := build/$(VARIANT)
CC := gcc

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wundef -Wformat=2 -Wswitch-enum -Werror
CPPFLAGS := -I. -D_GNU_SOURCE -DH2O_USE_LIBUV=0 -isystem /usr/include/postgresql
CFLAGS := -std=gnu17 -g -MMD -MP -fno-omit-frame-pointer -fPIE $(WARNINGS)
LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
LIBS := -lnng -lmsgpackc -llmdb -lpq -lh2o-evloop -lssl -lcrypto -lxxhash -lz -lpthread -lm

ifeq ($(VARIANT),release)
CFLAGS += -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong
else ifeq ($(VARIANT),asan)
CFLAGS += -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
CFLAGS += -O1 -fsanitize=thread
LDFLAGS += -fsanitize=thread
else
$(error VARIANT is release, asan or tsan, not '$(VARIANT)')
endif

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

# Unit tests: a test sees the objects of its own directory (main apart) and common/.
TEST_SRCS := $(wildcard common/*/*_test.c) $(foreach p,$(PROGRAMS),$(wildcard $(dir_$(p))/*_test.c))
TESTS := $(TEST_SRCS:%.c=$(BUILD)/tests/%)
COMMON_TESTS := $(filter $(BUILD)/tests/common/%,$(TESTS))

$(COMMON_TESTS): $(BUILD)/tests/%: $(BUILD)/obj/%.o $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(COMMON_LIB) $(LIBS) -lcmocka

define test_rule
$(filter $(BUILD)/tests/$(dir_$(1))/%,$(TESTS)): $(BUILD)/tests/%: $(BUILD)/obj/%.o $(filter-out %/main.o,$(call objs,$(1))) $(COMMON_LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(COMMON_LIB) $(LIBS) -lcmocka
endef
$(foreach p,$(PROGRAMS),$(eval $(call test_rule,$(p))))

.PHONY: unit
unit: $(TESTS) ## build and run the unit tests (T=pattern runs those whose path matches)
	@tools/run-unit-tests $(BUILD)/tests "$(T)" $(TESTS)

.PHONY: format
format: ## format every C file in place
	clang-format -i $$(git ls-files '*.c' '*.h')

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:[^#]*## /\t/' | expand -t 14

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
