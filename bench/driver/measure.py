"""Runs a command and measures its whole process tree (Linux).

Memory is the sum of the proportional set sizes (PSS) of all processes of the tree, sampled up to
four times a second: pages that several processes share count once. A peak shorter than that may be
missed. Where the kernel does not tell PSS it is the sum of resident set sizes.
"""

import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from driver.tools import THREAD_VARIABLES, THREADS

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY = 0.25


@dataclass
class Run:
    status: str  # done, failed, killed, timeout
    why: str
    wall: float
    cpu: float
    peak: int
    # Cores that other processes kept busy meanwhile.
    others: float


def run(command: list, log: Path, timeout: float) -> Run:
    """Runs a command with its output in `log`; ends its whole tree at the timeout."""
    told = dict.fromkeys(THREAD_VARIABLES, str(THREADS))
    busy, begun = busy_seconds(), time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(
            list(map(str, command)),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | told,
            # The tree is known by its session, also where a parent ends before its children.
            start_new_session=True,
        )
        exited = os.pidfd_open(child.pid)
        peak, seconds, late = 0, {}, False
        try:
            while not select.select([exited], [], [], 0)[0]:
                start = time.monotonic()
                peak = max(peak, look(child.pid, seconds))
                if start - begun > timeout and not late:
                    late = True
                    end(child.pid)
                # Reading page tables takes time from the run; never more than a tenth of it.
                pause = max(EVERY, 10 * (time.monotonic() - start))
                select.select([exited], [], [], pause)
            wall = time.monotonic() - begun
        finally:
            # Workers that outlive the run, and everything where this was interrupted.
            end(child.pid)
            os.close(exited)
        _, code, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(code)
    # What waited-for children took is in `used`; those that nobody waited for are in `seconds`.
    cpu = max(used.ru_utime + used.ru_stime, sum(seconds.values()))
    if late:
        status, why = "timeout", f"ended after {timeout:.0f} s"
    elif child.returncode < 0:
        status, why = "killed", f"ended by {signal.Signals(-child.returncode).name}"
    elif child.returncode > 0:
        status, why = "failed", last_line(log)
    else:
        status, why = "done", ""
    others = max(0.0, busy_seconds() - busy - cpu) / wall
    return Run(status, why, wall, cpu, peak, others)


def busy_seconds() -> float:
    """Seconds that the machine's processors have been busy."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / TICKS


def members(session: int) -> dict[int, list[str]]:
    """The living processes of a session, with the fields of /proc/PID/stat after the name."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text().rsplit(") ", 1)[1].split()
        except (OSError, IndexError):
            continue
        if fields[3] == str(session) and fields[0] != "Z":
            found[int(entry.name)] = fields
    return found


def look(session: int, seconds: dict[int, float]) -> int:
    """Bytes that the session's processes hold now; notes the CPU seconds of each."""
    total = 0
    for pid, fields in members(session).items():
        seconds[pid] = (int(fields[11]) + int(fields[12])) / TICKS
        total += held(pid)
    return total


def held(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def end(session: int) -> None:
    """Ends the processes of a session that this benchmark started."""
    for pid in members(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").replace("\r", "\n").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it said nothing"
