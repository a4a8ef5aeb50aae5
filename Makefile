# Picket: build, run, test. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL    := /bin/bash

SAN      ?=
comma    := ,
WITHOUT  ?=
space    := $(subst ,, )
BUILD    := build/$(or $(subst $(comma),-,$(SAN)),plain)$(if $(WITHOUT),-without-$(subst $(space),-,$(sort $(WITHOUT))))
PREFIX   ?= /usr/local
CC       ?= gcc
WARN     := -Wall -Wextra -Werror -Wshadow -Wconversion -Wcast-qual -Wvla -Wformat=2 -Wmissing-prototypes
OPT      ?= $(if $(SAN),-O1 -fno-omit-frame-pointer,-O2)
FLAGS     = -std=c11 -D_GNU_SOURCE -I. -g $(OPT) -pthread $(WARN) -MMD -MP \
            $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all) -DPICKET_PREFIX='"$(PREFIX)"' \
            -I/usr/include/postgresql $(CFLAGS)
LINK      = $(CC) $(if $(SAN),-fsanitize=$(SAN)) -pthread $(LDFLAGS)

# Folders in the order they stand on each other; each becomes one archive.
FOLDERS  := wire runtime agent detect assess kql ingest store query forward
SOURCES   = $(shell find $(FOLDERS) programs tests bench -name '*.c' 2>/dev/null)
archive   = $(BUILD)/lib$(1).a
objects   = $(patsubst %.c,$(BUILD)/%.o,$(shell find $(1) -name '*.c' 2>/dev/null))
present   = $(foreach f,$(1),$(if $(wildcard $(f)/*.c),$(call archive,$(f))))

SERVER_LIBS := -lmicrohttpd -lgnutls -lrdkafka -lpq -ljansson -lsodium -lyaml -lpcre2-8 -lz -lzstd -lcurl -lidn2 -lm
AGENT_LIBS  := -lmbedtls -lmbedx509 -lmbedcrypto
CHECK_LIBS  := -lcheck -lsubunit -lrt

# What each folder may use, and so what its unit tests are linked with (style: "who may include whom").
USES_wire    := wire
USES_runtime := runtime
USES_agent   := agent wire
USES_ingest  := ingest runtime wire
USES_kql     := kql runtime wire
USES_detect  := detect runtime wire
USES_store   := store detect assess kql runtime wire
USES_query   := query detect assess kql runtime wire
USES_forward := forward detect assess kql runtime wire
USES_server  := ingest store query forward detect assess kql runtime wire

PROGRAMS := picket picketd picket-agent
UNITS     = $(patsubst tests/unit/%.c,%,$(shell find tests/unit -name 'test_*.c' 2>/dev/null))
PIPELINES = $(patsubst tests/pipeline/%.c,%,$(shell find tests/pipeline -name 'test_*.c' 2>/dev/null))
FUZZ_SUPPORT := $(addprefix build/fuzz/tests/support/,taker.o device_token.o)
FUZZERS   = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
BENCHES   = $(patsubst bench/%.c,%,$(wildcard bench/bench_*.c))

.PHONY: help deps build docs run test check unit pipeline compose core coverage firmware musl prove static cross deb layers banned sizes bench fuzz clean install format
.SECONDARY:

help: ## List the targets.
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18
	@echo '  WITHOUT="files firewall" with build or static: an agent without these collectors, in its own folder.'
	@echo '  SAN=address,undefined or SAN=thread in front of build, check, unit: a sanitizer build in its own folder.'

deps: ## Install what is missing: Debian packages; for the tests Kafka's jars and device SDKs. Quiet when nothing is.
	@tests/support/deps.sh

build: ## Build picket, picketd and picket-agent into build/plain/ (build/<SAN>/ for a sanitizer build).
	@$(MAKE) --no-print-directory -s $(addprefix $(BUILD)/,$(PROGRAMS))

run: ## Install, build and start a whole Picket on this host: `picket up`.
	@$(MAKE) --no-print-directory deps WHAT=run
	@$(MAKE) --no-print-directory -s build
	@$(BUILD)/picket up $(ARGS)

docs: ## Write docs/configuration.md, kql-support.md and detections.md from the tables in the source.
	@$(MAKE) --no-print-directory -s $(BUILD)/picketd $(BUILD)/picket
	@$(BUILD)/picketd --print-settings=markdown >$(BUILD)/configuration.md && cp $(BUILD)/configuration.md docs/configuration.md
	@$(BUILD)/picket kql support >$(BUILD)/kql-support.md && cp $(BUILD)/kql-support.md docs/kql-support.md
	@$(BUILD)/picket rule catalogue >$(BUILD)/detections.md && cp $(BUILD)/detections.md docs/detections.md

test: ## Install, build and run all tests against a real PostgreSQL and a real Kafka.
	@$(MAKE) --no-print-directory deps WHAT=test
	@$(MAKE) --no-print-directory check

check: build core musl layers banned ## Build, then check the include rules, banned calls and generated pages, then run all tests.
	@$(BUILD)/picketd --print-settings=markdown | cmp -s - docs/configuration.md || \
	    { echo 'docs/configuration.md is not what the settings tables say: run make docs' >&2; exit 1; }
	@$(BUILD)/picket kql support | cmp -s - docs/kql-support.md || \
	    { echo 'docs/kql-support.md is not what the tables of functions say: run make docs' >&2; exit 1; }
	@$(BUILD)/picket rule catalogue | cmp -s - docs/detections.md || \
	    { echo 'docs/detections.md is not what the detections say: run make docs' >&2; exit 1; }
	@$(MAKE) --no-print-directory -s $(addprefix $(BUILD)/tests/unit/,$(UNITS)) $(addprefix $(BUILD)/tests/pipeline/,$(PIPELINES))
	@tests/support/run.sh $(addprefix $(BUILD)/tests/unit/,$(UNITS)) $(addprefix $(BUILD)/tests/pipeline/,$(PIPELINES))

unit: ## Run the unit tests only (ONLY=folder/test_name for one).
	@$(MAKE) --no-print-directory -s $(addprefix $(BUILD)/tests/unit/,$(or $(ONLY),$(UNITS)))
	@tests/support/run.sh $(addprefix $(BUILD)/tests/unit/,$(or $(ONLY),$(UNITS)))

pipeline: build ## Run the pipeline tests only (ONLY=test_name for one).
	@$(MAKE) --no-print-directory -s $(addprefix $(BUILD)/tests/pipeline/,$(or $(ONLY),$(PIPELINES)))
	@tests/support/run.sh $(addprefix $(BUILD)/tests/pipeline/,$(or $(ONLY),$(PIPELINES)))

core: $(BUILD)/core.o ## Build what firmware links as C99 for size, and refuse what only an operating system has.
	@tests/support/core.sh $< $(CORE:%.c=$(BUILD)/core/%.d)

musl: $(patsubst %.c,$(BUILD)/musl/%.o,$(wildcard agent/*.c wire/*.c) programs/picket_agent.c) ## Compile the agent against another C library than Debian's, as small systems have it.

firmware: ## Build the agent's core for a Cortex-M4, link the smallest firmware with it, and print what it takes.
	@tests/firmware/size.sh $(EMBEDDED)

deb: build ## Make build/picket-agent_VERSION_ARCHITECTURE.deb, with a hardened systemd unit.
	@packaging/deb.sh $(BUILD)/picket-agent

static: ## Build picket-agent as one static file (musl, Mbed TLS), and start it once.
	@packaging/agent.sh static

cross: ## Build picket-agent for armhf and arm64, and start each once under qemu.
	@packaging/agent.sh armhf
	@packaging/agent.sh arm64

coverage: ## Print which part of the lines of the agent's core its unit tests run; refuse fewer than 90 in a hundred.
	@tests/support/coverage.sh 90 $(EMBEDDED)

prove: ## Show that the agent's queue and spool ring stay within their memory, whatever is done to them.
	@tests/prove/run.sh

compose: ## Run docker-compose.yml end to end in Docker, and kill its parts; as root it can start a Docker of its own.
	@tests/compose/run.sh

layers: ## Refuse includes that run against the tree.
	@tests/support/layers.sh

banned: ## Refuse calls that cannot be made safe.
	@! grep -nE '\b(sprintf|vsprintf|strcpy|strcat|strncpy|strtok|atoi|gmtime|localtime|system)\(' \
	    $$(find $(wildcard $(FOLDERS) programs tests bench) -name '*.[ch]')

sizes: ## Print functions over 70 lines and files over 900.
	@ctags -x --fields=+ne --c-kinds=f --_xformat='%{line} %{end} %F %N' $$(find $(wildcard $(FOLDERS) programs) -name '*.c') | \
	    awk '$$2-$$1+1 > 70 {print $$3 ": " $$4 " is " $$2-$$1+1 " lines"}'
	@wc -l $$(find $(wildcard $(FOLDERS) programs) -name '*.c') | awk '$$2!="total" && $$1>900 {print $$2 ": " $$1 " lines"}'

bench: ## Measure, as ratios of one run, what the speed promises say.
	@$(MAKE) --no-print-directory OPT=-O2 build $(addprefix $(BUILD)/bench/,$(BENCHES))
	@bench/run.sh $(BUILD)

fuzz: ## Run each fuzzer for a minute (SECONDS_EACH=n), with clang, address and undefined behaviour checked.
	@command -v clang >/dev/null || { echo "make fuzz needs clang: apt-get install clang"; exit 1; }
	@$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined BUILD=build/fuzz $(addprefix build/fuzz/tests/fuzz/,$(FUZZERS))
	@tests/support/fuzz.sh build/fuzz/tests/fuzz $(or $(SECONDS_EACH),60) $(FUZZERS)

clean: ## Remove what was built (never data).
	@rm -rf build

install: build ## Install programs and their files under PREFIX (default /usr/local), staged with DESTDIR.
	install -d $(DESTDIR)$(PREFIX)/bin $(addprefix $(DESTDIR)$(PREFIX)/share/picket/,migrations migrations/helpers console)
	install -m 755 $(addprefix $(BUILD)/,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin
	install -m 644 migrations/*.sql $(DESTDIR)$(PREFIX)/share/picket/migrations
	install -m 644 migrations/helpers/* $(DESTDIR)$(PREFIX)/share/picket/migrations/helpers
	install -m 644 $(shell find dashboards/console -type f) $(DESTDIR)$(PREFIX)/share/picket/console

format: ## Lay the sources out with clang-format.
	@clang-format -i $$(find $(wildcard $(FOLDERS) programs tests bench) -name '*.[ch]')

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D) && echo "  CC $<"
	@$(CC) $(FLAGS) -c -o $@ $<

# Its text is built in as it is.
$(BUILD)/detect/sigma_mapping.o: detect/sigma_mapping.yml

# The agent without its Linux parts, with the flags firmware has; the debug build's assertions stay in.
EMBEDDED := $(addprefix agent/,agent.c aggregate.c event_queue.c sequence.c settings.c spool_ring.c stamp.c twin.c) wire/json_reader.c wire/json_writer.c
CORE := $(sort $(EMBEDDED) $(wildcard wire/*.c))
$(BUILD)/core/%.o: %.c Makefile
	@mkdir -p $(@D) && echo "  CC $< (core)"
	@$(CC) -std=c99 -Os -ffreestanding -fno-stack-protector -U_FORTIFY_SOURCE -I. $(WARN) -Wpedantic -MMD -MP -c -o $@ $<
$(BUILD)/musl/%.o: %.c Makefile
	@mkdir -p $(@D) && echo "  CC $< (musl)"
	@musl-gcc -std=gnu11 -D_GNU_SOURCE -Os -Wall -Wno-pointer-sign -Werror -I. -idirafter /usr/include -idirafter /usr/include/$(shell $(CC) -print-multiarch) -MMD -MP -c -o $@ $<
$(BUILD)/core.o: $(CORE:%.c=$(BUILD)/core/%.o)
	@echo "  LD $@"
	@$(LD) -r -o $@ $^

# An archive is made anew, so that a deleted source leaves it.
define archive_rule
$(call archive,$(1)): $(call objects,$(1))
	@mkdir -p $$(@D) && rm -f $$@ && $$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive_rule,$(f))))

# Programs: picket is all programs/command_*.c and programs/picket*.c but the other mains.
PICKET_OBJECTS := $(filter-out $(BUILD)/programs/picketd.o $(BUILD)/programs/picket_agent.o,$(call objects,programs))
$(BUILD)/picket: $(PICKET_OBJECTS) $(call present,$(USES_server))
	@echo "  LD $@"
	@$(LINK) -o $@ $^ $(SERVER_LIBS)
$(BUILD)/picketd: $(BUILD)/programs/picketd.o $(call present,$(USES_server))
	@echo "  LD $@"
	@$(LINK) -o $@ $^ $(SERVER_LIBS)
# Collectors that are left out, and what only they need with them.
COLLECTORS := $(shell sed -n 's/^\#ifndef WITHOUT_//p' agent/collector_table.c | tr A-Z a-z)
left_out    = $(foreach c,$(1),-DWITHOUT_$(shell echo $(c) | tr a-z A-Z))
ifneq ($(filter-out $(COLLECTORS),$(WITHOUT)),)
$(error WITHOUT: there is no collector $(filter-out $(COLLECTORS),$(WITHOUT)); there are $(COLLECTORS))
endif
$(BUILD)/agent/collector_table.o: FLAGS += $(call left_out,$(WITHOUT))
$(BUILD)/least/agent/collector_table.o: agent/collector_table.c Makefile
	@mkdir -p $(@D) && echo "  CC $< (heartbeat alone)"
	@$(CC) $(FLAGS) $(call left_out,$(filter-out heartbeat,$(COLLECTORS))) -c -o $@ $<
$(BUILD)/picket-agent-least: $(BUILD)/programs/picket_agent.o $(BUILD)/least/agent/collector_table.o $(call present,$(USES_agent))
	@echo "  LD $@"
	@$(LINK) -o $@ $^ $(AGENT_LIBS)
$(BUILD)/picket-agent: $(BUILD)/programs/picket_agent.o $(call present,$(USES_agent))
	@echo "  LD $@"
	@$(LINK) -o $@ $^ $(AGENT_LIBS)

SUPPORT = $(call objects,tests/support)
define unit_rule
$(BUILD)/tests/unit/$(1)/%: $(BUILD)/tests/unit/$(1)/%.o $(call objects,tests/support) $(call present,$(USES_$(1)) runtime wire)
	@echo "  LD $$@"
	@$$(LINK) -o $$@ $$^ $$(CHECK_LIBS) $$(SERVER_LIBS) $$(AGENT_LIBS)
endef
$(foreach f,$(FOLDERS),$(eval $(call unit_rule,$(f))))
$(call archive,picket): $(PICKET_OBJECTS)
	@rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/tests/unit/programs/%: $(BUILD)/tests/unit/programs/%.o $(SUPPORT) $(call archive,picket) $(call present,$(USES_server))
	@echo "  LD $@"
	@$(LINK) -o $@ $^ $(CHECK_LIBS) $(SERVER_LIBS)
$(BUILD)/tests/pipeline/%: $(BUILD)/tests/pipeline/%.o $(SUPPORT) $(call present,$(USES_server))
	@echo "  LD $@"
	@$(LINK) -o $@ $^ $(CHECK_LIBS) $(SERVER_LIBS) $(AGENT_LIBS)
$(BUILD)/tests/pipeline/test_agent: | $(BUILD)/picket-agent-least
$(BUILD)/bench/bench_kql: $(BUILD)/programs/kql_files.o
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(SUPPORT) $(call present,$(USES_server))
	@echo "  LD $@"
	@$(LINK) -o $@ $^ $(CHECK_LIBS) $(SERVER_LIBS) $(AGENT_LIBS)
build/fuzz/tests/fuzz/%: build/fuzz/tests/fuzz/%.o $(FUZZ_SUPPORT) $(call present,agent $(USES_server))
	@echo "  LD $@"
	@$(CC) -fsanitize=fuzzer,address,undefined -pthread -o $@ $(if $(findstring fuzz_hub,$@),$(filter-out %/agent/uplink.o,$^),$^) $(SERVER_LIBS) $(AGENT_LIBS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
