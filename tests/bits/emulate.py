"""Run `convzoo bits` under QEMU's user emulation as other processors, and compare them with this one.

    python tests/bits/emulate.py [MODEL ...]

Writes tests/bits/qemu-MODEL.json. Takes several minutes per model. The exit code is 1 if an operation differs.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from convzoo.portable import LEVERS

FOLDER = Path(__file__).parent
EMULATOR = "qemu-x86_64"
MODELS = ("Haswell", "EPYC")  # Intel's first processor with AVX2 and FMA, and AMD's first Zen
# QEMU 7.2 ends at AVX2's gather instructions, which PyTorch uses for these.
WITHOUT = ("rotate and scale", "resized crop")


def emulate(model: str, *files: Path) -> int:
    """Run all operations as `model`, or compare `files`; the exit code."""
    python = shutil.which(Path(sys.executable).name) or sys.executable
    command = [python, "-m", "convzoo", "bits"]
    if files:
        return subprocess.run([*command, *files], check=False).returncode
    out = FOLDER / f"qemu-{model.lower()}.json"
    command = [EMULATOR, "-cpu", model, *command, "--out", str(out), "--name", f"{model} (QEMU)"]
    for operation in WITHOUT:
        command += ["--without", operation]
    # With the variables there, the process need not start itself again, which would leave the emulator.
    return subprocess.run(command, env=os.environ | LEVERS, check=False).returncode


def main(models: list[str]) -> int:
    """Run all models; the exit code."""
    if shutil.which(EMULATOR) is None:
        print(f"{EMULATOR}: is missing, expected QEMU's user emulation; install it: apt install qemu-user")
        return 1
    this = Path("bits.json")
    if code := subprocess.run([sys.executable, "-m", "convzoo", "bits"], check=False).returncode:
        return code
    failed = 0
    for model in models or MODELS:
        failed |= emulate(model) or emulate(model, this, FOLDER / f"qemu-{model.lower()}.json")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
