#!/usr/bin/env bash
# The cage: native code that has taken over an executor reaches nothing, hostile guests harm no one, and the worker says what its
# host lacks.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

executor=$tree/starling-executor
misbehave=$(guest misbehave)
echo secret >"$work/identity"

claim "this host's layers, as the executor finds them"
"$executor" --probe-cage >"$work/layers"
sed 's/^/   /' "$work/layers"
grep -q '^system-calls	on' "$work/layers"

claim "a worker serves; its status names what is lacking, and --require-cage refuses exactly then"
start_worker lab --new private
missing=$(at lab worker status --output json | python3 -c 'import json, sys; print(*[g["layer"] for g in json.load(sys.stdin)["cage"]])')
note "lacking: ${missing:-nothing}"
if [ -z "$missing" ]; then
  at strict worker start --new private --slots 1 --require-cage --output quiet >/dev/null
  at strict worker stop --output quiet
else
  expect_error 6 "lacks" at strict worker start --new private --slots 1 --require-cage
fi

claim "a host without user namespaces: named in the status, refused by --require-cage"
# The limit is that of a user namespace made for this, so nobody else on the machine feels it.
poor() { unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' sh "$@"; }
if poor true 2>/dev/null; then
  expect_error 6 "user-namespace" poor "$starling" --state "$work/poor" worker start --new private --slots 1 --require-cage
  expect_exit 0 poor "$starling" --state "$work/poor" worker start --new private --slots 1
  expect_exit 0 at poor worker status
  expect_stdout 'cage lacks user-namespace: refused'
  expect_exit 0 at poor worker stop
else
  note "this root cannot lower the limit: not tried"
fi

claim "every attempt of native code fails in the cage, many succeed outside, and the host lives"
"$tree/tests/hostile_trial" "$tree/tests/hostile_executor" "$work/identity" "$(folder_of lab)/worker.sock" >"$work/trial" ||
  fail "the trial failed"$'\n'"$(cat "$work/trial")"
sed 's/^/   /' "$work/trial"
[ -n "$(id_of lab)" ]

claim "a fault of native code is the guest's trap in reach of its memory alone; any other ends the process"
"$tree/tests/fault_trial" "$work" >"$work/faults" || fail "the trial failed"$'\n'"$(cat "$work/faults")"
sed 's/^/   /' "$work/faults"

claim "hostile guests end as they should, each in its own process"
# ends WHAT OUTCOME CODE [STDOUT]: what the guest determined, and so the same on every machine. Any other end is an error of ours, and
# so is native code that had to give way.
ends() {
  local exit=3
  [ "$2" != ok ] || exit=0
  expect_exit "$exit" "$starling" run --local "$misbehave" "$1" --time-limit 60s --memory 64MiB --output-limit 1MiB --output json </dev/null
  python3 - "$work/stdout" "$@" <<'END' || fail "the guest $1 did not end as it should"$'\n'"$(cat "$work/stdout")"
import json, sys
got = json.load(open(sys.argv[1]))
wanted = {"outcome": sys.argv[3], "code": int(sys.argv[4]), "stdout": (sys.argv + [""])[5].replace("\\n", "\n"), "files": [],
          "tier": "compiled", "note": ""}
sys.exit(any(got[name] != value for name, value in wanted.items()))
END
  note "$1: $2 $3"
}
ends unreachable trap 1
ends divide trap 2
ends overflow trap 3
ends convert trap 3
ends convert-nan trap 4
ends memory trap 5
ends recurse trap 5 # its frames lie in memory, and leave it
ends call trap 7
ends recurse-native trap 10
ends fill-memory exit-code 3 '61 blocks\n'
ends fill-tmp exit-code 5
ends fill-stdout output-limit 0
ends fill-out output-limit 0
ends many-out output-limit 0
ends many-tmp exit-code 6 '256564 files, errno 51\n'
ends exhaust-names ok 0 'depth 64, errno 37\nlink to itself -1, errno 32\n64 KiB path -1, errno 37\ndescriptors 1017, errno 33\n'
# Time is this machine's matter: nothing that could be signed.
expect_error 75 'time limit of 1000 ms; give it more with --time-limit' "$starling" run --local "$misbehave" loop --time-limit 1s </dev/null
head -c 100000 /dev/urandom >"$work/noise.wasm"
head -c 2000 "$misbehave" >"$work/cut.wasm"
for bad in noise cut; do expect_error 2 "$bad.wasm" "$starling" program check "$work/$bad.wasm"; done

claim "the worker lives on and finishes a job"
job=$(submit_squares lab 5 --class trusted)
await_job lab "$job"
expect_squares lab "$job" 5

claim "run --local tells outcome, digest, fuel, memory and time; program check whether it runs, imports, features and what metering costs"
expect_exit 0 bash -c "echo 12 | '$starling' run --local '$(guest square)'"
expect_stdout '^144$'
for line in 'outcome +ok' 'digest +[a-z2-7]{52}' 'fuel +[1-9][0-9]*' 'peak memory +[1-9][0-9.]* MB' 'time +[0-9.]+ ms'; do
  grep -qE "^$line" "$work/stderr" || fail "run --local does not tell: $line"$'\n'"$(cat "$work/stderr")"
done
expect_exit 0 "$starling" program check "$(guest square)"
for line in 'runs +yes' 'imports +.*fd_write' 'features +.*bulk-memory' 'metering +code \+[1-9][0-9]* %'; do expect_stdout "^$line"; done
expect_exit 2 "$starling" program check "$(guest unknown_import)"
