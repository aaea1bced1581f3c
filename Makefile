# Two commands on a fresh Debian machine: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin

.PHONY: demo test test-fast setup system clean

demo: setup
	$(BIN)/tinyflow demo

test: setup
	$(BIN)/python -m pytest

# Only what runs everywhere in a few minutes.
test-fast: setup
	$(BIN)/python -m pytest -m "not slow and not qemu"

setup: .venv/.ready

.venv/.ready: pyproject.toml setup.sh
	./setup.sh "$(PYTHON)"

clean:
	rm -rf .venv build *.egg-info
