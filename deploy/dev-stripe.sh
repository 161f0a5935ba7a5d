#!/usr/bin/env bash
# The server with its defaults and a stand-in for Stripe beside it, until interrupted. For development only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug
cargo build -p strongroom-api -p stripe-double --bins

listen=${STRONGROOM_LISTEN:-127.0.0.1:8080}
double=127.0.0.1:${STRIPE_DOUBLE_PORT:-8420}
# A database of its own, so that nobody's organisations come to know customers that end with the double.
STRONGROOM_DATA_DIR=$(mktemp -d)
# shellcheck disable=SC2046  # one word for each job
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$STRONGROOM_DATA_DIR"' EXIT
trap 'exit 130' INT TERM HUP

STRONGROOM_STRIPE_API_BASE=http://$double
STRONGROOM_STRIPE_SECRET_KEY=sk_test_double
STRONGROOM_STRIPE_WEBHOOK_SECRET=whsec_double
export STRONGROOM_DATA_DIR STRONGROOM_STRIPE_API_BASE STRONGROOM_STRIPE_SECRET_KEY STRONGROOM_STRIPE_WEBHOOK_SECRET

"$target/stripe-double" --listen "$double" --webhook "http://$listen/v1/billing/webhook" &
stripe=$!
"$target/strongroom-api" serve &
api=$!
until "$target/strongroom-api" health >/dev/null 2>&1; do
  kill -0 "$api" 2>/dev/null || { echo "the API did not start" >&2; exit 1; }
  sleep 0.2
done
echo "ready: http://$listen, Stripe's double at http://$double (tests/stripe-double/README.md); Ctrl-C ends all"
# One that ends takes the other with it, so that a crash is seen.
while kill -0 "$api" && kill -0 "$stripe"; do sleep 1; done 2>/dev/null
