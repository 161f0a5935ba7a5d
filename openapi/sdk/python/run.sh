#!/bin/sh
# Runs the Python walk outside of the repository.
# Environment: STRONGROOM_SPEC (file), STRONGROOM_URL, STRONGROOM_SDK_CACHE (folder; a temporary one when unset),
# PYTHON (python3).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
: "${STRONGROOM_SPEC:?names the OpenAPI document, a file}"
: "${STRONGROOM_URL:?names the running server}"
[ -f "$STRONGROOM_SPEC" ] || { echo "STRONGROOM_SPEC: no such file: $STRONGROOM_SPEC" >&2; exit 1; }
spec=$(CDPATH='' cd -- "$(dirname -- "$STRONGROOM_SPEC")" && pwd)/$(basename -- "$STRONGROOM_SPEC")

if [ -n "${STRONGROOM_SDK_CACHE:-}" ]; then
    mkdir -p "$STRONGROOM_SDK_CACHE"
    cache=$(CDPATH='' cd -- "$STRONGROOM_SDK_CACHE" && pwd)
else
    cache=$(mktemp -d)
    trap 'rm -rf "$cache"' EXIT
fi

venv=$cache/python/venv
# The list is copied only after a finished install, and so tells which one the folder holds.
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi

# --meta none writes the package alone, without project files.
client=$cache/python/client
rm -rf "$client"
mkdir -p "$client"
PATH=$venv/bin:$PATH openapi-python-client generate --path "$spec" --config "$here/generator.yaml" --meta none \
    --output-path "$client/strongroom_client" --overwrite --fail-on-warning
PYTHONPATH=$client PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$here/walk.py"
