"""The job files for clusters: what they start exists, and torchrun knows the options. Nothing runs them."""

import re
import shlex
from pathlib import Path

from helpers.project import ROOT
from ruamel.yaml import YAML
from torch.distributed.run import get_args_parser

from convzoo.settings.load import read_params

JOBS = ROOT / "docs/jobs"
SCALING = (ROOT / "docs/scaling.md").read_text()


def started(command: list[str]) -> None:
    """Check the arguments of torchrun: an endpoint on the first machine, and a stage of this project."""
    options = get_args_parser().parse_args(command)
    assert (options.nnodes, options.max_restarts, options.rdzv_backend) == ("2", 0, "c10d")
    assert options.nproc_per_node == "8" and options.rdzv_endpoint.endswith(":29400")
    assert (ROOT / options.training_script).is_file()
    [network] = options.training_script_args
    assert network in read_params(ROOT / "params.yaml").values["networks"]


def joined(text: str) -> str:
    return text.replace("\\\n", " ")


def test_the_job_of_slurm_starts_torchrun_on_each_machine():
    text = joined((JOBS / "slurm.sh").read_text())
    assert "#SBATCH --nodes=2\n" in text and "#SBATCH --gpus-per-node=8\n" in text
    [command] = re.findall(r"^srun .* torch\.distributed\.run (.*)$", text, re.MULTILINE)
    for name, value in {"$SLURM_NNODES": "2", "$SLURM_GPUS_PER_NODE": "8", "$network": "mnist-classifier"}.items():
        command = command.replace(name, value)
    started(shlex.split(command))


def test_the_job_of_kubernetes_starts_torchrun_in_each_pod():
    service, job = YAML(typ="safe").load_all(JOBS / "kubernetes.yaml")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    python, module, name, *arguments = container["command"]
    assert (Path(python).name, module, name) == ("python", "-m", "torch.distributed.run")
    started(arguments)
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"] == 2
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 8
    host = f"{job['metadata']['name']}-0.{pod['subdomain']}:29400"
    assert f"--rdzv-endpoint={host}" in arguments and pod["subdomain"] == service["metadata"]["name"]
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}


def test_the_commands_of_the_page_are_those_that_torchrun_and_convzoo_know():
    [command] = re.findall(r"torchrun (--nnodes .*)$", joined(SCALING), re.MULTILINE)
    started(shlex.split(command))
    assert get_args_parser().parse_args(["--local-addr", "10.0.0.1", "x.py"]).local_addr == "10.0.0.1"
