"""A development swarm of real workers on loopback, each with an attack of its own, and the worker's local door (sdk/client/peer_service.hpp)."""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time

STARTS_AT_ONCE = 4
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def command(*words, check=True, text_in=""):
    done = subprocess.run([str(word) for word in words], input=text_in, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise SystemExit(f"sixty: exit {done.returncode} of {' '.join(map(str, words))}\n{done.stderr}{done.stdout}")
    return done.stdout


def at_once(work, things):
    """A few at a time; the first failure is raised when the rest is done."""
    waiting, failures = list(things), []

    def go_on():
        while True:
            try:
                thing = waiting.pop(0)
            except IndexError:
                return
            try:
                work(thing)
            except BaseException as failure:
                failures.append(failure)

    threads = [threading.Thread(target=go_on) for _ in range(STARTS_AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:  # told to end: begin nothing more, leave nothing behind
        waiting.clear()
        for thread in threads:
            thread.join()
        raise
    if failures:
        raise failures[0]


class Folder:
    """A scratch folder, which holds native code of guests too."""

    def __enter__(self):
        self.path = pathlib.Path(command("mktemp", "-d", "-t", "sixty-XXXXXX").strip())
        for name in ("CONFIG", "STATE", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = str(self.path / name.lower())
        os.environ.pop("STARLING_STATE", None)
        return self.path

    def __exit__(self, *_):
        command("rm", "-rf", self.path)


class Peer:
    def __init__(self, starling, folder, attack, pace):
        self.starling, self.folder, self.attack, self.pace = starling, folder, attack, pace
        self.pid, self.id, self.socket, self.calls_s = 0, "", None, []

    @property
    def honest(self):
        return not self.attack

    def at(self, *words):
        """A command of starling for this peer, its answer parsed."""
        return json.loads(command(self.starling, "--state", self.folder, "--output", "json", *words))

    def start(self, *how):
        words = ["worker", "start", "--slots", "1", *how]
        if self.attack:
            words += ["--attack", self.attack]
        if self.pace:
            words += ["--pace", self.pace]
        self.id = self.at(*words)["id"]
        self.pid = int((self.folder / "worker.pid").read_text().split()[0])

    def ask(self, **request):
        """One request of the local door."""
        begun = time.monotonic()
        if self.socket is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(120)
            folder = os.open(self.folder, os.O_DIRECTORY)  # the path may be too long for a socket's name
            self.socket.connect(f"/proc/self/fd/{folder}/worker.sock")
            os.close(folder)
        text = json.dumps(request).encode()
        self.socket.sendall(struct.pack("<II", len(text), 0) + text)
        length, payload = struct.unpack("<II", self._read(8))
        reply = json.loads(self._read(length))
        self._read(payload)
        self.calls_s.append(time.monotonic() - begun)
        if "error" in reply:
            raise SystemExit(f"sixty: {self.folder.name} answers {request}: {reply['error']}")
        return reply

    def _read(self, length):
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise SystemExit(f"sixty: {self.folder.name} closed its door:\n" + "\n".join((self.folder / "worker.log").read_text().splitlines()[-15:]))
            data += piece
        return data

    def processes(self):
        """This worker and all that it started."""
        children = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
        found, todo = [], [self.pid]
        while todo:
            found.append(todo.pop())
            todo += children.get(found[-1], [])
        return found

    def worker_cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def pss_bytes(self):
        total = 0
        for pid in self.processes():
            try:
                rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        return total

    def stop(self):
        command(self.starling, "--state", self.folder, "worker", "stop", "--output", "quiet", check=False)
        try:  # only if the number still is this worker's
            self.pid = self.pid or int((self.folder / "worker.pid").read_text().split()[0])
            if str(self.folder) in pathlib.Path(f"/proc/{self.pid}/cmdline").read_bytes().decode().split("\0"):
                os.kill(self.pid, signal.SIGKILL)
        except (OSError, ValueError, IndexError):
            pass


class Swarm:
    """Peer 0 is honest, makes the swarm and submits. `attacks`: of each peer, "" for the honest ones."""

    def __init__(self, starling, folder, attacks, pace):
        self.peers = [Peer(starling, folder / f"peer-{i}", attack, pace) for i, attack in enumerate(attacks)]

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        begun = time.monotonic()
        first = self.peers[0]
        first.start("--new", "development", "--swarm-name", "sixty")
        ticket = first.at("swarm", "invite")["ticket"]
        at_once(lambda peer: peer.start("--join", ticket), self.peers[1:])
        self.started_s = time.monotonic() - begun
        deadline = time.monotonic() + 120
        while any(sum(one["linked"] for one in peer.ask(op="peers")["peers"]) < len(self.peers) - 1 for peer in self.peers):
            if time.monotonic() > deadline:
                raise SystemExit("sixty: the peers did not all find each other within 120 s")
            time.sleep(0.2)
        self.meshed_s = time.monotonic() - begun

    def __exit__(self, *_):
        at_once(Peer.stop, [peer for peer in self.peers if peer.folder.exists()])

    @property
    def honest(self):
        return [peer for peer in self.peers if peer.honest]

    def counters(self):
        """Sums over all peers since their start."""
        sums = {"bytes": 0, "signatures": 0, "cpu_s": 0.0}
        for peer in self.peers:
            status = peer.ask(op="status")
            counters = status.get("counters", status)
            sums["bytes"] += counters["bytes_sent"]
            sums["signatures"] += counters["statements_verified"]
            sums["cpu_s"] += peer.worker_cpu_s()
        return sums


def machine_busy_s():
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq = (int(field) for field in fields[:7])
    return (user + nice + system + irq + softirq) * TICK_S
