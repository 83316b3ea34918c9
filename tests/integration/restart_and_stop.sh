#!/usr/bin/env bash
# A worker stops cleanly, starts again from its folder, and shares neither folder nor port.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

is_gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"; }

claim "two machines make a swarm by ticket"
expect_exit 0 at first worker start --new private --swarm-name lab --slots 1
expect_stdout '^worker [a-z2-7]+ serves on port [0-9]+, state in '
expect_exit 0 at second --join "$(ticket first)" worker start --slots 1
within 10 linked_to first 1

claim "swarm peers names the other one, in each form of output"
expect_exit 0 at first swarm peers
expect_stdout '1 linked, 1 known'
expect_exit 0 at first swarm peers --output quiet
expect_stdout "^$(id_of second) up$"
expect_exit 0 at first swarm peers --output json
expect_stdout "\"id\":\"$(id_of second)\""

claim "a stopped worker has ended when worker stop returns 0, in mid-job as well"
job=$(submit_squares first 30 --arg 60)
within 20 accepted_at_least first "$job" 3
id=$(id_of second) pid=$(pid_of second) accepted=$(job second "$job" accepted)
port=$(status second port)
expect_exit 0 at second worker stop
is_gone "$pid" || fail "process $pid still runs after worker stop"
[ ! -e "$work/second/worker.sock" ] && [ ! -e "$work/second/worker.pid" ] || fail "worker stop left its socket or pid file behind"
expect_error 5 'no worker runs' at second worker status
expect_error 5 'no worker runs' at second worker stop

claim "told to stop in the middle of a unit, worker and executor are gone within 100 ms, in the median of five"
# stop_ms PEER FOLDER: ms from SIGTERM until the worker and the executors that use this cache folder are gone
stop_ms() {
  python3 - "$(pid_of "$1")" "$2/starling/aot" <<'END'
import glob, os, signal, sys, time
def words(pid):
    try:
        return open(f"/proc/{pid}/cmdline").read().split("\0")
    except OSError:
        return []
def lives(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
pids = [path.split("/")[2] for path in glob.glob("/proc/[0-9]*/cmdline")]
pids = [pid for pid in pids if words(pid)[1:3] == ["--serve", sys.argv[2]]]
assert pids, "no executor runs"
start = time.monotonic()
os.kill(int(sys.argv[1]), signal.SIGTERM)
while any(map(lives, [*pids, sys.argv[1]])) and time.monotonic() - start < 10:
    time.sleep(0.0005)
print(round((time.monotonic() - start) * 1000))
END
}
has_executor() { pgrep -f -- "starling-executor --serve $work/cache/starling/aot" >/dev/null; }
took=()
for _ in 1 2 3 4 5; do
  XDG_CACHE_HOME=$work/cache start_worker stopped --new private
  submit_squares stopped 2 --class trusted --arg 3000 >/dev/null # seconds each
  within 20 has_executor
  sleep 0.2 # it computes
  took+=("$(stop_ms stopped "$work/cache")")
  rm -rf "$work/stopped"
done
note "ms: ${took[*]}"
median=$(printf '%s\n' "${took[@]}" | sort -n | sed -n 3p)
[ "$median" -lt 100 ] || fail "stopping takes $median ms"

claim "it starts again without a ticket: same key, same port, nothing forgotten"
expect_exit 0 at second worker start --slots 1
expect_equal "$(id_of second)" "$id" "the key"
expect_equal "$(status second port)" "$port" "the port"
[ "$(job second "$job" accepted)" -ge "$accepted" ] || fail "accepted units were forgotten"
await_job second "$job"
expect_squares second "$job" 30

claim "a second worker on the same folder is refused, and the first serves on"
expect_error 75 'another starling process uses' at second worker start --slots 1
expect_exit 0 at second worker status

claim "a port in use is refused, and its owner serves on"
expect_error 75 "port $port" at third --join "$(ticket first)" worker start --slots 1 --port "$port"
expect_exit 0 at second worker status

claim "SIGTERM ends a worker in the foreground with exit code 0"
"$starling" --state "$work/third" --join "$(ticket first)" worker start --slots 1 --foreground >"$work/third.out" 2>&1 &
worker=$!
within 15 test -e "$work/third/worker.pid"
expect_equal "$(pid_of third)" $worker "the process that serves"
kill -TERM $worker
code=0
wait $worker || code=$?
expect_equal $code 0 "exit code of the worker"
