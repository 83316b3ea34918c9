#!/usr/bin/env bash
# Builds one preset and runs every test of it. Ends with "N passed, N failed"; exits non-zero on any failure.
#
#   tests/run.sh [--preset dev|release]     everything
#   tests/run.sh --sanitizers               unit, model, transcript tests, the four fuzzers and one 50-peer simulation, under ASan/UBSan and TSan
#
# On a host that is not Debian 13 the work happens in the root that deploy/root.sh makes.
set -uo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
if [ -z "${STARLING_INSIDE:-}" ]; then
  exec deploy/root.sh env STARLING_INSIDE=1 tests/run.sh "$@"
fi

preset=dev sanitizers=no
while [ $# -gt 0 ]; do
  case $1 in
    --preset) preset=${2:-}; shift 2 ;;
    --sanitizers) sanitizers=yes; shift ;;
    *) echo "tests/run.sh: unknown argument '$1'; see the head of this file" >&2; exit 2 ;;
  esac
done

passed=0 failed=0 failures=()

# run NAME CMD...: one step; a failure shows its output and the command that repeats it
run() {
  local name=$1; shift
  local begun=$SECONDS out
  out=$(mktemp)
  if "$@" >"$out" 2>&1; then
    local cases
    cases=$(sed -n 's/^\[doctest\] test cases: *\([0-9]*\) .*/\1/p' "$out" | tail -1)
    passed=$((passed + ${cases:-1}))
    printf 'ok    %-44s %4d s%s\n' "$name" $((SECONDS - begun)) "${cases:+  ($cases cases)}"
  else
    failed=$((failed + 1))
    failures+=("$name: $*")
    printf 'FAIL  %-44s %4d s\n' "$name" $((SECONDS - begun))
    tail -n 60 "$out" | sed 's/^/      /'
    printf '      repeat: %s\n' "$*"
  fi
  rm -f "$out"
}

build() { # PRESET [TARGET...]
  local name=$1
  shift
  local log
  log=$(mktemp)
  [ -e "build/$name/build.ninja" ] || cmake --preset "$name" >"$log" 2>&1 || { cat "$log"; echo "0 passed, 1 failed"; exit 1; }
  local begun=$SECONDS
  if ! cmake --build --preset "$name" ${1:+--target "$@"} >"$log" 2>&1; then
    grep -E 'error|FAILED|warning' "$log" | head -40
    echo "build of preset $name failed; repeat: deploy/root.sh cmake --build --preset $name"
    echo "0 passed, 1 failed"
    exit 1
  fi
  printf 'built %-44s %4d s\n' "$name" $((SECONDS - begun))
  rm -f "$log"
}

common() { # the floors that need neither WasmEdge nor guest programs
  local tree=build/$1
  run "$1: unit" "$tree/tests/unit_tests"
  run "$1: model" "$tree/tests/model_tests"
  run "$1: transcripts" "$tree/tests/transcript_tests"
}

if [ "$sanitizers" = yes ]; then
  export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS="report_signal_unsafe=0 ignore_noninstrumented_modules=1"
  for name in asan-ubsan tsan; do
    build "$name" unit_tests model_tests transcript_tests fuzz_decoders fuzz_evidence fuzz_wasi fuzz_instrument simulate
    common "$name"
    run "$name: decoders 20 s" "build/$name/tests/fuzz_decoders" --seconds 20 --seed 1
    run "$name: evidence 20 s" "build/$name/tests/fuzz_evidence" --seconds 20 --seed 1
    run "$name: WASI calls 20 s" "build/$name/tests/fuzz_wasi" --seconds 20 --seed 1
    run "$name: instrumenter 20 s" "build/$name/tests/fuzz_instrument" --seconds 20 --seed 1
    run "$name: 50 peers, 5 % loss" "build/$name/tests/simulate" --scenario fifty_wire --seed 1
  done
else
  build "$preset"
  tree=build/$preset
  run "tidy" "$tree/tests/tidy_tests"
  common "$preset"
  run "random modules" "$tree/tests/same_bytes_tests"
  run "decoders 60 s" "$tree/tests/fuzz_decoders" --seconds 60 --seed 1
  run "evidence 20 s" "$tree/tests/fuzz_evidence" --seconds 20 --seed 1
  run "WASI calls 20 s" "$tree/tests/fuzz_wasi" --seconds 20 --seed 1
  run "instrumenter 20 s" "$tree/tests/fuzz_instrument" --seconds 20 --seed 1
  run "simulation: kept seeds" "$tree/tests/simulate" --kept
  run "simulation: every scenario" "$tree/tests/simulate" --all --seeds 2
  run "the demo's judge" "$tree/tests/demo_check_tests"
  run "simulator: self test" "$tree/tests/simulate" --self-test
  run "policies against attackers, small" "$tree/tests/simulate" --attackers --small --rows "$tree/attackers-small.csv"
  for script in tests/integration/*.sh; do
    run "$(basename "$script" .sh)" "$script" "$tree"
  done
fi

for failure in "${failures[@]:-}"; do [ -n "$failure" ] && echo "failed: $failure"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
