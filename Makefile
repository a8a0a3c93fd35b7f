# `make test` is everything that must pass; `make check` is the half-minute loop.
export CARGO_INCREMENTAL ?= 0

.PHONY: test check

check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

test: check
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	cargo test
