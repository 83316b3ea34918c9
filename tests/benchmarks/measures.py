"""The benchmarks. Each yields rows (name, run, value, unit); names with the same start belong together."""
import os
import pathlib
import subprocess
import time

from median import median
from swarm import GUESTS, TREE, Folder, Swarm, run

CORES = os.cpu_count()


def latency_percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def noop(runs):
    """4,096 units that do nothing, two peers, two copies; once with the same archive for all, once with 4,096 archives."""
    units = 4096
    with Folder() as folder:
        for name, guest in (("noop", "noop"), ("noop_distinct", "square")):
            for number in range(runs):
                with Swarm(folder, 2, 1) as swarm:
                    swarm.warm_up(guest, "standard")
                    took_s, used_s, others = swarm.timed_job(guest, units, "standard")
                    yield f"{name}.units_per_s", number, units / took_s, "units/s"
                    yield f"{name}.cpu_us_per_execution", number, used_s / (2 * units) * 1e6, "us"
                    yield f"{name}.others_cores", number, others, "cores"


def turns_for(folder, milliseconds):
    """Turns of busy.c that take that long alone; and how long they really took, the median of five."""
    def measure(turns, lines):
        out = run(TREE / "benchmarks/bench_units", TREE / "starling-executor", folder.path / "native", 2, GUESTS / "busy.wasm",
                  "-", turns, text_in="\n".join(map(str, range(lines))) + "\n")
        return median(int(line.split()[1]) for line in out.splitlines())

    probe = 20_000_000
    turns = int(probe * milliseconds * 1000 / measure(probe, 5))
    return turns, measure(turns, 5) / 1e6


def efficiency(runs):
    """Ideal time over actual time on two slots. Ideal: the CPU time of the same unit alone, times executions, by two slots.

    `of_free` relates it to the cores that other programs left: executors run at idle priority and yield to everyone."""
    plans = (("10ms", 10, 400), ("100ms", 100, 40), ("1s", 1000, 6))
    with Folder() as folder:
        for length, milliseconds, units in plans:
            turns, unit_s = turns_for(folder, milliseconds)
            for name, copies, peers, slots, verification in (("one_copy", 1, 1, 2, "trusted"), ("one_copy_two_peers", 1, 2, 1, "trusted"),
                                                             ("two_copies", 2, 2, 1, "standard")):
                with Swarm(folder, peers, slots) as swarm:
                    swarm.warm_up("busy", verification)
                    for number in range(runs):
                        took_s, _, others = swarm.timed_job("busy", units, verification, turns)
                        ideal_s = unit_s * units * copies / 2
                        yield f"efficiency_{length}.{name}", number, 100 * ideal_s / took_s, "%"
                        yield f"efficiency_{length}.{name}_of_free", number, 100 * ideal_s / took_s * 2 / max(0.1, 2 - others), "%"
                        yield f"efficiency_{length}.{name}_others_cores", number, others, "cores"


def latency(runs):
    """One no-op unit on an idle swarm, twenty times a run; from submit to verified by two peers."""
    with Folder() as folder, Swarm(folder, 2, 1) as swarm:
        swarm.warm_up("noop", "standard")
        for number in range(runs):
            took = swarm.jobs_s("noop", 1, "standard", 20)
            yield "latency.median", number, median(took) * 1000, "ms"
            yield "latency.p95", number, latency_percentile(took, 95) * 1000, "ms"


def idle(runs):
    """A peer with a finished job of 256 units behind it, after its executor has ended by itself."""
    window_s = 30
    with Folder() as folder, Swarm(folder, 2, 1) as swarm:
        swarm.jobs_s("square", 256, "standard", 1)
        time.sleep(35)
        for number in range(runs):
            before = [swarm.cpu_s(peer) for peer in (0, 1)]
            time.sleep(window_s)
            used = [swarm.cpu_s(peer) - spent for peer, spent in zip((0, 1), before)]
            yield "idle.memory", number, max(swarm.pss_bytes(peer) for peer in (0, 1)) / 1e6, "MB"
            yield "idle.cpu", number, 100 * max(used) / window_s, "%"


def signatures(runs):
    """Ed25519 checks of 1 KiB statements."""
    for number in range(runs):
        one, two, *_ = run(TREE / "benchmarks/bench_signatures").split()
        yield "signatures.one_thread", number, float(one), "1/s"
        yield "signatures.two_threads", number, float(two), "1/s"


def children_cpu_us(command, environment, texts):
    """CPU time of that process, run once for each text on its standard input."""
    before = os.times()
    for text in texts:
        subprocess.run([str(word) for word in command], input=text, text=True, env=environment, capture_output=True)
    after = os.times()
    return (after.children_user + after.children_system - before.children_user - before.children_system) * 1e6


def dedoppler(runs):
    """The same sixteen units of the demo's observation, natively and as wasm; CPU time of each, one pair after the other."""
    with Folder() as folder:
        inputs = folder.path / "in"
        inputs.mkdir()
        observation = inputs / "voyager.fil"
        run(TREE / "dedoppler-generate", "--seed", 1, "--output", observation, "--truth", folder.path / "truth.json")
        outputs = folder.path / "out"
        outputs.mkdir()
        environment = {**os.environ, "DEDOPPLER_IN": str(inputs), "DEDOPPLER_OUT": str(outputs)}
        split = subprocess.run([str(TREE / "dedoppler-native"), "split", "bands"], text=True, env=environment, capture_output=True, check=True)
        lines = split.stdout.splitlines()
        lines = lines[:: max(1, len(lines) // 16)][:16]
        for number in range(runs):
            # A process that only starts is no part of the comparison: an executor stays for many units.
            program = TREE / "dedoppler-native"
            start_us = children_cpu_us([program, "nothing"], environment, [""] * 100) / 100
            native_us = children_cpu_us([program, "search"], environment, [line + "\n" for line in lines * 4]) / 4 - start_us * len(lines)
            out = run(TREE / "benchmarks/bench_units", TREE / "starling-executor", folder.path / "native", 2,
                      GUESTS / "dedoppler.wasm", observation, text_in="\n".join(lines * 4) + "\n")
            wasm_us = sum(int(line.split()[1]) for line in out.splitlines()) / 4
            yield "dedoppler.native", number, native_us / len(lines) / 1000, "ms/unit"
            yield "dedoppler.wasm", number, wasm_us / len(lines) / 1000, "ms/unit"
            yield "dedoppler.ratio", number, wasm_us / native_us, "x"


KERNELS = sorted(path.stem for path in pathlib.Path("tests/benchmarks/kernels").glob("*.c*"))


def execution(runs):
    """Kernels natively at -O2, as plain AOT and as instrumented AOT, in turn; CPU time of each."""
    with Folder() as folder:
        out = run(TREE / "benchmarks/bench_execution", folder.path, TREE / "benchmarks", GUESTS, runs, *KERNELS)
    for line in out.splitlines():
        kernel, variant, number, seconds = line.split()
        yield f"execution.{kernel}.{variant}", int(number), float(seconds), "s"


def simulator(runs):
    """Fifty real nodes with the real codec and 5 % loss in virtual time."""
    for number in range(runs):
        out = run(TREE / "tests/simulate", "--scenario", "fifty_wire", "--seed", number + 1)
        fields = dict(word.split("=", 1) for word in out.split() if "=" in word)
        yield "simulator.speed", number, float(fields["virtual_s"]) / float(fields["cpu_s"]), "virtual s per CPU s"
        yield "simulator.messages", number, float(fields["messages"]) / float(fields["cpu_s"]), "1/s"


def items(runs):
    """What it costs to start an item, a unit and an executor, and how soon a guest is stopped; in the cage and out of it."""
    with Folder() as folder:
        for number in range(runs):
            out = run(TREE / "benchmarks/bench_items", TREE / "starling-executor", folder.path / "native", GUESTS / "noop.wasm", GUESTS / "misbehave.wasm")
            for line in out.splitlines():
                setting, what, value, unit = line.split()
                yield f"items.{what}" + ("" if setting == "caged" else "_uncaged"), number, float(value), unit


def instrument(runs):
    """Rewriting a program of 50 MB, and one of half the size."""
    for number in range(runs):
        whole, half = run(TREE / "benchmarks/bench_instrument", 50_000_000, 25_000_000).splitlines()
        yield "instrument.50_mb", number, float(whole.split()[1]), "s"
        yield "instrument.50_mb_cpu", number, float(whole.split()[2]), "s"
        yield "instrument.by_half", number, float(whole.split()[2]) / float(half.split()[2]), "x"


def evidence(runs):
    """V as a pure function: results a second on one core, what it keeps of a unit; checks of signatures in batches on all cores; what a late joiner pays; jobs asleep."""
    for number in range(runs):
        one, _, batches, alone, expected = map(float, run(TREE / "benchmarks/bench_signatures").split())
        yield "evidence.signatures.one", number, one, "1/s"
        yield "evidence.signatures.batches", number, batches, "1/s"
        yield "evidence.signatures.bundle_alone", number, alone, "1/s"
        yield "evidence.signatures.bundle", number, expected, "1/s"
        yield "evidence.signatures.bundle_gain", number, expected / alone, "x"
        for what in ("results", "memory"):
            for line in run(TREE / "benchmarks/bench_evidence", what).splitlines():
                kind, name, value = line.split()
                unit = "bytes" if kind == "memory" else "results" if name.endswith("per_unit") else "1/s"
                yield f"evidence.{kind}.{name}", number, float(value), unit
        for name, units, entries in (("batched", 10_000, 32), ("single", 10_000, 1), ("shard", 65_536, 32)):
            _, wire_bytes, cpu_s, _, kept_bytes, _ = map(float, run(TREE / "benchmarks/bench_joining", units, entries).split())
            yield f"evidence.joining.{name}.wire", number, wire_bytes / units, "bytes"
            yield f"evidence.joining.{name}.cpu", number, cpu_s, "s"
            yield f"evidence.joining.{name}.memory", number, kept_bytes / units, "bytes"
            _, wire_bytes, cpu_s, _, _, _ = map(float, run(TREE / "benchmarks/bench_joining", units, entries, "told").split())
            yield f"evidence.joining.{name}.told_wire", number, wire_bytes / units, "bytes"
            yield f"evidence.joining.{name}.told_cpu", number, cpu_s, "s"
            for where in ("here", "elsewhere"):
                _, _, asleep_bytes, _, wake_s, _ = map(float, run(TREE / "benchmarks/bench_sleeping", units, entries, where).split())
                yield f"evidence.sleeping.{name}.{where}.memory", number, asleep_bytes / units, "bytes"
                if where == "here":
                    yield f"evidence.sleeping.{name}.waking", number, wake_s, "s"


ALL = {one.__name__: one for one in (noop, efficiency, latency, idle, signatures, dedoppler, execution, items, instrument, evidence, simulator)}
