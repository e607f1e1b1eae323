"""`python -I -S invoke.py <module> <event> <times> <path>...` invokes a handler that is imported only from the paths.

Prints the response, durations and peak memory as JSON.
"""

import importlib
import json
import os
import sys
import time


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def main(module: str, event: str, times: str, *path: str) -> None:
    sys.path[:0] = path
    handler = importlib.import_module(module)
    wall: list[float] = []
    cpu: list[float] = []
    answer = None
    for _ in range(int(times)):
        started, used = time.perf_counter(), _cpu_seconds()
        with open(event, "rb") as file:  # noqa: PTH123 - importing pathlib would add to the cold start
            answer = handler.handle(json.load(file), Context())
        wall.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (_cpu_seconds() - used))
    print(json.dumps({"answer": answer, "wall_ms": wall, "cpu_ms": cpu, "peak_mib": _peak_mib()}))


def _cpu_seconds() -> float:
    """Return the processor time of this process and of its children, which have one thread.

    https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
    """
    seconds = time.process_time()
    for process in _children():
        with open(f"/proc/{process}/schedstat") as file:  # noqa: PTH123 - as above
            seconds += int(file.read().split()[0]) / 1e9
    return seconds


def _peak_mib() -> float:
    """Return the sum of the peaks of this process and of its children, such as the render process.

    Not ru_maxrss of wait4(): it is at least the memory of the parent at the fork.
    """
    return sum(_process_peak_mib(process) for process in ("self", *_children()))


def _children() -> list[str]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123 - as above
        return file.read().split()


def _process_peak_mib(process: str) -> float:
    with open(f"/proc/{process}/status") as file:  # noqa: PTH123 - as above
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


main(*sys.argv[1:])
