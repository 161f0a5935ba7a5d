#!/usr/bin/env bash
# Builds Strongroom and runs every test, with PostgreSQL and Redis started for it.
# Usage: tests/run.sh [argument of "cargo test"…]. Needs neither just nor cargo-nextest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

section() { printf '\n== %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

has_postgres() { has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
# Debian ships venv without ensurepip unless python3-venv is there.
has_venv() { has python3 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }
# A mail server of other people's, for tests/fixtures/mail_server.py.
has_aiosmtpd() {
  local python
  for python in python3 /usr/bin/python3; do
    has "$python" && "$python" -c 'import aiosmtpd' >/dev/null 2>&1 && return
  done
  return 1
}

# Turns the clocks of processes; those tests are for Linux.
has_faketime() {
  [ "$(uname)" = Linux ] || return 0
  compgen -G '/usr/lib*/*/faketime/libfaketimeMT.so.1' >/dev/null ||
    compgen -G '/usr/lib*/faketime/libfaketimeMT.so.1' >/dev/null
}

# For the tests of pages; CHROMIUM may name another one.
has_chromium() {
  local program
  for program in "${CHROMIUM:-chromium}" chromium-browser google-chrome; do
    has "$program" && return
  done
  return 1
}

# Debian's names of the packages that are missing.
missing_packages() {
  has_postgres || echo postgresql
  has redis-server || echo redis-server
  has oathtool || echo oathtool
  has_faketime || echo libfaketime
  has_venv || echo python3-venv
  has_aiosmtpd || echo python3-aiosmtpd
  has node || echo nodejs
  has npm || echo npm
  has_chromium || echo chromium
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

may_install() {
  has apt-get || return 1
  [ "$(id -u)" -eq 0 ] || { has sudo && sudo -n true 2>/dev/null; }
}

install_missing() {
  local packages
  packages=$(missing_packages | tr '\n' ' ')
  if [ -z "$packages" ]; then
    echo "everything is there"
    return
  fi
  echo "missing: $packages"
  if may_install; then
    as_root apt-get update -qq
    # shellcheck disable=SC2086  # one word for each package
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
  fi
  if [ -n "$(missing_packages)" ]; then
    cat >&2 <<'HELP'
Install what is missing, then run this again:
  Debian, Ubuntu  sudo apt-get install postgresql redis-server oathtool libfaketime python3-venv python3-aiosmtpd nodejs npm chromium
  Fedora, RHEL    sudo dnf install postgresql-server redis oathtool libfaketime python3 python3-aiosmtpd nodejs npm chromium
  macOS           brew install postgresql@16 redis oath-toolkit python node && pip3 install aiosmtpd
                  brew install --cask google-chrome && export CHROMIUM='/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
HELP
    exit 1
  fi
}

target_directory() {
  cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

section "Programs that the tests need"
install_missing

section "Build"
cargo build --workspace

section "Test"
# Tests wait for servers, clocks and disks more than they compute.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) * 2))}
# Run directly and not through "cargo run", whose variables would make the inner cargo build again.
exec "$(target_directory)/debug/with_servers" cargo test --workspace --no-fail-fast "$@"
