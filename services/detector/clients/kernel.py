"""What Linux tells of itself in /proc, parsed: pressure, kills for lack of memory, open files."""

from __future__ import annotations

from pathlib import Path

RESOURCES = ("cpu", "memory", "io")


def parse_pressure(text: str) -> dict[str, tuple[float, float]]:
    """`some` and `full` of a pressure file: percent of the last 10 s in which tasks waited, and seconds ever.

    >>> parse_pressure("some avg10=1.50 avg60=0.20 avg300=0.00 total=2500000")
    {'some': (1.5, 2.5)}
    """
    found = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        told = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if "avg10" in told and "total" in told:
            found[kind] = (float(told["avg10"]), float(told["total"]) / 1e6)
    return found


def parse_counters(text: str) -> dict[str, int]:
    """`name value` lines, as in /proc/vmstat."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def read(path: str) -> str:
    """Empty where this kernel or container has no such file."""
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def pressure(resource: str) -> dict[str, tuple[float, float]]:
    return parse_pressure(read(f"/proc/pressure/{resource}"))


def oom_kills() -> int | None:
    """Processes that the kernel has killed for lack of memory since it started; None where it doesn't count."""
    return parse_counters(read("/proc/vmstat")).get("oom_kill")


def open_files() -> tuple[int, int] | None:
    """Files open on the whole machine, and how many may be."""
    words = read("/proc/sys/fs/file-nr").split()
    return (int(words[0]), int(words[2])) if len(words) == 3 else None


def descriptor_limit(pid: int) -> int | None:
    """How many files a process may have open; None where that is unlimited or not ours to know."""
    for line in read(f"/proc/{pid}/limits").splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdecimal() else None
    return None
