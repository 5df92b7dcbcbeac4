# What a person types. CMake does the work; CMakePresets.json says how each suite is built.

DIR ?=
CHAOS ?=
PAGE ?=
BASE ?=
JOBS ?= $(shell nproc)
export DIR CHAOS JOBS  # not written into a command: a folder may have any name

suites_test := dev
suites_matrix := clang asan tsan
benchmarks := $(wildcard benchmarks/*.cpp)
soak := $(wildcard tests/chaos/soak.sh)

.PHONY: help
help:
	@echo 'make demo [DIR=folder] [CHAOS=1]  build and run the demo, on the folder or on the C++ reference'
	@echo 'make test                         build and run the tests (g++, about 10 minutes on 2 cores)'
	@echo 'make test-matrix                  the same with clang and the shared library, ASan, UBSan and TSan'
	@echo 'make lint                         layers, banned calls, prose, format, clang-tidy'
	@echo 'make format                       clang-format everything'
	@echo 'make docs                         manual and reference into build/docs'
	@echo 'make coverage                     which lines the tests reach, into build/coverage/html'
	@echo 'make abi [BASE=<tag or commit>]   compare the shared library with the last release, or with BASE'
	@$(if $(benchmarks),echo 'make bench [PAGE=1]               compare with others; PAGE=1 rewrites docs/performance.md')
	@$(if $(benchmarks),echo 'make bench-instructions           instructions per task: what times are too rough for')
	@$(if $(soak),echo 'make soak                         the long forms of the chaos tests')

.PHONY: demo
demo:
	tools/install-deps.sh demo
	tools/run-demo.sh

.PHONY: install-deps
install-deps:
	tools/install-deps.sh matrix

.PHONY: test test-matrix list-suites
test:
	tools/install-deps.sh test
	tools/run-suites.sh $(suites_test)

test-matrix:
	tools/install-deps.sh matrix
	tools/run-suites.sh $(suites_matrix)

list-suites:
	@echo $(suites_test) $(suites_matrix)

.PHONY: lint format
lint:
	tools/install-deps.sh matrix
	tools/check_layers.py
	tools/check_banned.py
	tools/check_includes.py
	tools/check_decisions.py
	tools/check_links.py README.md docs CONTRIBUTING.md SECURITY.md CHANGELOG.md .github
	tools/check_prose.py
	tools/format.sh --check
	cmake --preset dev >/dev/null && cmake --build build/dev --target procpool_objects
	tools/check_symbols.py build/dev
	tools/tidy.sh

format:
	tools/install-deps.sh matrix
	tools/format.sh

.PHONY: docs
docs:
	tools/install-deps.sh docs
	tools/build-docs.sh

.PHONY: abi coverage
abi:
	tools/install-deps.sh abi
	tools/check_abi.sh '$(BASE)'

coverage:
	tools/install-deps.sh coverage
	tools/coverage.sh

ifneq ($(benchmarks),)
.PHONY: bench bench-instructions
bench:
	tools/install-deps.sh bench
	PAGE='$(PAGE)' tools/run-benchmarks.sh

bench-instructions:
	tools/install-deps.sh bench
	tools/run-benchmarks.sh instructions
endif

ifneq ($(soak),)
.PHONY: soak
soak:
	tools/install-deps.sh test
	$(soak)
endif
