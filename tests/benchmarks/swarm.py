"""A development swarm on loopback with the release build (or STARLING_BENCH_PRESET), and what its processes cost."""
import json
import os
import pathlib
import subprocess
import time

TREE = pathlib.Path("build", os.environ.get("STARLING_BENCH_PRESET", "release")).resolve()
GUESTS = TREE / "guests"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def run(*command, text_in=None):
    done = subprocess.run([str(word) for word in command], input=text_in, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench: exit {done.returncode} of {' '.join(map(str, command))}\n{done.stderr}{done.stdout}")
    return done.stdout


class Folder:
    """A scratch folder; native code of guests is compiled anew in each, so no old build is measured."""

    def __enter__(self):
        self.path = pathlib.Path(run("mktemp", "-d", "-t", "starling-bench-XXXXXX").strip())
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = str(self.path / name.lower())
        os.environ.pop("STARLING_STATE", None)
        return self

    def __exit__(self, *_):
        run("rm", "-rf", self.path)


class Swarm:
    def __init__(self, folder, peers, slots):
        self.state = folder.path / f"swarm-{time.monotonic_ns()}"
        self.peers, self.slots = peers, slots

    def __enter__(self):
        run(TREE / "starling", "--state", self.state, "dev", "up", "-n", self.peers, "--slots", self.slots, "--output", "quiet")
        described = json.loads((self.state / "dev" / "dev.json").read_text())
        self.pids = [peer["pid"] for peer in described["peers"]]
        return self

    def __exit__(self, *_):
        run(TREE / "starling", "--state", self.state, "dev", "down", "--output", "quiet")

    def warm_up(self, guest, verification):
        """Starts executors and compiles the guest, so that what follows measures neither."""
        self.jobs_s(guest, 8, verification, 1, "1")

    def jobs_s(self, guest, units, verification, repeat, *arguments):
        """Seconds from submit to finished, one for each repetition."""
        first = self.state / "dev" / "peer-0"
        out = run(TREE / "benchmarks/bench_jobs", first, GUESTS / f"{guest}.wasm", units, verification, repeat, *arguments)
        return [float(line) for line in out.split()]

    def timed_job(self, guest, units, verification, *arguments):
        """One job: seconds, CPU seconds of the swarm, and cores that other programs took meanwhile."""
        machine, own = machine_busy_s(), sum(self.cpu_s(peer) for peer in range(self.peers))
        (took_s,) = self.jobs_s(guest, units, verification, 1, *arguments)
        own = sum(self.cpu_s(peer) for peer in range(self.peers)) - own
        return took_s, own, max(0.0, machine_busy_s() - machine - own) / took_s

    def processes(self, peer):
        """The worker of one peer and all that it started."""
        children = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(folder.name))
        found, todo = [], [self.pids[peer]]
        while todo:
            found.append(todo.pop())
            todo += children.get(found[-1], [])
        return found

    def pss_bytes(self, peer):
        total = 0
        for pid in self.processes(peer):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def cpu_s(self, peer):
        total_ns = 0
        for pid in self.processes(peer):
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
                total_ns += int((task / "schedstat").read_text().split()[0])
        return total_ns / 1e9


def machine_busy_s():
    """CPU time that all programs of the machine took together."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq = (int(field) for field in fields[:7])
    return (user + nice + system + irq + softirq) * TICK_S
