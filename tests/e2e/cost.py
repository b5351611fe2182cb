"""What running processes cost, by kind: the processor's seconds so far, and memory."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

KINDS = {
    "dagster._daemon": "daemon",
    "dagster_webserver": "web server",
    "dagster api grpc": "code server",
    "dagster code-server": "code server",
    "unierp_assets.cli worker": "worker",
    "odoo": "Odoo",
    "postgres": "PostgreSQL",
}
"""What is in a command line, and what the process is called then; the first that fits."""


@dataclass(frozen=True)
class Cost:
    """Seconds of a processor, and bytes of memory, shared ones divided among those that share them; by kind."""

    seconds: Counter[str]
    memory: Counter[str]


def cost(leaders: Iterable[psutil.Process]) -> Cost:
    """What these processes and all that they have started cost until now, those that have ended since included."""
    found = Cost(Counter(), Counter())
    for leader in leaders:
        for process in (leader, *leader.children(recursive=True)):
            try:
                command, times = " ".join(process.cmdline()), process.cpu_times()
                kind = next((name for part, name in KINDS.items() if part in command), "others")
                found.seconds[kind] += times.user + times.system + times.children_user + times.children_system
                found.memory[kind] += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
    return found
