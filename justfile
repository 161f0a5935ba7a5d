# What developers run. Every recipe is one or two plain commands, so nothing needs just.

# List the recipes.
default:
    @just --list

# Run the server with its defaults: SQLite and an embedded worker, data in ./data.
dev:
    cargo run -p strongroom-api -- serve

# Run one API and two workers on throw-away PostgreSQL and Redis servers.
dev-scaled:
    deploy/dev-scaled.sh

# Run the server against a stand-in for Stripe on loopback, with a database of its own.
dev-stripe:
    deploy/dev-stripe.sh

# Type-check everything, tests included.
check:
    cargo check --workspace --all-targets

# Run every test; arguments go to cargo test.
test *arguments:
    tests/run.sh {{arguments}}

# What must hold when things break, for a minute where CI takes seconds; arguments go to cargo test.
faults *arguments:
    STRONGROOM_TEST_FAULT_SECONDS=60 tests/run.sh faults {{arguments}}

# Longer histories of secrets, and more of them, than CI has time for: against a model, and by many callers at once.
histories *arguments:
    STRONGROOM_TEST_HISTORIES=100 STRONGROOM_TEST_STEPS=150 tests/run.sh secrets::model {{arguments}}
    STRONGROOM_TEST_WRITES=50000 tests/run.sh secrets::linear {{arguments}}

# Take pictures of the pages that people see, while they are walked and checked.
screenshots folder="target/screenshots":
    STRONGROOM_TEST_SCREENSHOTS={{folder}} tests/run.sh browser::

# Format check and lints, as CI runs them.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Check deploy/ with the tools that are there; --all fails when one is missing.
deploy-lint *arguments:
    deploy/lint.sh {{arguments}}

# Write the committed OpenAPI document anew.
openapi:
    cargo run -q -p strongroom-api -- openapi > openapi/openapi.json

# Bring the configured database's schema up to date.
migrate:
    cargo run -q -p strongroom-api -- migrate

# Measure speed beside its limits, all of it or `secrets` or `webhooks` alone, or `--quick`; compiles what is shipped first.
bench *arguments:
    cargo build --release --workspace --bins
    cargo run -q --release -p bench -- {{arguments}}

# Everything that CI runs.
ci:
    .ci/run
