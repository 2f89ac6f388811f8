# Lists the recipes
default:
    @just --list

# Everything a change must pass
ci:
    .ci/run

# Start Strongroom for development; arguments go to it
run *ARGS:
    cargo run --locked -- {{ ARGS }}

# Run all tests, with a PostgreSQL and an S3 server of their own; arguments go to cargo test
test *ARGS:
    scripts/test {{ ARGS }}

# Format Rust, Python and the web page
fmt:
    cargo fmt --all
    scripts/tools ruff check --fix
    scripts/tools ruff format
    npm --prefix web run format

# Check formatting and lints
lint:
    cargo fmt --all --check
    cargo clippy --locked --all-targets --all-features -- -D warnings
    scripts/tools ruff check
    scripts/tools ruff format --check
    scripts/tools shellcheck --severity=warning $(grep -rlE "^#!.*bash" .ci scripts)

# Check spelling
typos *ARGS:
    scripts/tools typos {{ ARGS }}

# Count the terms in tests/banned-terms.txt; `just words --list` shows where they are
words *ARGS:
    scripts/words {{ ARGS }}

# Check licenses, banned crates and unused dependencies
deny:
    scripts/tools cargo-deny --all-features --locked check bans licenses sources
    scripts/tools cargo-shear --locked

# Build the documentation of the code; `just doc --open` opens it
doc *ARGS:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps {{ ARGS }}

# Check types and style of the web page
web:
    npm --prefix web ci --ignore-scripts --no-audit --no-fund
    npm --prefix web run check

# Regenerate openapi.json and the types of the web page
openapi:
    UPDATE_OPENAPI=1 scripts/test openapi
    npm --prefix web run types

# Regenerate strongroom.example.toml
example-config:
    cargo run --locked --quiet -- config --example > target/strongroom.example.toml
    mv target/strongroom.example.toml strongroom.example.toml

# Start a PostgreSQL and an S3 server on loopback and print their settings
stack-up *ARGS:
    scripts/stack up {{ ARGS }}

# Stop them; `just stack-down --purge` also deletes their data
stack-down *ARGS:
    scripts/stack down {{ ARGS }}

# Kill the server at random points of its writes, many times, and check what is left
crash *ARGS:
    scripts/crash {{ ARGS }}

# Simulate a hundred power cuts under a server on SQLite + disk (root)
powercut *ARGS:
    scripts/powercut {{ ARGS }}

# Flood the release build, and measure memory, latency and CPU; `just flood --list`
flood *ARGS:
    scripts/flood {{ ARGS }}

# Benchmark the release build against nginx and the bucket itself; `just bench --write docs` keeps the figures
bench *ARGS:
    scripts/bench {{ ARGS }}

# Benchmark single steps of a request
bench-steps *ARGS:
    cargo bench --locked --bench micro -- {{ ARGS }}

# Benchmark with a million files; `just growth --nodes`: with several servers
growth *ARGS:
    scripts/growth {{ ARGS }}
