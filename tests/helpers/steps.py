"""Put into a clone's src as sitecustomize.py: each stage lists modules, packages and seconds, each training its steps.

Writes into the folder STEPS, if the environment names one.
"""

import atexit
import importlib.util
import os
import sys
import time
from pathlib import Path

FOLDER = os.environ.get("STEPS")
STARTED = time.monotonic()


class Finder:
    """Lets torch's optimizers be imported, and counts from then on."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "torch.optim.optimizer":
            return None
        sys.meta_path.remove(Finder)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_count(module):
            execute(module)
            steps = []
            module.register_optimizer_step_post_hook(lambda *_: steps.append(1))
            atexit.register(lambda: steps and Path(FOLDER, os.environ["DVC_STAGE"]).write_text(str(len(steps))))

        spec.loader.exec_module = execute_and_count
        return spec


def list_modules() -> None:
    """Write the names of packages and of this project's modules, without empty ones, and how long the stage took."""
    Path(FOLDER, f"{os.environ['DVC_STAGE']} seconds").write_text(str(time.monotonic() - STARTED))
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    names = [name for name, file in files.items() if name.startswith("convzoo.") and file and Path(file).stat().st_size]
    Path(FOLDER, f"{os.environ['DVC_STAGE']} modules").write_text("\n".join(sorted(names)))
    packages = {name.partition(".")[0] for name in files}
    Path(FOLDER, f"{os.environ['DVC_STAGE']} packages").write_text("\n".join(sorted(packages)))


if "DVC_STAGE" in os.environ and FOLDER:
    atexit.register(list_modules)
    if os.environ["DVC_STAGE"].startswith("train@"):
        sys.meta_path.insert(0, Finder)
