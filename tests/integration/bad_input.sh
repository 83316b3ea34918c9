#!/usr/bin/env bash
# Bad input gets one clear line and an exit code, and loses nothing.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

start_worker one --new private --swarm-name lab
start_worker two --join "$(ticket one)"
submit() { at one submit "$@"; }
square=$(guest square) misbehave=$(guest misbehave) dedoppler=$(guest dedoppler)
both_answer() { for peer in one two; do expect_exit 0 at $peer worker status; done; }

claim "no such file, or not a file that can be used"
expect_error 5 'no such program: .*nothing.wasm' submit "$work/nothing.wasm"
expect_error 5 'no such file.*nothing.fil' submit "$square" --input "$work/nothing.fil"
expect_error 5 'no such file.*nothing.txt' submit "$square" --items "$work/nothing.txt"
expect_error 2 'is not a file' submit "$square" --input "$work"
expect_error 5 'job' at one job info --name nobody
expect_error 5 'no worker runs' at nowhere worker status

claim "not a WebAssembly module, a cut one, one that asks for what we do not offer"
echo 'int main() {}' >"$work/main.c"
head -c 1000 "$square" >"$work/cut.wasm"
: >"$work/empty.wasm"
expect_error 2 'main.c' submit "$work/main.c"
expect_error 2 'cut.wasm' submit "$work/cut.wasm"
expect_error 2 'empty.wasm' submit "$work/empty.wasm"
expect_error 2 'env.*launch_rocket' submit "$(guest unknown_import)"

claim "observations that are cut, of another type, or absurd"
"$tree/dedoppler-generate" --seed 1 --channels 65536 --output "$work/good.fil" --truth "$work/truth.json" >/dev/null
split() { submit "$dedoppler" --split bands --input "voyager.fil=$1"; }
absurd() { # NAME VALUE: the good observation with another 32-bit number in its header
  python3 - "$work/good.fil" "$work/absurd.fil" "$@" <<'PY'
import struct, sys
source, target, name, value = sys.argv[1:]
data = bytearray(open(source, "rb").read())
at = data.index(name.encode()) + len(name)
data[at:at + 4] = struct.pack("<I", int(value))
open(target, "wb").write(data)
PY
}
head -c 100 "$work/good.fil" >"$work/cut.fil"
head -c 3000001 "$work/good.fil" >"$work/half.fil"
head -c 400000 /dev/urandom >"$work/random.fil"
: >"$work/empty.fil"
# The program says itself what to do next; a second hint behind it would be one too many.
one_hint() { [ "$(grep -o '; ' "$work/errors" | wc -l)" = 1 ] || fail "not one hint: $(cat "$work/errors")"; }
for bad in cut half random empty; do
  expect_error 2 'fil' split "$work/$bad.fil"
  one_hint
done
expect_error 2 'fil' split "$square"
absurd nchans 4294967295 && expect_error 2 'nchans|channels' split "$work/absurd.fil"
absurd nchans 0 && expect_error 2 'nchans|channels' split "$work/absurd.fil"
absurd nbits 8 && expect_error 2 'nbits|bit' split "$work/absurd.fil"
expect_error 2 'nonsense' submit "$dedoppler" --split nonsense --input "voyager.fil=$work/good.fil"

claim "wrong words"
expect_error 2 'epsilon' submit "$square" --epsilon 2
expect_error 2 'class' submit "$square" --class sloppy
expect_error 2 'memory' submit "$square" --memory much
expect_error 2 'fuel' submit "$square" --fuel 20GB
expect_error 2 'array' submit "$square" --array 9-1
expect_error 2 'items' submit "$square" --array 1-2 --items "$work/main.c"
expect_error 2 'see: starling --help' at one dance
both_answer

claim "a unit over its memory, output or fuel, one that traps, one that exits with 7: signed by both, the job ends as failed"
failing() { # REGEX-OF-META ARGUMENT...: a job of one unit that fails so
  local job
  job=$(at one submit "$misbehave" --output quiet "${@:2}" 2>>"$work/notes")
  expect_error 3 'ended with 1 failed unit' at one job wait "$job" --timeout 60s
  expect_equal "$(job two "$job" state accepted accepted_failures)" "failed 1 1" "what the other peer says"
  expect_error 3 'items of job .* failed' at one results "$job" -o "$work/failed"
  grep -qE "$1" "$work/failed/meta.jsonl" || fail "meta.jsonl of ${*:2} has no /$1/: $(cat "$work/failed/meta.jsonl")"
  note "$(grep -oE '"(code|outcome)":[^,]*' "$work/failed/meta.jsonl" | tr '\n' ' ')"
}
failing '"outcome":"(memory-limit|exit-code)"' --arg fill-memory --memory 16MB
failing '"outcome":"output-limit"' --arg fill-stdout --output-limit 100kB
failing '"outcome":"output-limit"' --arg fill-out --output-limit 100kB
failing '"outcome":"trap"' --arg unreachable
failing '"code":11,.*"outcome":"trap".*"unit_fuel":4000[0-9]{4}[,}]' --arg loop --fuel 40M
failing '"code":7.*"outcome":"exit-code"' --arg exit --arg 7

claim "a unit over its time is nobody's result: it is released, and the job waits on"
job=$(at one submit "$misbehave" --arg loop --time-limit 1s --output quiet 2>>"$work/notes")
expect_error 4 'not finished yet: .* 0/1 units verified' at one job wait "$job" --timeout 4s
expect_equal "$(job one "$job" accepted)" 0 "accepted units"
expect_equal "$(job two "$job" accepted)" 0 "accepted units at the other peer"
expect_error 4 'wait for it' at one results "$job" -o "$work/early"
expect_exit 0 at one job cancel "$job"
expect_error 3 'canceled' at one job wait "$job" --timeout 20s
both_answer

claim "explain, verify, peer and credit: what is not there, words that are no unit, files that are no evidence"
job=$(submit_squares one 4)
await_job one "$job"
expect_error 5 'no job is known' at one job explain zzzzzzzz
expect_error 5 'has no unit 4; its units are 0 to 3' at one job explain "$job/4"
expect_error 5 'not cut into segments' at one job explain "$job/0.1"
expect_error 2 'is no number of a unit' at one job explain "$job/first"
expect_error 5 'no peer is known' at one peer info zzzzzzzz
expect_error 5 'no job is known' at one credit --job zzzzzzzz
expect_error 5 'no worker runs' at nowhere credit
verify() { at nowhere evidence verify "$@"; } # by a machine without worker and swarm
expect_exit 0 at one evidence export "$job" -o "$work/evidence"
expect_exit 0 verify "$work/evidence"
expect_error 5 'cannot read .*nothing' verify "$work/nothing"
expect_error 5 'cannot read' verify "$work"
expect_error 2 'is no key' verify "$work/evidence" --root me
for foreign in "$work/empty.wasm" "$square" "$work/main.c"; do expect_error 2 'not a whole evidence file: it does not begin as one' verify "$foreign"; done
for size in 30 200 1000; do
  head -c $size "$work/evidence" >"$work/cut"
  expect_error 2 'not a whole evidence file: .* ends inside' verify "$work/cut"
done
cp "$work/evidence" "$work/changed"
printf X | dd of="$work/changed" bs=1 seek=$(($(stat -c %s "$work/changed") - 100)) conv=notrunc 2>/dev/null
expect_error 2 '1 of [0-9]+ statements were refused' verify "$work/changed"
expect_stdout 'refused +statement [0-9]+: '
both_answer

claim "tickets: malformed, cut, of a swarm that is not there, of another swarm"
good=$(ticket one)
expect_error 2 'no ticket' at three --join hello worker start
expect_error 2 'ticket' at three --join "${good:0:60}" worker start
expect_error 2 'ticket' at three --join "${good%?????}aaaaa" worker start
expect_error 2 'ticket' at three --join "$good$good" worker start
start_worker other --new private --swarm-name elsewhere
elsewhere=$(ticket other)
expect_exit 0 at two worker stop
expect_error 6 'is for swarm .* this folder belongs to' at two --join "$elsewhere" worker start
expect_exit 0 at two worker start --slots 1
expect_exit 0 at other worker stop
expect_error 75 'no peer of the ticket answered' at three --join "$elsewhere" worker start
expect_error 75 'no peer of the swarm answered' at four --join "$elsewhere" submit "$square"
expect_error 2 'in no swarm yet' at five worker start
within 10 linked_to one 1

claim "a lying peer outside a development swarm is refused"
expect_error 6 'development' at six worker start --new private --inject-faults
expect_error 6 'development' at six worker start --new public --inject-faults
expect_error 6 'development' at six --join "$good" worker start --inject-faults
expect_error 6 'attack.* development' at six --join "$good" worker start --attack liar:0.2
expect_error 6 'pace.* development' at six --join "$good" worker start --pace 2s
expect_error 2 'attack' at six worker start --new development --attack bird
expect_exit 0 at other worker start
expect_exit 0 at other worker stop
expect_error 6 'development' at other worker start --inject-faults
expect_error 6 'attack.* development' at other worker start --attack liar
expect_error 6 'pace.* development' at other worker start --pace 2s

claim "a port in use"
expect_error 75 'port' at seven worker start --new private --port "$(status one port)"

claim "a damaged database is named, and not touched; with its copy back, the peer is what it was"
done_job=$(submit_squares one 10)
await_job one "$done_job"
await_job two "$done_job"
id=$(id_of two)
expect_exit 0 at two worker stop
cp "$work/two/peer.db" "$work/peer.db.copy"
for damage in 0 4096 20480; do
  dd if=/dev/urandom of="$work/two/peer.db" bs=1 seek=$damage count=2000 conv=notrunc 2>/dev/null
  before=$(sha256sum <"$work/two/peer.db")
  expect_error 2 'damaged' at two worker start
  expect_equal "$(sha256sum <"$work/two/peer.db")" "$before" "the damaged file"
  cp "$work/peer.db.copy" "$work/two/peer.db"
done
expect_exit 0 at two worker start --slots 1
expect_equal "$(id_of two)" "$id" "the key"
expect_squares two "$done_job" 10

claim "a full disk: the peer pauses and says so; with room again it goes on, and nothing is lost"
mkdir "$work/disk"
# Where this script may not mount, a mount namespace of its own holds the disk, and what concerns the disk happens inside.
inside=()
if ! mount -t tmpfs -o size=24m tmpfs "$work/disk" 2>/dev/null; then
  unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=24m tmpfs "$1" && exec sleep 600' sh "$work/disk" &
  helpers+=($!)
  disown
  inside=(nsenter --target $! --user --mount --preserve-credentials --)
  within 10 "${inside[@]}" mountpoint -q "$work/disk"
  note "the small disk is in a mount namespace of its own"
fi
on_disk() { "${inside[@]}" "$starling" --state "$work/disk/peer" "$@"; }
at() { if [ "$1" = disk/peer ]; then on_disk "${@:2}"; else "$starling" --state "$(folder_of "$1")" "${@:2}"; fi; }
expect_exit 0 at two worker stop
start_worker disk/peer --join "$(ticket one)"
helpers+=("$("${inside[@]}" cut -d ' ' -f 1 "$work/disk/peer/worker.pid")") # from outside nobody would find it
head -c 30000000 /dev/urandom >"$work/large"
expect_error 75 'No space left|disk is full' at disk/peer submit "$square" --array 1-3 --input "large=$work/large"
expect_exit 0 at disk/peer worker status
job=$(submit_squares one 20 --arg 40)
within 30 accepted_at_least disk/peer "$job" 2
"${inside[@]}" sh -c 'head -c 30000000 /dev/zero >"$1"' sh "$work/disk/filler" 2>/dev/null || true
has_trouble() { at disk/peer worker status | grep -qE '^trouble: .*(No space left|full).*; .+'; }
within 30 has_trouble
note "$(at disk/peer worker status | grep trouble)"
accepted=$(job disk/peer "$job" accepted)
[ "$accepted" -ge 2 ] || fail "a full disk made the peer forget accepted units: $accepted are left"
"${inside[@]}" rm "$work/disk/filler"
await_job disk/peer "$job"
expect_equal "$(job disk/peer "$job" accepted)" 20 "accepted units"
expect_squares disk/peer "$job" 20
has_no_trouble() { ! has_trouble; }
within 10 has_no_trouble
expect_exit 0 at disk/peer worker stop
unset 'helpers[-1]' # it has ended; its number may be somebody else's now
[ ${#inside[@]} -gt 0 ] || umount "$work/disk"

claim "after all of that the first worker serves, and an honest job finishes"
at one worker status --output quiet >/dev/null
at two worker status >/dev/null 2>&1 || start_worker two
job=$(submit_squares one 10)
await_job one "$job"
expect_squares two "$job" 10
