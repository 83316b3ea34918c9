#!/usr/bin/env bash
# Every program of the corpus ends alike on each tier of WasmEdge and of V8: same output, memory, fuel and slices.
#   same_bytes.sh TREE [COUNT [FIRST]]     COUNT random modules from seed FIRST on (default 100 from 0); needs nodejs
set -euo pipefail
tree=$1 count=${2:-100} first=${3:-0}
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$tree/tests/same_bytes_run" rows --to "$folder/programs" --seeds "$first" "$count" --guests "$tree/guests" >"$folder/engine"

# V8 has its own check of the stack, in KiB; ours must come first. More than about 2 GiB overflows V8's own arithmetic.
in_v8() { # TIER FLAGS...
  local tier=$1
  shift
  (ulimit -s 1048576 && exec node --experimental-wasm-extended-const --experimental-wasm-type-reflection --stack-size=1000000 "$@" \
    "$source/tests/same_bytes/run.js" "$tree/tests/same_bytes.node" "$folder/programs" "$tier") >"$folder/$tier"
}
in_v8 v8-liftoff --liftoff --no-wasm-tier-up --no-wasm-dynamic-tiering &
liftoff=$!
in_v8 v8-turbofan --no-liftoff
wait "$liftoff"

[ -z "${SAME_BYTES_ROWS:-}" ] || cat "$folder/engine" "$folder/v8-liftoff" "$folder/v8-turbofan" >"$SAME_BYTES_ROWS"
"$tree/tests/same_bytes_run" compare "$folder/engine" "$folder/v8-liftoff" "$folder/v8-turbofan"
