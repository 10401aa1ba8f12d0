"""Where and beside what a benchmark ran. Standard library only: who measures memory must stay small."""
import importlib.metadata
import json
import os
import resource
import subprocess
import time


def last_json(*command) -> dict:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def describe(narrow: str, packages: tuple[str, ...]) -> dict:
    doctor = last_json(narrow, "doctor", "--json", "--quiet")
    version = subprocess.run([narrow, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return {"processor": doctor["processor"], "cores": doctor["cores"], "isa": doctor["isa"],
            "versions": {"narrow": version} | {name: importlib.metadata.version(name) for name in packages}}


def title(about: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"{about['processor']}, {about['cores']} cores, {about['isa']} · {versions}"


def busy_seconds() -> float:
    """Processor time of the whole machine, what a hypervisor gave to its other guests included."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor time of this process and of every child that has ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Neighbours:
    """How many cores everybody else used, from its making, before any child starts, until all children have ended."""

    def __init__(self):
        self.start, self.busy, self.own = time.monotonic(), busy_seconds(), own_seconds()

    def cores(self) -> float:
        others = (busy_seconds() - self.busy) - (own_seconds() - self.own)
        return max(0.0, others / (time.monotonic() - self.start))
