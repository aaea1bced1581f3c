# On a fresh Debian machine: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin

.PHONY: demo test test-fast test-wheel nightly coverage lint docs setup lock clean

demo: setup
	$(BIN)/tinyflow demo

# One thread a process: torch's two threads on two busy cores wait for each other.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# What is written here reads alike and leads somewhere: formatters, linters, types, links; settings in pyproject.toml, .clang-format, .yamllint.
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(find firmware -name '*.c' -o -name '*.h' -o -name '*.cc')
	$(BIN)/yamllint --strict .
	$(BIN)/python docs/links.py

# The pages of docs/ and the reference from docstrings, into build/site; a warning, a link or an anchor that leads nowhere is an error.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Only what runs everywhere in a few minutes.
test-fast: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not qemu"

# The same, and which lines of tinyflow/ they reach. Not in `make test`: tracing nearly doubles what Python itself takes (not on 3.12).
coverage: setup
	COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not qemu" --cov --cov-report=html:build/coverage
	@echo "coverage of tinyflow/ by the fast tests: $$($(BIN)/coverage report --format=total) %, by line in build/coverage/index.html"

# The wheel of HEAD in a fresh environment, far from the repository; needs the package index.
test-wheel: setup
	$(BIN)/python -m pytest -rP -m wheel

# What takes hours or gigabytes: the wheel's larger sizes ([train], [convert], [all]), the base at its lowest versions.
nightly: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rP -m nightly

setup: .venv/.ready

.venv/.ready: pyproject.toml setup.sh $(wildcard constraints-*.txt)
	./setup.sh "$(PYTHON)"

# The exact versions that setup installs, constraints-3.11.txt or -3.12: what a fresh install of the newest that pyproject.toml
# allows brings to this PYTHON. After a change of dependencies: make lock PYTHON=python3.11; make lock PYTHON=python3.12; make test
lock:
	rm -rf build/lock
	"$(PYTHON)" -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check '.[all,test,lint,docs]'
	build/lock/bin/python -m pip check
	build/lock/bin/python -m pip freeze --disable-pip-version-check --exclude tinyflow-mcu > build/lock/frozen
	(echo '# Written by make lock.'; cat build/lock/frozen) > constraints-$$(build/lock/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
	rm -rf build/lock

clean:
	rm -rf .venv build *.egg-info
