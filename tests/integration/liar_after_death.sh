#!/usr/bin/env bash
# One of five peers lies and one honest peer dies early: the job finishes right, the liar is banned, and nobody else is.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

dev_swarm 5 --bad 1 --seed "${SEED:-7}"
liar=$(swarm_peers bad)
read -r judge victim _ <<<"$(swarm_peers honest)"
read -r -a honest <<<"$(swarm_peers honest)"
liar_key=$(id_of "$liar")
honest_keys=$(for peer in "${honest[@]}"; do id_of "$peer"; done)
note "peer $liar lies, peer $victim will die"

light_ticket=$(ticket "$judge")
claim "an honest peer dies after the first few units; the job of 60 units finishes all the same"
job=$(submit_squares "$judge" 60 --arg 10)
within 30 accepted_at_least "$judge" "$job" 3
kill_peer "$victim"
note "killed with $(job "$judge" "$job" accepted) of 60 units verified"
await_job "$judge" "$job"
tell_executions "$judge" "$job"

claim "every result is right"
expect_squares "$judge" "$job" 60

claim "every surviving honest peer bans the liar"
survivors=()
for peer in "${honest[@]}"; do [ "$peer" = "$victim" ] || survivors+=("$peer"); done
for peer in "${survivors[@]}"; do within 60 is_banned_at "$peer" "$job" "$liar_key"; done

claim "no honest key is banned, the dead peer's neither"
for peer in "${survivors[@]}"; do
  for key in $honest_keys; do ! is_banned_at "$peer" "$job" "$key" || fail "peer $peer bans honest $key"; done
done

claim "a submitter without a worker sees it finished too: it believes the replays of the peer that invited it"
"$starling" --state "$work/light" --join "$light_ticket" job wait "$job" --timeout 60s --output quiet >/dev/null
"$starling" --state "$work/light" results "$job" -o "$work/light-results" --output quiet >/dev/null

claim "the exported evidence says offline what the judge says, to the last verdict"
same_verdicts() { # evidence may come in between the two
  local live
  live=$(at "$judge" job explain "$job" --output quiet | cut -d ' ' -f 3)
  at "$judge" evidence export "$job" -o "$work/evidence" >/dev/null
  "$starling" --state "$work/nowhere" evidence verify "$work/evidence" --root "$(id_of "$judge")" --output quiet >"$work/offline"
  expect_equal "$(wc -c <"$work/offline")" 53 "a digest"
  [ "$live" = "$(cat "$work/offline")" ]
}
within 30 same_verdicts
expect_exit 0 at "$judge" evidence verify "$work/evidence" --root "$(id_of "$judge")"
expect_stdout "^banned +$liar_key$"

claim "the judge tells of the liar: banned, by proofs whose statements are named, and without credit"
at "$judge" peer info "${liar_key:0:12}" --output json | python3 -c '
import json, sys
peer = json.load(sys.stdin)["peer"]
assert peer["banned"] and peer["faulty_units"] >= 3 and peer["verified_fuel"] == 0, peer
assert len(peer["proofs"]) >= 3 and all(p["statement"] and p["answered_in"] and p["counts"] for p in peer["proofs"]), peer["proofs"]' || fail "what is told of the liar"
! at "$judge" credit --all --output quiet | grep -q "$liar_key" || fail "the liar has credit"
accused=$(at "$judge" peer info "$liar_key" --output json | python3 -c 'import json, sys; print(json.load(sys.stdin)["peer"]["proofs"][0]["number"])')
expect_exit 0 at "$judge" job explain "$job/$accused"
expect_stdout 'void: author banned'
expect_stdout 'the answer is wrong'
note "$(grep ^Accepted "$work/stdout")"
