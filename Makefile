# `make test` is everything that must pass, and installs what it needs; `make check` is the half-minute loop.
export CARGO_INCREMENTAL ?= 0

.PHONY: test check tools docs rust policies clients browser crates bench demo sign-in

test: tools check crates docs rust policies clients sign-in browser

check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

tools:
	tests/setup.sh

# One crypto library: neither ring nor OpenSSL may come in through a dependency.
crates:
	@for crate in ring openssl-sys native-tls; do \
		if cargo tree --quiet --target x86_64-unknown-linux-gnu -i $$crate 2>/dev/null | grep -q .; then \
			echo "error: $$crate is in the tree:"; cargo tree -i $$crate; exit 1; \
		fi; \
	done

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

rust:
	cargo test

# Each folder alone, all of the library together, and each as the proxy would load it. That no rule can
# change without a test that notices is in `cargo test` (src/policy/tests/mutants.rs).
policies:
	cargo build --quiet
	tests/policies.sh target/debug/holdpoint

clients:
	cargo build
	python3 tests/clients/run.py target/debug/holdpoint

# The web inbox in Chromium; `node tests/browser/run.mjs PROGRAM --screenshots FOLDER` makes the pictures.
browser:
	cargo build
	node tests/browser/run.mjs target/debug/holdpoint

# Reviewers sign in with an independent OpenID provider, and with one that misbehaves.
sign-in:
	cargo build
	target/oidc/venv/bin/python tests/oidc/run.py target/debug/holdpoint

bench:
	benches/run

demo:
	cargo run --release -- demo
