"""Who takes part in a rotation. Each `visit` runs one build for some seconds in its own process: median, in ms."""
import json
import pathlib
import statistics
import subprocess
import sys

from builds import HERE, Build, last_line


class Resident:
    """Another runtime: a child process that holds the model loaded and sleeps between visits."""

    def __init__(self, build: Build, feed: pathlib.Path, threads: int, free: dict[str, int],
                 environment: dict[str, str] | None = None):
        self.build, self.medians = build, []
        spec = {"runtime": build.runtime, "precision": build.precision, "file": str(build.file), "feed": str(feed),
                "threads": threads, "free": free}
        self.process = subprocess.Popen([sys.executable, HERE / "worker.py", json.dumps(spec)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment)
        said = self.answer()
        self.empty_mb, self.peak_mb, self.opened = said["empty_mb"], said["peak_mb"], [said["open_ms"]]

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.build.runtime} {self.build.label}: {last_line(self.process.stderr.read())}")
        return json.loads(line)

    def visit(self, seconds: float):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.medians.append(self.answer()["median_ms"])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Visitor:
    """narrow: every visit is one `narrow bench`, a process that loads the file, warms up and ends.

    Its peak memory is that of a visit; `empty_mb` is 0, there is nothing it stands on."""

    def __init__(self, build: Build, command: list[str], environment: dict[str, str]):
        self.environment = environment
        self.build, self.command, self.medians, self.opened, self.empty_mb, self.peak_mb = build, command, [], [], 0, 0

    def visit(self, seconds: float):
        done = subprocess.run([*self.command, "--seconds", str(seconds)], capture_output=True, text=True,
                              env=self.environment)
        if done.returncode:
            raise SystemExit(f"narrow {self.build.label}: exit {done.returncode}: {last_line(done.stderr)}")
        said = json.loads(last_line(done.stdout))
        self.medians.append(said["median_ms"])
        self.opened.append(said["load_ms"] + said["first_ms"])
        self.peak_mb = max(self.peak_mb, said["rss_mb"])

    def close(self):
        pass


def rotate(contestants: list, rounds: int, seconds: float):
    """Every round visits all, each time from another start: a machine that drifts hits all alike."""
    for round_number in range(rounds):
        start = round_number % len(contestants)
        for contestant in contestants[start:] + contestants[:start]:
            contestant.visit(seconds)


def record(contestant) -> dict:
    build = contestant.build
    return {"runtime": build.runtime, "precision": build.precision, "label": build.label,
            "median_ms": statistics.median(contestant.medians), "rounds_ms": contestant.medians,
            "open_ms": statistics.median(contestant.opened), "peak_mb": contestant.peak_mb, "empty_mb": contestant.empty_mb}
