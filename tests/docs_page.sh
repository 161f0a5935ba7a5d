#!/usr/bin/env bash
# Opens the interactive documents of a fresh server in headless Chromium and counts the operations that it shows.
# Not part of the tests: it needs Chromium. Usage: tests/docs_page.sh [SCREENSHOT.png]. Environment: CHROMIUM.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
folder=$(mktemp -d)
screenshot=${1:-$folder/docs.png}
server=
finish() {
  if [ -n "$server" ]; then
    kill "$server" && wait "$server" || true
  fi
  rm -rf "$folder"
}
trap finish EXIT

cargo build -q -p strongroom-api
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
port=$((20000 + RANDOM % 20000))
url=http://127.0.0.1:$port
STRONGROOM_LISTEN=127.0.0.1:$port STRONGROOM_DATA_DIR=$folder/data "$target/debug/strongroom-api" >"$folder/log" 2>&1 &
server=$!
for _ in $(seq 100); do
  curl -fsS "$url/ready" >/dev/null 2>&1 && break
  sleep 0.1
done

# Opens the page at a fragment, `#/Secrets`, which unfolds that section.
browse() {
  local fragment=$1
  shift
  "$chromium" --headless --no-sandbox --disable-gpu --user-data-dir="$folder/profile" --window-size=1280,1600 \
    --virtual-time-budget=20000 "$@" "$url/docs$fragment" 2>/dev/null
}

curl -fsS "$url/openapi.json" >"$folder/openapi.json"
browse '#/Secrets' --screenshot="$screenshot" >/dev/null
documented=$(grep -c '"operationId"' "$folder/openapi.json")
for section in $(sed -n '/^  "tags": \[/,/^  \]/s/.*"name": "\(.*\)".*/\1/p' "$folder/openapi.json"); do
  browse "#/$section" --dump-dom | grep -o 'id="operations-[^"]*"' | grep -v 'operations-tag-' || true
done | sort -u >"$folder/shown"
# The webhooks of the document are shown beside the sections.
shown=$(wc -l <"$folder/shown")
echo "operations: $documented documented, $shown shown; screenshot: $screenshot"
[ "$shown" -eq "$documented" ]
