#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets up a Debian or Ubuntu machine: the cross compiler, QEMU and espeak-ng, then .venv. Run by `make setup`.
set -eu
cd "$(dirname "$0")"
python="${1:-python3}"

fail() { printf '\nsetup: %s\n' "$1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "no Python found. Install Python 3.11 (apt-get install python3.11 python3.11-venv) and run make setup again."
"$python" - <<'PY' || fail "$("$python" --version 2>&1) is not supported: tinyflow needs Python 3.11 or 3.12. Install one, then: make setup PYTHON=/path/to/python3.11"
import sys
sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12)))
PY

packages=""
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need cc gcc
need arm-none-eabi-gcc gcc-arm-none-eabi
need qemu-system-arm qemu-system-arm
need espeak-ng espeak-ng
if command -v arm-none-eabi-gcc >/dev/null 2>&1; then
  [ "$(arm-none-eabi-gcc -print-file-name=nano.specs)" != nano.specs ] || packages="$packages libnewlib-arm-none-eabi"
else
  packages="$packages libnewlib-arm-none-eabi"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"

if [ -n "$packages" ]; then
  command -v apt-get >/dev/null 2>&1 || fail "missing:$packages. There is no apt-get here: install them with your system's package manager, then run make setup again."
  if [ "$(id -u)" = 0 ]; then as=""
  elif command -v sudo >/dev/null 2>&1; then as="sudo"
  else fail "missing:$packages. You are not root and there is no sudo: ask an administrator to run
  apt-get install --no-install-recommends$packages
then run make setup again."
  fi
  echo "setup: installing$packages"
  $as apt-get update -qq || fail "apt-get update failed; check the network, or install by hand:$packages"
  # shellcheck disable=SC2086
  $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null || fail "apt-get could not install:$packages"
fi

echo "setup: Python packages into .venv (about 7 GB, some minutes)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[search,compile,deploy,test]' || fail "pip failed (see above). Check the network and the disk, then run make setup again."
.venv/bin/python -m pip check || fail "the installed packages contradict each other (see above)"
touch .venv/.ready
.venv/bin/tinyflow doctor || true
