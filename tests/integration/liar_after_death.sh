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
