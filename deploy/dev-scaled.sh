#!/usr/bin/env bash
# One API and two workers on throw-away PostgreSQL and Redis servers, until interrupted. For development only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug

# First pass: build, then run this script again with the servers at its side.
if [ -z "${STRONGROOM_TEST_POSTGRES_URL:-}" ]; then
  cargo build --workspace --bins
  exec "$target/with_servers" --durable deploy/dev-scaled.sh
fi

STRONGROOM_DATA_DIR=$(mktemp -d)
# shellcheck disable=SC2046  # one word for each job
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$STRONGROOM_DATA_DIR"' EXIT
trap 'exit 130' INT TERM HUP

# The key lives as long as the database that it protects.
STRONGROOM_ROOT_KEY=${STRONGROOM_ROOT_KEY:-$(head -c 32 /dev/urandom | base64)}
STRONGROOM_DATABASE_URL=$STRONGROOM_TEST_POSTGRES_URL
STRONGROOM_REDIS_URL=$STRONGROOM_TEST_REDIS_URL
STRONGROOM_WORKER=external
export STRONGROOM_DATA_DIR STRONGROOM_ROOT_KEY STRONGROOM_DATABASE_URL STRONGROOM_REDIS_URL STRONGROOM_WORKER

"$target/strongroom-api" serve &
api=$!
# The API migrates the database; workers start on a finished schema.
until "$target/strongroom-api" health >/dev/null 2>&1; do
  kill -0 "$api" 2>/dev/null || { echo "the API did not start" >&2; exit 1; }
  sleep 0.2
done
"$target/strongroom-worker" &
first_worker=$!
"$target/strongroom-worker" &
second_worker=$!
echo "ready: http://${STRONGROOM_LISTEN:-127.0.0.1:8080}, two workers; Ctrl-C ends all"
# One that ends takes the others with it, so that a crash is seen.
while kill -0 "$api" && kill -0 "$first_worker" && kill -0 "$second_worker"; do sleep 1; done 2>/dev/null
