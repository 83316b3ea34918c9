#!/usr/bin/env bash
# Who has no secret does not get in; every answer has three forms; Ctrl-C leaves the job alone.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

start_worker one --new private --swarm-name lab
start_worker two --join "$(ticket one)"
within 10 linked_to one 1

# forge no-secret|wrong-secret: the ticket on stdin, with that done to its secret and its checksum put right (Cap'n Proto:
# one segment, the root's third pointer is the secret)
forge() {
  python3 -c '
import base64, struct, sys
def crc32(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8): crc = (crc >> 1) ^ (0xedb88320 if crc & 1 else 0)
    return crc ^ 0xffffffff
text = sys.stdin.read().strip()
digits = text[len("starling1"):].upper()
data = bytearray(base64.b32decode(digits + "=" * (-len(digits) % 8)))[:-4]
root, = struct.unpack_from("<Q", data, 8)
secret = 16 + 8 * ((root & 0xffffffff) >> 2) + 8 * (root >> 32 & 0xffff) + 8 * 2
pointer, = struct.unpack_from("<Q", data, secret)
assert pointer & 3 == 1 and pointer >> 35 == 32, "the secret is not where this test looks for it"
if sys.argv[1] == "no-secret": data[secret:secret + 8] = bytes(8)
else: data[secret + 8 + 8 * ((pointer & 0xffffffff) >> 2)] ^= 1
order = {"<": "little", ">": "big"}
for byte_order in ("little", "big"):
    original = base64.b32decode(digits + "=" * (-len(digits) % 8))
    if int.from_bytes(original[-4:], byte_order) == crc32(original[:-4]):
        print("starling1" + base64.b32encode(bytes(data) + crc32(data).to_bytes(4, byte_order)).decode().lower().rstrip("="))
        break
else: sys.exit("the checksum is not the one that this test knows")
' "$1"
}

claim "the swarm's ticket without its secret, and with one bit of it changed: no link"
peers_before=$(at one swarm peers --output quiet | wc -l)
expect_error 75 'no peer of the ticket answered' at wrong --join "$(ticket one | forge wrong-secret)" worker start
expect_error 2 'carries no secret' at none --join "$(ticket one | forge no-secret)" worker start
expect_equal "$(at one swarm peers --output quiet | wc -l)" "$peers_before" "peers that the first one knows"
expect_equal "$(status one links)" 1 "links of the first one"
expect_error 75 'no peer of the swarm answered' at light --join "$(ticket one | forge wrong-secret)" submit "$(guest square)"

claim "each answer in three forms: json parses and has its schema, quiet is bare"
job=$(submit_squares one 20 --arg 2)
await_job one "$job"
is_json() { python3 -c 'import json, sys; answer = json.loads(sys.stdin.read()); sys.exit(0 if answer["schema"] == 1 else 1)' <"$work/stdout"; }
for words in "worker status" "swarm peers" "swarm invite" "job list --all" "job info $job" "job wait $job" "version" \
  "results $job -o $work/out" "evidence export $job -o $work/evidence" "evidence verify $work/evidence" \
  "job explain $job" "job explain $job/3" "peer info" "peer info $(id_of two)"; do
  # shellcheck disable=SC2086
  expect_exit 0 at one --output json $words
  is_json || fail "not JSON with a schema: $words"$'\n'"$(cat "$work/stdout")"
  # shellcheck disable=SC2086
  expect_exit 0 at one $words --output quiet
  [ ! -s "$work/stderr" ] || fail "quiet speaks on stderr: $words: $(cat "$work/stderr")"
  [ "$(wc -l <"$work/stdout")" -le 1 ] || fail "quiet is not short: $words"
  # shellcheck disable=SC2086
  expect_exit 0 at one $words
  [ -s "$work/stdout" ] || fail "nothing for people to read: $words"
done

expect_exit 0 at one credit --output json
is_json || fail "not JSON with a schema: credit"
expect_exit 0 at one credit --output quiet
grep -qvE '^[a-z2-7]{52} [0-9]+$' "$work/stdout" && fail "quiet credit is not a key and a number a line: $(cat "$work/stdout")"
expect_equal "$(wc -l <"$work/stdout")" 2 "peers with credit"

claim "an error as JSON is one object on stderr, with its code"
expect_exit 5 at one job info aaaaaaaa --output json
python3 -c 'import json, sys; error = json.loads(open(sys.argv[1]).read())["error"]; assert error["exit_code"] == 5 and error["message"] and error["hint"]' "$work/stderr"
[ ! -s "$work/stdout" ] || fail "an error put something on stdout"

claim "a job that is not ready is 4, a canceled one is 3, Ctrl-C is 130 and the job goes on"
job=$(submit_squares one 1000 --arg 100)  # canceled long before its end
expect_error 4 'wait for it' at one results "$job" -o "$work/early"
expect_error 4 'not finished yet' at one job wait "$job" --timeout 1s
expect_exit 130 timeout --preserve-status -s INT 2 "$starling" --state "$work/one" job wait "$job"
grep -q 'job goes on' "$work/stderr" || fail "Ctrl-C does not say that the job goes on: $(cat "$work/stderr")"
accepted=$(job one "$job" accepted)
within 30 accepted_at_least one "$job" $((accepted + 1))
expect_error 6 'another owner' env XDG_CONFIG_HOME="$work/stranger" "$starling" --state "$work/two" job cancel "$job"
expect_exit 0 at one job cancel "$job"
expect_error 3 'canceled' at one job wait "$job"
canceled_at() { [ "$(job "$1" "$job" state)" = canceled ]; }
within 10 canceled_at two
