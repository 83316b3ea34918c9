"""Rows to figures, figures to the table of docs/benchmarks.md. Nothing here measures."""
import collections
import math

from median import median

MARKS = ("<!-- written by tests/bench: begin -->", "<!-- written by tests/bench: end -->")
ITEMS_MARKS = ("<!-- written by tests/bench items: begin -->", "<!-- written by tests/bench items: end -->")
EVIDENCE_MARKS = ("<!-- written by tests/bench evidence: begin -->", "<!-- written by tests/bench evidence: end -->")
EXECUTION_MARKS = ("<!-- written by tests/bench execution: begin -->", "<!-- written by tests/bench execution: end -->")

Figure = collections.namedtuple("Figure", "median least most runs unit")


def figures_of(rows):
    values, units = collections.defaultdict(list), {}
    for benchmark, _, value, unit in rows:
        values[benchmark].append(float(value))
        units[benchmark] = unit
    return {name: Figure(median(found), min(found), max(found), len(found), units[name]) for name, found in values.items()}


def number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


# What is shown: title, figure, goal as (text, compare), note.
def at_least(bound):
    return lambda value: value >= bound


def at_most(bound):
    return lambda value: value <= bound


SHOWN = [
    ("No-op units a second, two peers, two copies, one archive for all", "noop.units_per_s", "4,000", at_least(4000)),
    ("The same with a different archive for each unit", "noop_distinct.units_per_s", "", None),
    ("CPU time of one execution of a no-op unit, all of a peer's processes", "noop.cpu_us_per_execution", "", None),
    ("The same with a different archive for each unit", "noop_distinct.cpu_us_per_execution", "", None),
    ("Efficiency, 10 ms units, one copy, one peer with two slots", "efficiency_10ms.one_copy", "", None),
    ("— of the cores that other programs left", "efficiency_10ms.one_copy_of_free", "", None),
    ("Efficiency, 10 ms units, one copy, two peers", "efficiency_10ms.one_copy_two_peers", "", None),
    ("— of the cores that other programs left", "efficiency_10ms.one_copy_two_peers_of_free", "", None),
    ("Efficiency, 10 ms units, two copies", "efficiency_10ms.two_copies", "", None),
    ("— of the cores that other programs left", "efficiency_10ms.two_copies_of_free", "", None),
    ("Efficiency, 100 ms units, one copy, one peer with two slots", "efficiency_100ms.one_copy", "95", at_least(95)),
    ("— of the cores that other programs left", "efficiency_100ms.one_copy_of_free", "", None),
    ("Efficiency, 100 ms units, one copy, two peers", "efficiency_100ms.one_copy_two_peers", "95", at_least(95)),
    ("— of the cores that other programs left", "efficiency_100ms.one_copy_two_peers_of_free", "", None),
    ("Efficiency, 100 ms units, two copies", "efficiency_100ms.two_copies", "", None),
    ("— of the cores that other programs left", "efficiency_100ms.two_copies_of_free", "", None),
    ("Efficiency, 1 s units, one copy, one peer with two slots", "efficiency_1s.one_copy", "", None),
    ("— of the cores that other programs left", "efficiency_1s.one_copy_of_free", "", None),
    ("Efficiency, 1 s units, one copy, two peers", "efficiency_1s.one_copy_two_peers", "", None),
    ("— of the cores that other programs left", "efficiency_1s.one_copy_two_peers_of_free", "", None),
    ("Efficiency, 1 s units, two copies", "efficiency_1s.two_copies", "", None),
    ("— of the cores that other programs left", "efficiency_1s.two_copies_of_free", "", None),
    ("One unit on an idle swarm, submit to verified, median of 20", "latency.median", "50", at_most(50)),
    ("The same, 95th percentile of 20", "latency.p95", "", None),
    ("Idle memory of a peer, PSS of all its processes", "idle.memory", "60", at_most(60)),
    ("Idle CPU of a peer, of one core", "idle.cpu", "0.2", at_most(0.2)),
    ("Signature checks, one thread", "signatures.one_thread", "", None),
    ("Signature checks, a batch over two threads", "signatures.two_threads", "", None),
    ("dedoppler natively, CPU time", "dedoppler.native", "", None),
    ("dedoppler as WebAssembly, CPU time", "dedoppler.wasm", "", None),
    ("dedoppler, WebAssembly against native", "dedoppler.ratio", "1.15", at_most(1.15)),
    ("Simulator, 50 peers with 5 % loss", "simulator.speed", "", None),
    ("Simulator, messages encoded, delivered and decoded", "simulator.messages", "", None),
]


ITEMS = [
    ("Start of an item, by items of a unit of 1,000: wall time", "items.item", "200", at_most(200)),
    ("— of it the executor's processor time", "items.item_cpu", "", None),
    ("— wall time without a cage", "items.item_uncaged", "", None),
    ("— what the guest itself does of it", "items.item_fuel", "", None),
    ("A unit of one item, warm executor", "items.unit", "", None),
    ("— without a cage", "items.unit_uncaged", "", None),
    ("First unit of a pool, executor's start and cage included", "items.first_unit", "", None),
    ("— without a cage", "items.first_unit_uncaged", "", None),
    ("From pause until a computing guest stands still", "items.pause", "100", at_most(100)),
    ("From cancel until the executor of a computing guest is gone", "items.cancel", "100", at_most(100)),
    ("Instrumenting a program of 50 MB: wall time", "instrument.50_mb", "5", at_most(5)),
    ("— processor time", "instrument.50_mb_cpu", "", None),
    ("— processor time, compared with 25 MB", "instrument.by_half", "", None),
]


def table(figures, shown=None):
    lines = ["| what | median | min | max | runs | unit | goal |", "|---|---:|---:|---:|---:|---|---|"]
    for title, name, goal, holds in shown or SHOWN:
        if name not in figures:
            lines.append(f"| {title} | not measured | | | 0 | | {goal} |")
            continue
        one = figures[name]
        verdict = "" if holds is None else f"{goal}: {'reached' if holds(one.median) else 'missed'}"
        lines.append(f"| {title} | {number(one.median)} | {number(one.least)} | {number(one.most)} | {one.runs} | {one.unit} | {verdict} |")
    return lines


def items(figures, names=None):
    """Starting and stopping, and rewriting; a last line for each that was measured, or for all."""
    names = names or ["items", "instrument"]
    lines = [*table(figures, ITEMS), ""]
    if "items" in names and "items.item" in figures:
        start_us = figures["items.item"].median
        lines.append(f"items: start {start_us:.0f} us over the guest's own work, {number(1e6 / start_us)} items/s per core")
    if "instrument" in names and "instrument.50_mb" in figures:
        lines.append(f"instrument: 50 MB in {figures['instrument.50_mb'].median:.2f} s, {figures['instrument.by_half'].median:.2f} times what 25 MB take")
    return lines


WORLDS = [(size, flow, epsilon) for size in ("small", "large") for epsilon in ("6e-2", "1e-3") for flow in ("honest", "lying")]
SIZES = {"small": "100 peers, 10,000 units", "large": "1,000 peers, 65,536 units"}
MEMORY = [
    ("V, bytes of a unit of which nothing is said", "evidence.memory.nothing_said", "", None),
    ("— with one answer", "evidence.memory.open", "", None),
    ("— closed, two answers each and the audits", "evidence.memory.closed", "4", at_most(4)),
    ("— the facts of it alone, packed as decision 0023 plans it", "evidence.memory.packed", "", None),
    ("Signature checks one by one, one core", "evidence.signatures.one", "", None),
    ("— in batches of 64 by TBB, all cores", "evidence.signatures.batches", "", None),
    ("A bundle's statements opened one by one", "evidence.signatures.bundle_alone", "", None),
    ("— as the driver lets the notary know of them, in windows of 64", "evidence.signatures.bundle", "", None),
    ("— times as many, in the same run", "evidence.signatures.bundle_gain", "", None),
]
JOINING = [
    row
    for title, name in (("10,000 units, 32 results a statement", "batched"), ("10,000 units, one result a statement", "single"), ("65,536 units, 32 results a statement", "shard"))
    for row in (
        (f"Late joiner, {title}: processor time", f"evidence.joining.{name}.cpu", "", None),
        ("— bytes on the wire, of a unit", f"evidence.joining.{name}.wire", "", None),
        ("— told by folds instead, a minute of comparisons with it: processor time", f"evidence.joining.{name}.told_cpu", "", None),
        ("— bytes on the wire, of a unit", f"evidence.joining.{name}.told_wire", "", None),
        ("— memory of a unit at whom it joins, all parts of the core", f"evidence.joining.{name}.memory", "", None),
        ("— the same while the job sleeps, its archives here", f"evidence.sleeping.{name}.here.memory", "4", at_most(4)),
        ("— its archives at neighbours", f"evidence.sleeping.{name}.elsewhere.memory", "4", at_most(4)),
        ("— processor time of waking it", f"evidence.sleeping.{name}.waking", "", None),
    )
]


def evidence(figures):
    """V's cost: results a second for each world and batch, memory of a unit, and the last line."""
    found = {name: figure for name, figure in figures.items() if name.startswith("evidence.")}
    if not found:
        return []
    goal = 1_000_000
    lines = ["| results a second on one core | answers a unit | one by one | 64 at a time | 1,024 at a time | 1,024, as a peer paces it | goal |", "|---|---:|---:|---:|---:|---:|---|"]
    for size, flow, epsilon in WORLDS:
        of = {batch: found.get(f"evidence.results.{size}.{flow}.{epsilon}.{batch}") for batch in ("per_unit", "1", "64", "1024", "paced")}
        if of["1024"] is None:
            continue
        speeds = [number(of[batch].median) if of[batch] else "" for batch in ("1", "64", "1024", "paced")]
        verdict = "reached" if of["1024"].median >= goal else "reached as paced" if of["paced"] and of["paced"].median >= goal else "missed"
        lines.append(f"| {SIZES[size]}, {epsilon}, {flow} | {of['per_unit'].median:.2f} | " + " | ".join(speeds) + f" | 1,000,000: {verdict} |")
    return [*lines, "", *table(found, [*MEMORY, *JOINING]), "", evidence_summary(found)]


def evidence_summary(found):
    least = min(figure.median for name, figure in found.items() if name.startswith("evidence.results.") and name.endswith(".1024"))
    one, batches = found["evidence.signatures.one"].median, found["evidence.signatures.batches"].median
    paced = [figure.median for name, figure in found.items() if name.startswith("evidence.results.") and name.endswith(".paced")]
    as_paced = f" ({number(min(paced))} as a peer paces them)" if paced else ""
    return (f"evidence: {number(least)} results/s{as_paced}, {number(found['evidence.memory.closed'].median)} bytes per closed unit, "
            f"signatures {number(batches)}/s ({batches / one:.2f} times one core)")


CALL_BOUND = {"fib", "dispatch"}  # under about 50 instructions a call: their bound is 2.0, the others' 1.35


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def ratios(figures):
    """{kernel: (against plain AOT, against native)}, of medians."""
    medians = {name.removeprefix("execution."): figure.median for name, figure in figures.items() if name.startswith("execution.")}
    kernels = sorted({name.split(".")[0] for name in medians})
    return {name: (medians[f"{name}.instrumented"] / medians[f"{name}.plain"], medians[f"{name}.instrumented"] / medians[f"{name}.native"])
            for name in kernels}


def execution(figures):
    """The cost of metering and of canonical NaNs, kernel by kernel."""
    found = ratios(figures)
    if not found:
        return []
    lines = ["| kernel | native -O2, s | plain AOT, s | instrumented AOT, s | of plain AOT | of native |", "|---|---:|---:|---:|---:|---:|"]
    for name, (of_plain, of_native) in found.items():
        times = [figures[f"execution.{name}.{variant}"].median for variant in ("native", "plain", "instrumented")]
        label = name + (" (call-bound)" if name in CALL_BOUND else "")
        lines.append(f"| {label} | " + " | ".join(f"{value:.3f}" for value in times) + f" | {of_plain:.2f} | {of_native:.2f} |")
    return [*lines, "", execution_summary(figures)]


def execution_summary(figures):
    found = ratios(figures)
    others = [pair[0] for name, pair in found.items() if name not in CALL_BOUND]
    calls = [pair[0] for name, pair in found.items() if name in CALL_BOUND]
    return (f"execution: geomean {geometric_mean([pair[0] for pair in found.values()]):.3f} of plain AOT, "
            f"{geometric_mean([pair[1] for pair in found.values()]):.3f} of native, worst {max(others):.2f}, worst call-bound {max(calls):.2f}")


def limits(figures):
    """How far each figure is from what the machine could do, where that can be said from the rows."""
    lines = []
    for name, title in (("noop", "no-op units"), ("noop_distinct", "no-op units with an archive each")):
        rate, cost = figures.get(f"{name}.units_per_s"), figures.get(f"{name}.cpu_us_per_execution")
        if rate and cost:
            bound = 2 * 1e6 / (2 * cost.median)
            lines.append(f"- {title}: two cores, two executions a unit and {cost.median:.0f} us of CPU time each allow {bound:,.0f} units/s at "
                         f"most; {100 * rate.median / bound:.0f} % of that is reached.")
    two, one = figures.get("signatures.two_threads"), figures.get("signatures.one_thread")
    if two and one:
        lines.append(f"- signature checks: two threads do {two.median / one.median:.2f} times the work of one; 2.00 is the limit of two free cores.")
    busy = [(name, figure) for name, figure in figures.items() if name.endswith("others_cores")]
    if busy:
        worst = max(busy, key=lambda entry: entry[1].median)
        middle = median(figure.median for _, figure in busy)
        lines.append(f"- whatever was not the swarm (other programs, the measuring client, the kernel's own threads) took {middle:.2f} cores of the "
                     f"machine at the median benchmark of units, {worst[1].median:.2f} at the worst (`{worst[0].removesuffix('_others_cores').removesuffix('.others_cores')}`); "
                     f"executors run at idle priority, so every such core is missing from the figures above.")
    return lines


def render(figures, cores):
    return "\n".join([f"Machine: {cores} cores.", "", *table(figures), "", "How far from the limit:", "", *limits(figures)])


def into_page(page, text, marks):
    before, rest = page.split(marks[0], 1)
    after = rest.split(marks[1], 1)[1]
    return before + marks[0] + "\n" + text + "\n" + marks[1] + after
