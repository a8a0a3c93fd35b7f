#!/bin/sh
# Runs the tests of every folder of policies, alone and all of the library together, and checks each
# with the configuration of the quick start, as the proxy would load it.
set -eu
program=$1
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir "$scratch/library" "$scratch/quickstart"
cp "$root"/examples/quickstart/*.yaml "$scratch/quickstart"
for folder in "$root"/policies/*/; do
	name=$(basename "$folder")
	[ "$name" = starter ] || cp -R "$folder" "$scratch/library/$name"
done

for folder in "$root"/policies/*/ "$scratch/library/"; do
	echo "$(basename "$folder"):"
	"$program" policy test "$folder"
	rm -rf "$scratch/quickstart/policies"
	cp -R "$folder" "$scratch/quickstart/policies"
	"$program" policy check --strict --config "$scratch/quickstart/holdpoint.yaml"
done
