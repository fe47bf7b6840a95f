"""Memory that is freed: it stays with the process, and may be taken again without asking the kernel."""

import platform
import subprocess
import sys

import pytest

STEPS = """
import resource, sys, torch
from regard.train.memory import keep_freed_memory

if sys.argv[1:] == ["kept"]:
    keep_freed_memory()
torch.set_num_threads(1)
sides = (3, 24, 24, 24, 24)
layers = [torch.nn.Sequential(torch.nn.Conv2d(*two, 3, padding=1), torch.nn.ReLU()) for two in zip(sides, sides[1:])]
model, pictures = torch.nn.Sequential(*layers), torch.randn(64, 3, 32, 32)
for step in range(10):
    if step == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    model.zero_grad()
    model(pictures).square().mean().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments):
    """Pages that the kernel had to give in five steps of a small network, behind five that may find out what they need."""
    done = subprocess.run([sys.executable, "-c", STEPS, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's here")
def test_what_is_freed_is_taken_again_without_new_pages():
    assert 10 * faults("kept") < faults()
