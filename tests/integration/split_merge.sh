#!/usr/bin/env bash
# A program splits its own input and merges its own results; what the swarm computes is what a native build computes, byte for byte.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

native=$tree/dedoppler-native dedoppler=$(guest dedoppler)
"$tree/dedoppler-generate" --seed 5 --channels 65536 --output "$work/voyager.fil" --truth "$work/truth.json" >/dev/null
mkdir "$work/in" && cp "$work/voyager.fil" "$work/in/"

claim "native: split, search every unit, merge"
DEDOPPLER_IN=$work/in "$native" split bands >"$work/units"
units=$(wc -l <"$work/units")
mkdir "$work/outputs" "$work/native"
i=0
while read -r line; do
  to=$work/outputs/$(printf %06d $i)
  mkdir -p "$to/out"
  DEDOPPLER_IN=$work/in DEDOPPLER_OUT=$to/out "$native" <<<"$line" >"$to/stdout"
  i=$((i + 1))
done <"$work/units"
DEDOPPLER_IN=$work/outputs DEDOPPLER_OUT=$work/native "$native" merge bands >"$work/native.said"
note "$units units, $(($(wc -l <"$work/native/hits.csv") - 1)) signals"

dev_swarm 2

claim "the swarm: submit --split, wait, results"
expect_exit 0 at 0 submit "$dedoppler" --split bands --input "$work/voyager.fil" --name voyager --output quiet
job=$(cat "$work/stdout")
await_job 0 --name=voyager
expect_equal "$(job 1 "$job" units)" "$units" "number of units"
expect_exit 0 at 1 results "$job" -o "$work/swarm-results"

claim "the merged files are the native ones, byte for byte"
(cd "$work/native" && find . -type f | sort) >"$work/native.list"
(cd "$work/swarm-results" && find . -type f ! -name meta.jsonl | sort) >"$work/swarm.list"
expect_exit 0 diff "$work/native.list" "$work/swarm.list"
while read -r file; do expect_exit 0 cmp "$work/native/$file" "$work/swarm-results/$file"; done <"$work/native.list"
note "$(wc -l <"$work/native.list") files are equal"
"$tree/dedoppler-check" --truth "$work/truth.json" --hits "$work/swarm-results/hits.csv" | tail -n 1

claim "each unit's own output is the native one as well: the same lines, as items"
job=$(at 0 submit "$dedoppler" --items "$work/units" --input "$work/voyager.fil" --output quiet)
await_job 0 "$job"
expect_exit 0 at 1 results "$job" -o "$work/items"
for ((i = 0; i < units; ++i)); do
  item=$(printf %06d $i)
  expect_exit 0 cmp "$work/outputs/$item/stdout" "$work/items/$item.stdout"
  mkdir -p "$work/items/$item.out" # no files, no folder
  expect_exit 0 diff -r "$work/outputs/$item/out" "$work/items/$item.out"
done
note "$units units are equal"
