"""Sixty real workers on one machine beside the simulator's prediction; see README.md."""
import argparse
import json
import pathlib
import signal
import subprocess
import sys
import time

import swarm as processes

WATCHED = 5  # as in tests/simulation/figures.cpp
BELIEVED_MAX = 0.05  # of all (honest peer, unit): lies that may stand at the end where some work together, as each reader believes its own replays alone
PACE_UNITS = {"ms": 1, "s": 1000}

# name: {what an attacker does: (share of the peers, the key of the scenario)}
CASES = {
    "honest": {},
    "colluders 10 %": {"liar:0.2:flock": (0.1, "colluders")},
    "colluders 20 %": {"liar:0.2:flock": (0.2, "colluders")},
    "liars 20 %": {"liar:0.2": (0.2, "liars")},
    "all kinds 20 %": {
        "liar:0.2:flock": (0.1, "colluders"),
        "copier": (0.034, "copiers"),
        "lazy": (0.033, "lazy_auditors"),
        "accuser": (0.033, "accusers"),
    },
}
LINES = [  # key, what people read, format
    ("finish_s", "finished at every honest peer, s", "{:.0f}"),
    ("executions_at_finish", "executions per unit, then", "{:.2f}"),
    ("executions", "executions per unit, at the end", "{:.2f}"),
    ("wrong_once", "units accepted wrong at some look", "{:.1f}"),
    ("wrong_final", "wrong at the end (peer, unit)", "{:.1f}"),
    ("liars_banned_share", "liars banned, of (honest peer, liar)", "{:.2f}"),
    ("honest_bans", "honest peers banned", "{:.1f}"),
    ("reopened", "honest peers with reopened units at the end", "{:.1f}"),
    ("statements", "signed statements per unit", "{:.2f}"),
    ("replays", "replays per unit", "{:.2f}"),
    ("signatures", "signatures checked, per unit and peer", "{:.2f}"),
    ("kilobytes", "kB sent, per unit and peer", "{:.2f}"),
    ("agreement", "peers whose evidence gives the first one's digest", "{}"),
]


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values):
    return quantile(values, 0.5)


def mean_of(values):
    values = list(values)
    return sum(values) / len(values)


def milliseconds(text):
    for unit in sorted(PACE_UNITS, key=len, reverse=True):
        if text.endswith(unit):
            return int(float(text[: -len(unit)]) * PACE_UNITS[unit])
    raise SystemExit(f"sixty: {text} is no time; write 500ms or 4s")


def cast(case, peers):
    """The attack of each peer, spread evenly; peer 0 is honest. And how many the scenario has of each."""
    wanted, counts = [], {}
    for attack, (share, key) in CASES[case].items():
        counts[key] = max(1, round(share * peers))
        wanted += [attack] * counts[key]
    attacks = [""] * peers
    for i, attack in enumerate(wanted):
        attacks[1 + i * (peers - 1) // len(wanted)] = attack
    return attacks, counts


def with_shares(figures):
    figures["liars_banned_share"] = figures["liars_banned"] / figures["liar_pairs"] if figures["liar_pairs"] else 0.0
    figures["kilobytes"] = figures["bytes"] / 1000
    figures["agreement"] = f"{figures['agreeing']} of {figures['asked']}"
    return figures


# ---------------------------------------------------------------- the real thing


def digests(peer, job):
    return {row[0]: tuple(row[1:4]) for row in peer.ask(op="accepted", job=job)["units"]}


def right_digests(honest, job, units, folder):
    """Of each unit the digest of the right answer: of an accepted one whose bytes are the square. Of several peers, as a unit may be open at some."""
    right, out = {}, folder / "results"
    for peer in honest:
        before = digests(peer, job)
        processes.command(peer.starling, "--state", peer.folder, "results", job, "--partial", "-o", out, "--output", "quiet", check=False)  # an archive may be slow: others are asked too
        after = digests(peer, job)
        for unit, digest in before.items():
            file = out / f"{unit:06d}.stdout"
            if after.get(unit) == digest and file.exists() and file.read_text().strip() == str((unit + 1) ** 2):
                right[unit] = digest
        processes.command("rm", "-rf", out)
        if len(right) == units:
            break
    return right


def exported(peer, job, judge, folder):
    file = folder / f"evidence-{peer.folder.name}"
    peer.at("evidence", "export", job, "-o", file)
    done = subprocess.run([peer.starling, "--state", folder / "nowhere", "evidence", "verify", file, "--root", judge, "--output", "json"], capture_output=True, text=True)
    file.unlink()
    return json.loads(done.stdout)


def judged_alike(swarm, job, folder):
    """The evidence of some peers before the same judges. All stand still; what was stated travels: it is exported again until the digests agree, a minute at most."""
    deadline = time.monotonic() + 60
    while True:
        judged = [exported(peer, job, swarm.peers[0].id, folder) for peer in swarm.honest[:WATCHED]]
        verdicts = [one["explanation"]["digest"] for one in judged]
        if len(set(verdicts)) == 1 or time.monotonic() > deadline:
            return judged, verdicts
        time.sleep(2)


def watch(swarm, job, options):
    """Looks once a second until some time after every honest peer had finished for the first time; proven faults may reopen units since.

    Gives what stood when all had finished once, and all that was accepted at any look.
    """
    seen, begun, first, finished = {}, time.monotonic(), None, set()
    while True:
        looked = time.monotonic()
        for peer in swarm.honest[:WATCHED]:
            for unit, outcome in digests(peer, job).items():
                seen.setdefault(unit, set()).add(outcome)
        states = [peer.ask(op="job", job=job)["job"] for peer in swarm.honest]
        finished |= {i for i, state in enumerate(states) if state["state"] == "finished"}
        if first is None and len(finished) == len(states):
            first = (time.monotonic() - begun, states[0]["executions"], swarm.counters(), processes.machine_busy_s())
        if first and looked - begun >= first[0] + options.settle:
            return first, seen
        if not first and looked - begun > options.limit:
            raise SystemExit(f"sixty: not finished within {options.limit} s: {[state['accepted'] for state in states]}")
        time.sleep(max(0.0, 1 - (time.monotonic() - looked)))


def run_real(case, options, folder):
    attacks, _ = cast(case, options.peers)
    starling = options.tree / "starling"
    with processes.Swarm(starling, folder, attacks, options.pace) as swarm:
        first = swarm.peers[0]
        notes = {"started_s": swarm.started_s, "meshed_s": swarm.meshed_s, "idle_pss": median(peer.pss_bytes() for peer in swarm.peers[:3])}
        time.sleep(options.idle / 3)
        cpu, begun = swarm.counters()["cpu_s"], time.monotonic()
        time.sleep(options.idle * 2 / 3)
        before, busy, begun = swarm.counters(), processes.machine_busy_s(), time.monotonic() - begun
        notes["idle_cpu_share"] = (before["cpu_s"] - cpu) / begun / options.peers if options.idle else 0.0
        job = processes.command(starling, "--state", first.folder, "submit", options.tree / "guests/square.wasm", "--array", f"1-{options.units}", "--arg", "1",
                                "--class", "standard", "--epsilon", "1e-3", "--detach", "--output", "quiet").strip()
        deadline = time.monotonic() + 60
        for peer in swarm.honest:  # its manifest travels
            while not any(one["id"] == job for one in peer.ask(op="jobs")["jobs"]):
                if time.monotonic() > deadline:
                    raise SystemExit("sixty: the job did not reach every peer within 60 s")
                time.sleep(0.05)
        (finish_s, executions, at_finish, busy_then), seen = watch(swarm, job, options)
        notes["busy_pss"] = median(peer.pss_bytes() for peer in swarm.peers[:3])
        notes["worker_cpu_ms_per_unit"] = (at_finish["cpu_s"] - before["cpu_s"]) * 1000 / options.units
        notes["machine_busy_cores"] = (busy_then - busy) / finish_s
        after = swarm.counters()
        for peer in swarm.peers:  # what is looked at from here on stands still, but for what travels
            peer.ask(op="pause")
        states = {peer.id: peer.ask(op="job", job=job)["job"] for peer in swarm.honest}
        final = [digests(peer, job) for peer in swarm.honest]
        truth = right_digests(swarm.honest, job, options.units, folder)
        liars = {peer.id for peer in swarm.peers if peer.attack.startswith("liar")}
        honest = {peer.id for peer in swarm.honest}
        judged, verdicts = judged_alike(swarm, job, folder)
        answers = [seconds for peer in swarm.honest for seconds in peer.calls_s]
        notes["archive_bytes"] = max(row[4] for row in first.ask(op="accepted", job=job)["units"])
        notes["answer_ms"] = median(answers) * 1000
        notes["answer_ms_p90"] = quantile(answers, 0.9) * 1000
        notes["log_lines"] = median(len((peer.folder / "worker.log").read_text().splitlines()) for peer in swarm.peers)
        notes["disk_bytes"] = sum(file.stat().st_size for file in first.folder.rglob("*") if file.is_file())
        scale = options.units * options.peers
        figures = {
            "units": options.units,
            "honest": len(honest),
            "finish_s": finish_s,
            "executions_at_finish": executions / options.units,
            "executions": states[first.id]["executions"] / options.units,
            "wrong_once": sum(1 for unit, outcomes in seen.items() if outcomes != {truth.get(unit)}),
            "wrong_final": sum(1 for accepted in final for unit, digest in accepted.items() if digest != truth.get(unit)),
            "liars_banned": sum(len(liars & set(state["banned"])) for state in states.values()),
            "liar_pairs": len(liars) * len(honest),
            "honest_bans": sum(len(honest & set(state["banned"])) for state in states.values()),
            "statements": judged[0]["statements"] / options.units,
            "replays": judged[0]["replay_statements"] / options.units,
            "signatures": (after["signatures"] - before["signatures"]) / scale,
            "bytes": (after["bytes"] - before["bytes"]) / scale,
            "agreeing": verdicts.count(verdicts[0]),
            "asked": len(verdicts),
        }
        figures["reopened"] = sum(1 for state in states.values() if state["state"] != "finished")
        return with_shares(figures), notes


# ---------------------------------------------------------------- the prediction


def predict(case, options, folder, latency_ms, archive_bytes):
    """The means over the seeds, of the same job among the same attackers in virtual time."""
    _, counts = cast(case, options.peers)
    keys = {
        "about": "what tests/sixty runs for real",
        "peers": options.peers, "slots": 1, "units": options.units, "contacts": 8,
        "start_spread_ms": 15000, "submit_at_ms": 40000, "settle_ms": int(options.settle * 1000),
        "unit_time_ms": milliseconds(options.pace), "time_limit_ms": 600000, "epsilon_ppm": 1000, "class": "standard",
        "archive_bytes": archive_bytes, "fingerprints": "no", "latency_min_ms": 1, "latency_max_ms": max(1, latency_ms),
        "lie_share": 0.2, **counts,
        # Bans go on reopening units for long; the figures are taken at a fixed time after the finish.
        "virtual_limit_ms": 40000 + int(options.settle * 1000) + 10 * options.units * milliseconds(options.pace) // options.peers + 60000,
        "report": "no_wrong_result_accepted", "skip": "same_seed_same_trace results_survive every_unit_verified",
    }
    (folder / "scenarios").mkdir(exist_ok=True)
    (folder / "scenarios/sixty.scenario").write_text("".join(f"{key} = {value}\n" for key, value in keys.items()))
    runs = []
    for seed in range(options.seed, options.seed + options.seeds):
        done = subprocess.run([options.tree / "tests/simulate", "--folder", folder, "--scenario", "sixty", "--seed", str(seed), "--once", "--figures"],
                              capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode != 0 or not lines:
            raise SystemExit(f"sixty: the simulation failed\n{done.stdout}{done.stderr}\n{(folder / 'scenarios/sixty.scenario').read_text()}")
        runs.append(with_shares(json.loads(lines[0])))
    mean = {key: mean_of(run[key] for run in runs) for key in runs[0] if key != "agreement"}
    mean["agreement"] = f"{mean['agreeing']:g} of {mean['asked']:g}"
    return mean, runs


# ---------------------------------------------------------------- what is told


def table(case, real, prediction, runs, notes, options):
    lines = [f"### {case}", "", "| | real | predicted | over the seeds | real / predicted |", "|---|---|---|---|---|"]
    for key, words, form in LINES:
        ratio, spread = "", ""
        if key != "agreement":
            values = [run[key] for run in runs]
            spread = form.format(min(values)) + " to " + form.format(max(values))
            ratio = f"{real[key] / prediction[key]:.2f}" if prediction[key] else ("1.00" if real[key] == 0 else "-")
        lines.append(f"| {words} | {form.format(real[key])} | {form.format(prediction[key])} | {spread} | {ratio} |")
    lines += ["", f"{options.peers} peers, {options.units} units of {options.pace}, {options.seeds} seeds from {options.seed}, latency 1 to {notes['latency_ms']} ms. "
              f"All up after {notes['started_s']:.0f} s, all linked after {notes['meshed_s']:.0f} s. An idle worker: {notes['idle_cpu_share'] * 100:.2f} % of a core, "
              f"{notes['idle_pss'] / 1e6:.0f} MB; with its executor after the job: {notes['busy_pss'] / 1e6:.0f} MB. "
              f"All workers without executors: {notes['worker_cpu_ms_per_unit']:.0f} ms of CPU per unit; {notes['machine_busy_cores']:.1f} cores of the machine were busy. "
              f"A worker answered its door in {notes['answer_ms']:.0f} ms, in nine of ten times in {notes['answer_ms_p90']:.0f} ms. "
              f"{notes['log_lines']:.0f} lines of log, {notes['disk_bytes'] / 1e6:.1f} MB on disk per peer.", ""]
    return "\n".join(lines)


def broken(case, real):
    """What must hold in a swarm of real processes, whatever was predicted.

    Two who tell the same lie where nobody contradicts them are believed until an audit finds it: a rate (docs/verification.md), which a single run
    may miss by a few units, and each reader finds alone, as it believes its own replays and no roots. So BELIEVED_MAX there. Liars who do not know
    each other have no such chance: nothing of theirs may stand.
    """
    found = []
    if real["honest_bans"] != 0:
        found.append(f"{real['honest_bans']} bans of honest peers")
    together = any(key in ("colluders", "copiers") for _, key in CASES[case].values())
    if real["wrong_final"] > (BELIEVED_MAX * real["units"] * real.get("honest", real["asked"]) if together else 0):
        found.append(f"{real['wrong_final']} wrong results at the end (peer, unit)")
    if real["agreeing"] != real["asked"]:
        found.append(f"equal judges disagree: {real['agreement']} digests are the first one's")
    return found


def kept_figures(file, case):
    for line in file.read_text().splitlines() if file else []:
        if line.startswith('{"case"') and json.loads(line)["case"] == case:
            kept = json.loads(line)
            return kept["real"], kept["notes"]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=pathlib.Path)
    parser.add_argument("--peers", type=int, default=60)
    parser.add_argument("--units", type=int, default=1200)
    parser.add_argument("--pace", default="4s", help="how long a unit takes")
    parser.add_argument("--settle", type=float, default=60, help="seconds that the swarm goes on after the job has finished")
    parser.add_argument("--limit", type=float, default=900, help="seconds that a job may take")
    parser.add_argument("--idle", type=float, default=15, help="seconds for which the swarm is watched before it has anything to do")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3, help="simulated runs")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--real-only", action="store_true")
    parser.add_argument("--again", type=pathlib.Path, help="take the real figures from this file, which --to wrote, and predict them again")
    parser.add_argument("--to", type=pathlib.Path, help="append the tables and raw figures to this file too")
    options = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGINT):  # also where the shell had it ignored: the workers must not stay
        signal.signal(ending, lambda *_: sys.exit(143))
    options.tree = options.tree.resolve()
    failures = []
    for case in options.case or CASES:
        with processes.Folder() as folder:
            kept = kept_figures(options.again, case)
            # Compiled once, not by all workers at the same time.
            processes.command(options.tree / "starling", "run", "--local", options.tree / "guests/square.wasm", "1", text_in="3\n")
            real, notes = kept or run_real(case, options, folder)
            failures += [f"{case}: {what}" for what in broken(case, real)]
            text = f"{case}: " + json.dumps(real)
            if not options.real_only:
                notes["latency_ms"] = max(2, round(2 * notes["answer_ms"]))
                prediction, runs = predict(case, options, folder, notes["latency_ms"], notes["archive_bytes"])
                text = table(case, real, prediction, runs, notes, options)
            print(text, flush=True)
            if options.to and not kept:
                with options.to.open("a") as file:
                    file.write(text + "\n" + json.dumps({"case": case, "real": real, "notes": notes}) + "\n")
    for failure in failures:
        print(f"sixty: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
