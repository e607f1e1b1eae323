"""Subprocesses whose failure is a packaging error."""

import subprocess
from collections.abc import Mapping, Sequence

from lambda_packages.errors import PackagingError


def run_command(command: Sequence[str], task: str, env: Mapping[str, str] | None = None) -> None:
    """Run a command to its end.

    Raises:
        PackagingError: The exit code is not 0. The message has the task and the last ten lines of output.
    """
    result = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        last_lines = "\n".join(result.stdout.strip().splitlines()[-10:])
        raise PackagingError(f"{task} failed with exit code {result.returncode}:\n{last_lines}")
