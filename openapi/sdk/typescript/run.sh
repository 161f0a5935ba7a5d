#!/bin/sh
# Runs the TypeScript walk outside of the repository.
# Environment: STRONGROOM_SPEC (file), STRONGROOM_URL, STRONGROOM_SDK_CACHE (folder; a temporary one when unset).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
: "${STRONGROOM_SPEC:?names the OpenAPI document, a file}"
: "${STRONGROOM_URL:?names the running server}"
[ -f "$STRONGROOM_SPEC" ] || { echo "STRONGROOM_SPEC: no such file: $STRONGROOM_SPEC" >&2; exit 1; }
STRONGROOM_SPEC=$(CDPATH='' cd -- "$(dirname -- "$STRONGROOM_SPEC")" && pwd)/$(basename -- "$STRONGROOM_SPEC")
export STRONGROOM_SPEC

if [ -n "${STRONGROOM_SDK_CACHE:-}" ]; then
    mkdir -p "$STRONGROOM_SDK_CACHE"
    cache=$(CDPATH='' cd -- "$STRONGROOM_SDK_CACHE" && pwd)
else
    cache=$(mktemp -d)
    trap 'rm -rf "$cache"' EXIT
fi

work=$cache/typescript
mkdir -p "$work"
cp "$here/package.json" "$here/tsconfig.json" "$here/walk.ts" "$work/"
# The lock file is copied only after a finished install, and so tells which one the folder holds.
if ! cmp -s "$here/package-lock.json" "$work/package-lock.json" || [ ! -d "$work/node_modules" ]; then
    rm -f "$work/package-lock.json"
    mkdir -p "$work/.install"
    cp "$here/package.json" "$here/package-lock.json" "$work/.install/"
    (cd "$work/.install" && npm ci --no-audit --no-fund --loglevel=error)
    rm -rf "$work/node_modules"
    mv "$work/.install/node_modules" "$work/node_modules"
    cp "$here/package-lock.json" "$work/package-lock.json"
fi
cd "$work"
npm run --silent walk
