#!/usr/bin/env bash
# Makes the secret files that compose.yaml mounts, in deploy/secrets. Keeps those that exist.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The folder keeps other users of this machine out; the files are readable because each container has its own user.
umask 022
mkdir -p secrets
chmod 700 secrets
echo '*' >secrets/.gitignore

keep_or_write() {
  local file="secrets/$1"
  if [ -s "$file" ]; then
    cat >/dev/null
    echo "kept $file"
  else
    cat >"$file"
    chmod 444 "$file"
    echo "made $file"
  fi
}

random_hex() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

random_hex | keep_or_write postgres_password
random_hex | keep_or_write redis_password
head -c 32 /dev/urandom | base64 | keep_or_write root_key
head -c 32 /dev/urandom | base64 | keep_or_write backup_key
printf 'postgres://strongroom:%s@postgres:5432/strongroom\n' "$(cat secrets/postgres_password)" | keep_or_write database_url
printf 'redis://:%s@redis:6379\n' "$(cat secrets/redis_password)" | keep_or_write redis_url

echo "Copy secrets/root_key to a safe place: without it no stored secret can be read again."
echo "Copy secrets/backup_key there too: without it no backup can be opened."
