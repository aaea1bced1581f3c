#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets up a Debian or Ubuntu machine: the cross compiler, QEMU (newer than Debian 12's own, from its backports), OpenOCD and
# espeak-ng, then .venv. Run by `make setup`.
set -eu
cd "$(dirname "$0")"
python="${1:-python3}"

fail() { printf '\nsetup: %s\n' "$1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "no Python found. Install Python 3.11 (apt-get install python3.11 python3.11-venv) and run make setup again."
"$python" - <<'PY' || fail "$("$python" --version 2>&1) is not supported: tinyflow needs Python 3.11 or 3.12. Install one, then: make setup PYTHON=/path/to/python3.11"
import sys
sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12)))
PY

packages="" # without which tinyflow does not work
wanted=""   # without which only some boards or commands do not
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need cc gcc
need arm-none-eabi-gcc gcc-arm-none-eabi
need qemu-system-arm qemu-system-arm
need espeak-ng espeak-ng
command -v openocd >/dev/null 2>&1 || wanted="$wanted openocd"
command -v cmake >/dev/null 2>&1 || wanted="$wanted cmake" # tests of exports
new_qemu() { qemu-system-arm -machine help 2>/dev/null | grep -q '^b-l475e-iot01a '; } # 9.1 or newer
if command -v arm-none-eabi-gcc >/dev/null 2>&1; then
  [ "$(arm-none-eabi-gcc -print-file-name=nano.specs)" != nano.specs ] || packages="$packages libnewlib-arm-none-eabi"
else
  packages="$packages libnewlib-arm-none-eabi"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"

if [ "$(id -u)" = 0 ]; then as=""
elif command -v sudo >/dev/null 2>&1; then as="sudo"
else as="nobody"
fi
add() { $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }

# Adds Debian's backports by the address and the key that this machine takes Debian itself from; says the suite's name.
backports() {
  release="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")"
  if [ -z "$(apt-get indextargets "Created-By: Packages" "Release: $release-backports")" ]; then
    debian="$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Label: Debian" "Release: $release" "Component: main" | head -n 1)"
    source="$("$python" tinyflow/apt_sources.py "$release" "$debian")" && [ -n "$source" ] || return 1
    case "$source" in deb*) file=/etc/apt/sources.list.d/tinyflow-backports.list ;; *) file=/etc/apt/sources.list.d/tinyflow-backports.sources ;; esac
    printf '%s\n' "$source" | $as tee "$file" >/dev/null || return 1
    $as apt-get update -qq >&2 || { $as rm -f "$file"; $as apt-get update -qq >&2; return 1; }
  fi
  echo "$release-backports"
}

if [ -n "$packages" ]; then
  command -v apt-get >/dev/null 2>&1 || fail "missing:$packages. There is no apt-get here: install them with your system's package manager, then run make setup again."
  [ "$as" != nobody ] || fail "missing:$packages. You are not root and there is no sudo: ask an administrator to run
  apt-get install --no-install-recommends$packages
then run make setup again."
fi
if command -v apt-get >/dev/null 2>&1 && [ "$as" != nobody ] && { [ -n "$packages$wanted" ] || ! new_qemu; }; then
  [ -z "$packages$wanted" ] || echo "setup: installing$packages$wanted"
  $as apt-get update -qq || [ -z "$packages" ] || fail "apt-get update failed; check the network, or install by hand:$packages"
  # shellcheck disable=SC2086
  add $packages $wanted || add $packages || fail "apt-get could not install:$packages"
  if ! new_qemu; then
    echo "setup: a newer QEMU, from backports"
    suite="$(backports)" && add -t "$suite" qemu-system-arm || echo "setup: backports cannot be had here" >&2
  fi
fi
new_qemu || echo "setup: $(qemu-system-arm --version | head -n 1) stays: board b-l475e-iot01a needs QEMU 9.1 or newer, and its tests are skipped; all else works"

echo "setup: Python packages into .venv (about 7 GB, some minutes)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
versions="constraints-$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt" # exact ones: make lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c "$versions" -e '.[all,test,lint,docs]' || fail "pip failed (see above). Check the network and the disk, then run make setup again."
.venv/bin/python -m pip check || fail "the installed packages contradict each other (see above)"
touch .venv/.ready
.venv/bin/tinyflow doctor || true
