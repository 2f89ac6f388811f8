# What there is to do: `just --list`

# Starts Strongroom for development; arguments go to it
run *ARGS:
    cargo run --locked -- {{ARGS}}

# Runs all tests, with a PostgreSQL and an S3 store of their own
test *ARGS:
    scripts/test {{ARGS}}

# Checks formatting and lints as CI does
lint:
    cargo fmt --all --check
    cargo clippy --locked --all-targets -- -D warnings

# Cuts the power under a server on SQLite + disk a hundred times (root)
powercut *ARGS:
    scripts/powercut {{ARGS}}

# Starts a PostgreSQL and an S3 store on loopback and prints their settings
stack-up *ARGS:
    scripts/stack up {{ARGS}}

# Stops them; `just stack-down --purge` removes their data too
stack-down *ARGS:
    scripts/stack down {{ARGS}}

# Kills the server between any two steps, many times, and audits what is left
crash *ARGS:
    scripts/crash {{ARGS}}

# Measures it beside nginx and the bucket itself; `just bench --write docs` keeps the figures
bench *ARGS:
    scripts/bench {{ARGS}}

# Measures single steps of a request
bench-steps *ARGS:
    cargo bench --locked --bench micro -- {{ARGS}}
