#!/bin/sh
# Checks an OpenAPI 3.1 document with two validators that know nothing of each other.
# Use: validate.sh SPEC. Environment: STRONGROOM_SDK_CACHE (folder; a temporary one when unset), PYTHON (python3).
set -eu

validator=openapi-spec-validator==0.9.0
redocly=@redocly/cli@2.77.0

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
given=${1:?names the OpenAPI document, a file}
[ -f "$given" ] || { echo "no such file: $given" >&2; exit 1; }
spec=$(CDPATH='' cd -- "$(dirname -- "$given")" && pwd)/$(basename -- "$given")

if [ -n "${STRONGROOM_SDK_CACHE:-}" ]; then
    mkdir -p "$STRONGROOM_SDK_CACHE"
    cache=$(CDPATH='' cd -- "$STRONGROOM_SDK_CACHE" && pwd)
else
    cache=$(mktemp -d)
    trap 'rm -rf "$cache"' EXIT
fi

# Each folder says what it holds once its install is finished.
venv=$cache/validator/venv
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$validator" ]; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$validator"
    echo "$validator" >"$venv/installed"
fi
node=$cache/validator/node
if [ "$(cat "$node/installed" 2>/dev/null)" != "$redocly" ]; then
    rm -rf "$node"
    mkdir -p "$node"
    npm install --prefix "$node" --no-save --no-audit --no-fund --loglevel=error "$redocly"
    echo "$redocly" >"$node/installed"
fi

failed=0
"$venv/bin/openapi-spec-validator" --schema 3.1 "$spec" || failed=1
REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true "$node/node_modules/.bin/redocly" \
    lint --config "$here/redocly.yaml" "$spec" || failed=1
exit $failed
