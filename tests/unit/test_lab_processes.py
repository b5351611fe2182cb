"""The lab knows its own processes, and leaves everybody else's alone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from unierp_assets.lab import processes
from unierp_assets.lab.errors import LabError
from unierp_assets.lab.processes import ProcessRef

_SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_running_process_is_recognised() -> None:
    myself = ProcessRef.of(os.getpid())
    assert myself is not None
    assert myself.is_alive()


def test_a_pid_given_to_another_process_is_not_taken_for_ours() -> None:
    myself = ProcessRef.of(os.getpid())
    assert myself is not None
    assert not ProcessRef(myself.pid, "another moment").is_alive()


def test_a_process_that_ended_is_not_alive_even_before_its_parent_notices() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert processes.wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 10)
    assert ProcessRef.of(child.pid) is None
    child.wait()
    assert ProcessRef.of(child.pid) is None


def test_stop_ends_what_it_is_given_and_nothing_else() -> None:
    ours, theirs = subprocess.Popen(_SLEEP), subprocess.Popen(_SLEEP)
    try:
        processes.stop([psutil.Process(ours.pid)])
        assert not psutil.pid_exists(ours.pid)
        assert theirs.poll() is None
    finally:
        theirs.kill()
        theirs.wait()


def test_a_process_that_ignores_the_request_is_ended_by_force() -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == b"ready\n"
        processes.stop([psutil.Process(stubborn.pid)], patience=0.2)
        assert not psutil.pid_exists(stubborn.pid)


def test_processes_are_found_by_arguments_that_follow_each_other() -> None:
    with subprocess.Popen([*_SLEEP, "-c", "/some/lab.conf", "--workers", "2"]) as child:
        try:
            # Until exec has happened the child still shows its parent's command line.
            assert processes.wait_until(lambda: bool(processes.naming(["-c", "/some/lab.conf", "--workers"])), 10)
            assert [found.pid for found in processes.naming(["/some/lab.conf", "--workers", "2"])] == [child.pid]
            assert processes.naming(["/some/lab.conf", "2"]) == []
            assert processes.naming(["/some/lab"]) == []
        finally:
            child.kill()


def test_a_spawned_process_leads_a_session_of_its_own(tmp_path: Path) -> None:
    child = processes.spawn(_SLEEP, env=dict(os.environ), log=tmp_path / "log")
    try:
        assert processes.leads(psutil.Process(child.pid))
        assert os.getsid(child.pid) != os.getsid(0)
    finally:
        child.kill()
        child.wait()


def test_a_free_port_is_free_and_a_taken_one_is_not() -> None:
    port = processes.free_port()
    assert processes.is_free(port)
    with socket.create_server((processes.HOST, port)):
        assert not processes.is_free(port)


def test_a_failing_command_tells_its_last_line() -> None:
    program = "import sys; print('first', file=sys.stderr); print('no space left', file=sys.stderr); sys.exit(3)"
    with pytest.raises(LabError, match=r"^Unpacking failed: no space left$"):
        processes.run([sys.executable, "-c", program], "Unpacking")


def test_a_missing_command_is_named() -> None:
    with pytest.raises(LabError, match=r"^Unpacking failed: No such file or directory: no-such-program$"):
        processes.run(["no-such-program"], "Unpacking")
