"""A stand-in for torchrun, so that a page which launches it can run hundreds of times.

It starts a script in forks of the page, which have torch already, instead of in new
interpreters. What the page and the script see is the same: the environment, the folders
of logs, attempts after a failure, and a store that outlives them.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REAL = subprocess.Popen


def start(command: Sequence[Any], *arguments: Any, **options: Any) -> Any:
    """Start a command as `subprocess.Popen` does, and torchrun by forks."""
    if "torch.distributed.run" not in command:
        return REAL(command, *arguments, **options)
    return ForkedTorchrun(command, *arguments, **options)


class ForkedTorchrun:
    """What a page asks of the process of torchrun."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stderr: int
    ) -> None:
        assert stderr == subprocess.PIPE
        self.returncode: int | None = None
        reading, writing = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            os.chdir(cwd)
            os.environ.update(env)
            os.dup2(writing, 2)
            os._exit(run_attempts(command))
        os.close(writing)
        self.messages = open(reading, "rb")  # noqa: SIM115  # closed when it is read

    def communicate(self, timeout: float | None = None) -> tuple[None, bytes]:
        """Wait for the end; the limit of the whole run is limit enough."""
        if self.returncode is not None:
            return None, b""
        errors = self.messages.read()
        self.messages.close()
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return None, errors

    def terminate(self) -> None:
        """Tell it to end, unless it has."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)


def run_attempts(command: Sequence[str]) -> int:
    """Run a script in processes until all of them succeed; return the exit status."""
    options = dict(part.split("=") for part in command if "=" in part)
    count = int(options.get("--nproc-per-node", 1))
    dist = importlib.import_module("torch.distributed")
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for attempt in range(int(options.get("--max-restarts", 0)) + 1):
        about = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": store.port,
            "TORCHELASTIC_RESTART_COUNT": attempt,
            "TORCHELASTIC_USE_AGENT_STORE": True,
            "WORLD_SIZE": count,
            "LOCAL_WORLD_SIZE": count,
        }
        if run_attempt(command[-1], about):
            return 0
    return 1


def run_attempt(script: str, about: Mapping[str, Any]) -> bool:
    """Tell whether a script succeeds in all processes; end the others if not."""
    os.environ.update({name: str(value) for name, value in about.items()})
    running = set()
    for rank in range(about["WORLD_SIZE"]):
        if not (pid := os.fork()):
            run_script(script, rank)
        running.add(pid)
    succeeded = True
    while running:
        pid, status = os.wait()
        running.remove(pid)
        if status and succeeded:
            succeeded = False
            for other in running:
                os.kill(other, signal.SIGKILL)
    return succeeded


def run_script(script: str, rank: int) -> None:
    """Run a script as one of some processes, and end this process."""
    code = 1
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
        folder = Path("logs", f"attempt_{attempt}", str(rank))
        folder.mkdir(parents=True)
        os.dup2(os.open(folder / "stdout.log", os.O_WRONLY | os.O_CREAT), 1)
        exec(compile(Path(script).read_bytes(), script, "exec"), {})
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
