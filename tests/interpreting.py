"""Tests of kernels once more in Triton's interpreter, which must be chosen before triton is imported."""

import os
import subprocess
import sys


def assert_passes_interpreted(file):
    """The tests of a file pass in a process whose kernels run in the interpreter."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", file]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
