# Albedo: build, test, run. `make help` lists the targets.
#
# Targets that need packages install them first (.ci/setup) and then call this file again, so that
# what pkg-config answers is read after set-up. Plain `make` installs nothing: it names the apt line.
#
#   VARIANT=release|asan|tsan|luajit   one object tree each under build/; release leaves albedo.so here
#   V=1 shows the commands, WERROR=1 makes warnings fatal, CFLAGS=... adds flags

VARIANT ?= release
PREFIX ?= /usr/local
LUA_LIBDIR ?= $(PREFIX)/lib/lua/5.4
LUA_SHAREDIR ?= $(PREFIX)/share/lua/5.4
LUA ?= lua5.4
LUA_PKG ?= $(if $(filter luajit,$(VARIANT)),luajit,lua5.4)
ifeq ($(origin CC),default)
CC := gcc
endif
NPROC := $(shell nproc 2>/dev/null || echo 1)
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))

B := build/$(VARIANT)
OUT := $(if $(filter release,$(VARIANT)),.,$(B))
SO := $(if $(filter release,$(VARIANT)),albedo.so,$(B)/albedo.so)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' '$(1)' '$(2)';)
# recipe time only: keeps the caller's -j, else uses every core
again = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(NPROC))
# -isystem: warnings are about our code
pkg = $(patsubst -I%,-isystem %,$(shell pkg-config $(1) 2>/dev/null))

# --- flags --------------------------------------------------------------------------------------
# No -ffast-math: NaN must stay NaN, and linking with it flushes denormals in the whole process.
WARN := -Wall -Wextra -Wshadow -Wconversion $(if $(WERROR),-Werror)
# FAST where unrolled and peeled loops pay: the compute-bound kernels. LEAN elsewhere: as vectorised,
# half the code.
FAST := -O3
LEAN := -O2 $(if $(findstring clang,$(CC)),,-ftree-vectorize -fvect-cost-model=dynamic --param vect-epilogues-nomask=0)
# SMALL for ops whose loops are all in csrc/kernel: what is left checks arguments and lays out calls.
SMALL := -Os
SMALL_OPS := conv einsum fourier linear norm pool recurrent reduce resample resize view
# the C tests' plain loops; vectorising pool_test.c for aarch64 crashes GCC 12
CHECK := $(if $(filter asan tsan,$(VARIANT)),-O1,-O2 -fno-tree-vectorize)
DEBUG := -fno-asynchronous-unwind-tables
STRIP := -Wl,-s
ifeq ($(VARIANT),asan)
DEBUG := -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(VARIANT),tsan)
DEBUG := -g -fsanitize=thread
else ifeq ($(VARIANT),luajit)
DEBUG := -fasynchronous-unwind-tables# LuaJIT's errors find their way by these
endif
SAN := $(filter -fsanitize=%,$(DEBUG))
ifneq ($(SAN),)
FAST := -O1
LEAN := -O1
SMALL := -O1
STRIP :=
endif
BLAS_PKG := $(if $(NO_BLAS),,openblas)
override CFLAGS := -std=gnu11 $(DEBUG) -fPIC -fopenmp -fno-math-errno -fno-trapping-math -fno-semantic-interposition \
  $(WARN) -Icsrc $(if $(NO_BLAS),-DAL_NO_BLAS,$(call pkg,--cflags $(BLAS_PKG))) $(CFLAGS)
LIBS := -fopenmp $(SAN) $(if $(NO_BLAS),,$(call pkg,--libs $(BLAS_PKG))) -lm
# nodelete: Lua unloads modules when it closes, while OpenMP's threads still wait inside libgomp;
# unmapping that crashes at exit.
# -Bsymbolic: our own names are bound when linking, with no table of jumps between files; the parts lie
# together without padding (together 26 kB).
SO_FLAGS := -shared -Wl,-soname,albedo.so -Wl,-Bsymbolic -Wl,-z,noseparate-code -Wl,-z,pack-relative-relocs -Wl,-z,nodelete -Wl,--as-needed $(STRIP)
LUA_CFLAGS := $(call pkg,--cflags $(LUA_PKG))

# --- what to build ------------------------------------------------------------------------------
# Every csrc/kernel/*.c is compiled once an instruction set; csrc/core/isa.h chooses at run time.
ISA := generic $(if $(filter x86_64,$(ARCH)),avx2 avx512)
ISA_generic :=
ISA_avx2 := -march=x86-64-v3
ISA_avx512 := -march=x86-64-v4 -mprefer-vector-width=512

# Which kernels are LEAN; of the plain x86-64 build, which few machines run, these too.
LEAN_generic := $(if $(filter x86_64,$(ARCH)),conv% gemm% optim pool resample resize)
LEAN_avx512 := conv_depthwise
LEAN_KERNELS := conv_depthwise3 elementwise elementwise_binary match norm optim pool random recurrent reduce resample resize softmax

# Objects that know no Lua serve both: the LuaJIT module takes the release's.
K := $(if $(filter luajit,$(VARIANT)),build/release,$(B))
CORE_SRC := $(wildcard csrc/*.c csrc/core/*.c csrc/grad/*.c csrc/op/*.c csrc/io/*.c)
KERNEL_SRC := $(wildcard csrc/kernel/*.c)
LUA_SRC := $(wildcard csrc/lua/*.c)
TEST_SRC := $(wildcard spec/c/*.c)
CORE_OBJ := $(CORE_SRC:csrc/%.c=$(K)/%.o) $(foreach i,$(ISA),$(KERNEL_SRC:csrc/%.c=$(K)/%.$(i).o))
LUA_OBJ := $(LUA_SRC:csrc/%.c=$(B)/%.o)
TESTS := $(if $(filter luajit,$(VARIANT)),,$(TEST_SRC:spec/c/%.c=$(B)/spec/%))

# A plugin is csrc/plugin/NAME/*.c; what it needs stands in csrc/plugin/NAME/libs: pkg-config names, or -lNAME
# of a library that pkg-config does not know.
NATIVE := $(if $(filter release,$(VARIANT)),,$(B)/)lua/albedo/native
PLUGINS := $(patsubst csrc/plugin/%/,%,$(sort $(dir $(wildcard csrc/plugin/*/*.c))))
plugin_pkgs = $(shell cat csrc/plugin/$(1)/libs 2>/dev/null)
plugin_has = $(if $(filter -l%,$(1)),printf '' | $(CC) -shared -xc - -xnone $(filter -l%,$(1)) -o /dev/null &&) \
  $(if $(filter-out -l%,$(1)),pkg-config --exists $(filter-out -l%,$(1)),true)
HAVE := $(foreach p,$(PLUGINS),$(shell { $(call plugin_has,$(call plugin_pkgs,$(p))); } 2>/dev/null && echo $(p)))
PLUGIN_SO := $(HAVE:%=$(NATIVE)/%.so)

.DEFAULT_GOAL := all
.PHONY: all build deps missing-plugins tests run-tests setup test lint format luajit soak asan tsan fuzz bench bench-scaling bench-loader \
  check-peer check-onnx check-portable check-instructions copymove claims repl docs install uninstall clean size help FORCE
.SECONDARY:

# --- build --------------------------------------------------------------------------------------
all: build                ## build albedo.so and its plugins (installs nothing)
build: deps $(SO) $(PLUGIN_SO) missing-plugins $(if $(filter release,$(VARIANT)),,$(B)/lua/albedo/.links)
	@:

deps:
	@$(if $(NO_BLAS),true,.ci/setup --check build)

missing-plugins:
	@$(foreach p,$(filter-out $(HAVE),$(PLUGINS)),echo 'albedo: plugin $(p) skipped, no $(call plugin_pkgs,$(p))';) true

# The text of each .flags file is what its targets were made with: they are remade when it changes.
keep = @mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@
$(B)/compile.flags: FORCE
	$(call keep,$(CC) $(shell $(CC) -dumpfullversion 2>/dev/null) $(FAST) $(LEAN) $(SMALL) $(SMALL_OPS) $(LEAN_generic) $(LEAN_avx512) $(LEAN_KERNELS) $(CFLAGS) $(LUA_CFLAGS))
$(B)/link.flags: FORCE
	$(call keep,$(SO_FLAGS) $(CORE_OBJ) $(LUA_OBJ) $(LIBS) $(LDFLAGS))

$(B)/%.o: csrc/%.c $(B)/compile.flags | deps
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(if $(filter $(SMALL_OPS:%=op/%) plugin/jpegs/%,$*),$(SMALL),$(LEAN)) $(CFLAGS) $(EXTRA) -MMD -MP -c $< -o $@
$(LUA_OBJ): EXTRA = $(LUA_CFLAGS)

define kernel_rule
$(B)/kernel/%.$(1).o: csrc/kernel/%.c $(B)/compile.flags | deps
	$$(call say,CC,$$< $(1))mkdir -p $$(@D) && $$(CC) \
	  $$(if $$(filter $$(LEAN_KERNELS) $$(LEAN_$(1)),$$*),$$(LEAN),$$(FAST)) $$(CFLAGS) -DAL_ISA=$(1) $(ISA_$(1)) -MMD -MP -c $$< -o $$@
endef
$(foreach i,$(ISA),$(eval $(call kernel_rule,$(i))))

# Lua's own symbols stay open in a module; none of ours may.
$(SO): $(CORE_OBJ) $(LUA_OBJ) $(B)/link.flags
	$(call say,LINK,$@)$(CC) $(SO_FLAGS) -o $(B)/$(@F).new $(CORE_OBJ) $(LUA_OBJ) $(LDFLAGS) $(LIBS) && \
	  ! nm -D --undefined-only $(B)/$(@F).new | grep ' al_' && mv -f $(B)/$(@F).new $@

# Linked against albedo.so by its soname, which is loaded already when a plugin is opened.
define plugin_rule
$(patsubst csrc/%.c,$(B)/%.o,$(wildcard csrc/plugin/$(1)/*.c)): EXTRA = $(call pkg,--cflags $(filter-out -l%,$(call plugin_pkgs,$(1))))
$(NATIVE)/$(1).so: $(patsubst csrc/%.c,$(B)/%.o,$(wildcard csrc/plugin/$(1)/*.c)) | $(SO)
	$$(call say,LINK,$$@)mkdir -p $$(@D) && $$(CC) -shared -Wl,--as-needed -Wl,-z,noseparate-code $(STRIP) -o $(B)/$$(@F).new $$(filter %.o,$$^) $(SO) \
	  $$(SAN) $$(LDFLAGS) $(filter -l%,$(call plugin_pkgs,$(1))) $(call pkg,--libs $(filter-out -l%,$(call plugin_pkgs,$(1)))) && mv -f $(B)/$$(@F).new $$@
endef
$(foreach p,$(HAVE),$(eval $(call plugin_rule,$(p))))

# A variant finds the Lua side beside itself too, with its own plugins.
$(B)/lua/albedo/.links: FORCE
	@mkdir -p $(@D) && find $(@D) -maxdepth 1 -type l -delete && \
	  for f in lua/albedo/*; do [ "$$f" = lua/albedo/native ] || [ ! -e "$$f" ] || ln -sfn "$(CURDIR)/$$f" $(@D)/; done

$(B)/spec/%: spec/c/%.c $(CORE_OBJ) $(B)/compile.flags $(B)/link.flags
	$(call say,TEST,$<)mkdir -p $(@D) && $(CC) $(CHECK) $(CFLAGS) -MMD -MP -MF $@.d $< -o $@ $(CORE_OBJ) $(LDFLAGS) $(LIBS)
tests: $(TESTS)
	@:

-include $(patsubst %.o,%.d,$(CORE_OBJ) $(LUA_OBJ)) $(TESTS:=.d) $(wildcard $(B)/plugin/*/*.d)

# --- set-up, test, check ------------------------------------------------------------------------
setup:                    ## install by apt what is missing to build, test and run
	@.ci/setup build files run test

test: setup               ## set up, build, run the C tests and the specs (SPEC=file ARGS='--filter x')
	@+$(again) build tests && $(MAKE) --no-print-directory run-tests

run-tests:
	@CC='$(CC)' LUA='$(LUA)' spec/run '$(OUT)' '$(SPEC)' '$(ARGS)' $(TESTS)

check-peer: setup         ## random cases of every op against PyTorch (ARGS='--op NAME --seed N --scale F')
	@.ci/setup compare
	@+$(again) build && LUA='$(LUA)' spec/peer/run '$(OUT)' $(ARGS)

soak: setup               ## kill -9 at random instants of a training, taken up each time (ARGS=20: kills)
	@+$(again) build && $(LUA) spec/soak/run.lua $(ARGS)

lint:                     ## luacheck, clang-format, layers look down only, LuaJIT parses lua/
	@.ci/setup lint && .ci/lint

format:                   ## clang-format every C file in place
	@git ls-files -co --exclude-standard 'csrc/*.[ch]' 'spec/c/*.[ch]' | xargs -r clang-format -i

luajit: setup             ## the same for LuaJIT: build/luajit/albedo.so, and the specs (SPEC=, ARGS=)
	@.ci/setup luajit
	@+$(again) build && $(again) VARIANT=luajit build && $(MAKE) --no-print-directory VARIANT=luajit LUA=luajit run-tests

asan: setup               ## the whole suite under AddressSanitizer and UBSan
	@+$(again) VARIANT=asan build tests && \
	  PRELOAD="$$($(CC) -print-file-name=libasan.so):$$($(CC) -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=halt_on_error=1:abort_on_error=0:detect_leaks=0:$$ASAN_OPTIONS \
	  ALBEDO_LIGHT=1 TEST_TIMEOUT=900 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:$$UBSAN_OPTIONS \
	  $(MAKE) --no-print-directory VARIANT=asan run-tests

# zstd allocates 128 MB for a window that a file of a few bytes asks for, and touches what it decodes.
fuzz: setup               ## 100,000 mutated files to each reader, under ASan (ARGS='--reader tiff --inputs 1000 --seed 1')
	@+$(again) VARIANT=asan build && \
	  PRELOAD="$$($(CC) -print-file-name=libasan.so):$$($(CC) -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=halt_on_error=1:detect_leaks=0:allocator_may_return_null=0:max_allocation_size_mb=192:quarantine_size_mb=8:$$ASAN_OPTIONS \
	  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:$$UBSAN_OPTIONS LUA='$(LUA)' spec/fuzz/run build/asan $(ARGS)

tsan: setup               ## the C tests under ThreadSanitizer
	@+$(again) VARIANT=tsan tests && .ci/tsan $(TEST_SRC:spec/c/%.c=build/tsan/spec/%)

bench: setup              ## micro-benchmarks; models and ops beside PyTorch's and the machine's peaks (ARGS=--rounds 5)
	@.ci/setup compare && $(again) build && mkdir -p $(B)/spec && \
	  $(CC) -O3 -march=native -fopenmp -o $(B)/spec/peak spec/bench/peak.c && $(B)/spec/peak && \
	  for f in small churn image; do echo "== $$f" && $(LUA) spec/bench/$$f.lua || exit 1; done && \
	  for w in steps ops; do echo "== $$w" && $(LUA) spec/bench/versus.lua $$w --peak $(B)/spec/peak $(ARGS) || exit 1; done && \
	  echo "== scikit" && $(LUA) spec/bench/scikit.lua

bench-scaling: setup      ## time against batch, size, depth and threads, exponents fitted (ARGS=--threads 4)
	@$(again) build && $(LUA) spec/bench/scaling.lua $(ARGS)

bench-loader: setup       ## the loader's share of a small CNN's step, 0, 1 and 2 workers (ARGS=--threads 1)
	@+$(again) build && $(LUA) spec/bench/loader.lua $(ARGS)

check-instructions: setup ## instructions a call of small workloads by callgrind, against those recorded
	@.ci/setup count && $(again) build && .ci/instructions $(ARGS)

check-onnx: setup         ## exported networks, at full size too, in ONNX Runtime (fetched by npm)
	@$(again) build && rm -rf build/onnx && mkdir -p build/npm build/onnx && \
	  { [ -d build/npm/node_modules/onnxruntime-web ] || npm install --prefix build/npm --silent --no-audit --no-fund onnxruntime-web; } && \
	  $(LUA) spec/support/onnx_full.lua build/onnx && node spec/support/onnx_run.mjs build/npm build/onnx; s=$$?; rm -rf build/onnx; exit $$s

check-portable: setup     ## C tests under qemu: x86-64 without AVX, and aarch64
	@.ci/setup portable
	@+$(again) build tests && $(again) VARIANT=aarch64 CC=aarch64-linux-gnu-gcc NO_BLAS=1 LDFLAGS=-static tests
	@.ci/portable $(TEST_SRC:spec/c/%.c=%)

# --- run ----------------------------------------------------------------------------------------
copymove:                 ## set up, build, run copy-move forgery detection (ARGS=--quick, ARGS=--help)
	@.ci/setup build run demo
	@+$(again) build
	@$(LUA) experiments/copymove.lua $(ARGS)

CLAIMS := runs/claims
EXPERIMENTS := $(patsubst experiments/%.lua,%,$(wildcard experiments/*.lua))
claims:                   ## every experiment at length, resumable, and CLAIMS.html (ARGS=--data DIR, LENGTH=--quick)
	@.ci/setup build run demo files
	@+$(again) build
	@for e in $(EXPERIMENTS); do $(LUA) experiments/$$e.lua $(or $(LENGTH),--claims) --out $(CLAIMS)/$$e $(ARGS) || \
	  echo "albedo: $$e failed, the page will say so" >&2; done
	@$(LUA) -e 'local al = require "albedo" local n = al.lab.claims("CLAIMS.html", {$(EXPERIMENTS:%="$(CLAIMS)/%",)}) print("CLAIMS.html: " .. n .. " experiments") os.exit(n >= 2)'

.PHONY: weights
weights: build            ## MobileNetV2 and Inception-v3 of the npm package nsfwjs as safetensors in weights/
	@LUA='$(LUA)' .ci/weights

repl: setup               ## an interactive Lua with `al` loaded, completion and saved history
	@.ci/setup repl
	@+$(again) build
	@$(LUA) -l albedo -e 'require "albedo.repl"()'

docs: setup               ## the manual as static pages with search: build/docs/index.html
	@.ci/setup docs
	@+$(again) build
	@$(LUA) -l albedo -e 'print(("build/docs/index.html: %d pages, %d names"):format(require("albedo.manual").build("build/docs")))'

install: build            ## install under $(DESTDIR)$(PREFIX)
	install -D -m 755 $(SO) $(DESTDIR)$(LUA_LIBDIR)/albedo.so
	cd lua/albedo && find . -name '*.lua' -exec install -D -m 644 {} $(abspath $(DESTDIR)$(LUA_SHAREDIR))/albedo/{} \;
	$(foreach p,$(HAVE),install -D -m 755 $(NATIVE)/$(p).so $(DESTDIR)$(LUA_SHAREDIR)/albedo/native/$(p).so;)

uninstall:                ## remove what install put there
	rm -rf $(DESTDIR)$(LUA_LIBDIR)/albedo.so $(DESTDIR)$(LUA_SHAREDIR)/albedo

clean:                    ## remove what was built
	rm -rf build albedo.so lua/albedo/native

size:                     ## lines a file, bytes of what is built
	@git ls-files 'csrc/*.[ch]' 'lua/*.lua' 'experiments/*.lua' 'examples/*.lua' 'spec/*.lua' 'spec/*.[ch]' | xargs -r wc -l | sort -n
	@ls -l albedo.so lua/albedo/native/*.so 2>/dev/null | awk '{ print $$5, $$9; s += $$5 } END { print s + 0, "bytes in all" }'

help:                     ## this list
	@echo 'make TARGET [VARIANT=release|asan|tsan|luajit] [V=1] [WERROR=1]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile
