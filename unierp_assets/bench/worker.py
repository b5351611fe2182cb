"""The process that is measured: ``python -m unierp_assets.bench.worker [DOMAIN]`` does what ``unierp sync`` does.

It prints one JSON object: the summary of the run, the seconds of each of its steps, the calls to Odoo with their
seconds, its processor time and its peak memory. Nothing is imported that ``unierp sync`` does not import, and settings
come from the same environment variables.
"""

import sys
import time
from pathlib import Path

_BEGUN = time.perf_counter()


class Stopwatch:
    """Listens to the steps of a run: the time from one announcement to the next belongs to the first."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, float, float]] = []
        self._current: tuple[str, str, float, float] | None = None

    def __call__(self, phase: str, subject: str) -> None:
        now, used = time.perf_counter(), time.process_time()
        if self._current:
            name, of, since, used_before = self._current
            self.steps.append((name, of, now - since, used - used_before))
        self._current = (phase, subject, now, used)


def peak_memory() -> int:
    """The most bytes this process has had in memory. Not by getrusage, which counts the parent's before the start."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def main(domain: str | None) -> None:
    import resource

    import typer  # noqa: F401  # what the command imports counts

    from unierp_assets import display
    from unierp_assets.memory import collect_rarely

    collect_rarely()
    from unierp_assets.sync.pipeline import Pipeline, new_run_id
    from unierp_assets.wiring import open_systems

    stopwatch = Stopwatch()
    with open_systems() as systems:
        imported = time.perf_counter()
        systems.warehouse.upgrade()
        ready = time.perf_counter()
        stopwatch("begin", "run")
        summary = Pipeline(systems.context(new_run_id(), stopwatch), domain).sync()
        stopwatch("end", "run")
        counters = systems.session.counters
        calls = {name: [count, counters.seconds_of[name]] for name, count in counters.by_method.items()}
    used = resource.getrusage(resource.RUSAGE_SELF)
    display.print_json(
        {
            "summary": summary.to_dict(),
            "seconds": {"import": imported - _BEGUN, "prepare": ready - imported, "run": summary.seconds},
            "steps": stopwatch.steps,
            "calls": calls,
            "processor_seconds": used.ru_utime + used.ru_stime,
            "peak_memory": peak_memory(),
        }
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
