"""Put into a clone's src as sitecustomize.py: each training there counts the steps of its optimizers."""

import atexit
import importlib.util
import os
import sys
from pathlib import Path


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
            atexit.register(lambda: steps and Path("steps", os.environ["DVC_STAGE"]).write_text(str(len(steps))))

        spec.loader.exec_module = execute_and_count
        return spec


if os.environ.get("DVC_STAGE", "").startswith("train@"):
    Path("steps").mkdir(exist_ok=True)
    sys.meta_path.insert(0, Finder)
