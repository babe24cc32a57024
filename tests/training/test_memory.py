"""Memory that is freed and used again."""

import subprocess
import sys

import pytest

CODE = """
import resource, torch
from convzoo.training.memory import keep_freed_memory
torch.set_num_threads(1)
if {keep}:
    assert keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):  # until each tensor finds its place
    torch.ones(12_000_000)
before = faults()
for _ in range(5):
    torch.ones(12_000_000)
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_a_large_tensor_gets_the_pages_of_the_one_before():
    faults = {}
    for keep in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", CODE.format(keep=keep)], capture_output=True, text=True, check=True
        )
        faults[keep] = int(done.stdout)
    pages = 12_000_000 * 4 // 4096
    assert faults[False] > pages  # in five turns
    assert faults[True] < pages // 10
