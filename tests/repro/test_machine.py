"""How many networks run at once, by cores, memory and GPUs."""

import subprocess
from types import SimpleNamespace

import pytest

from convzoo.repro import machine
from convzoo.repro.machine import MEMORY_PER_JOB, core_count, free_memory, job_count, job_environments, visible_gpus
from convzoo.settings.compute import ComputeSettings

GIB = 1 << 30


def compute(device: str = "cpu", threads: int | str = 1, devices: int = 1) -> ComputeSettings:
    return ComputeSettings(
        portable=False,
        device=device,
        devices=devices,
        nodes=1,
        strategy="auto",
        precision="fp32",
        threads=threads,
        deterministic=True,
    )


@pytest.mark.parametrize(
    ("settings", "gpus", "cores", "memory", "expected"),
    [
        (compute(threads=2), 0, 2, 100, 1),
        (compute(threads=2), 0, 8, 100, 4),
        (compute(threads=2), 0, 7, 100, 3),
        (compute(threads="auto"), 0, 8, 100, 1),
        (compute(threads=4), 0, 2, 100, 1),
        (compute(threads=1), 0, 8, 3, 3),
        (compute(threads=1), 0, 8, 0, 1),
        (compute(threads=1, devices=2), 0, 8, 100, 4),
        (compute("cuda", threads=8), 4, 16, 100, 4),
        (compute("cuda", devices=2), 4, 16, 100, 2),
        (compute("cuda"), 4, 3, 100, 3),
        (compute("cuda"), 0, 8, 100, 1),
        (compute("auto", threads=8), 4, 16, 100, 4),
        (compute("auto", threads=8), 0, 16, 100, 2),
        (compute("mps"), 0, 8, 100, 1),
    ],
)
def test_jobs_are_as_many_as_fit(monkeypatch, settings, gpus, cores, memory, expected):
    monkeypatch.setattr(machine, "core_count", lambda: cores)
    monkeypatch.setattr(machine, "free_memory", lambda: memory * MEMORY_PER_JOB)
    assert job_count(settings, [str(number) for number in range(gpus)]) == expected


def test_each_job_has_gpus_of_its_own_as_long_as_there_are_enough():
    assert [job["CUDA_VISIBLE_DEVICES"] for job in job_environments(compute("cuda"), ["2", "5"], 3)] == ["2", "5", "2"]
    pairs = job_environments(compute("cuda", devices=2), ["0", "1", "2", "3", "4"], 2)
    assert [job["CUDA_VISIBLE_DEVICES"] for job in pairs] == ["0,1", "2,3"]
    assert job_environments(compute(), [], 2) == [{}, {}]


def test_gpus_are_those_of_the_environment_otherwise_of_the_driver(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="0\n1\n"))
    assert visible_gpus(compute("auto")) == visible_gpus(compute("cuda")) == ["0", "1"]
    assert visible_gpus(compute("cpu")) == visible_gpus(compute("mps")) == []
    for value, expected in (("1", ["1"]), ("GPU-a,GPU-b", ["GPU-a", "GPU-b"]), ("", []), ("-1", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert visible_gpus(compute("cuda")) == expected


def test_a_machine_without_a_driver_has_no_gpus(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "NVIDIA", ("no-such-command",))
    assert visible_gpus(compute("auto")) == []


def test_a_container_has_what_its_group_has(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CONTROL_GROUP", tmp_path)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=64 * GIB))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    assert (core_count(), free_memory()) == (8, 64 * GIB)
    limits = {"cpu.max": "250000 100000", "memory.max": f"{8 * GIB}", "memory.current": f"{5 * GIB}"}
    for name, text in (limits | {"memory.stat": f"anon 7\ninactive_file {2 * GIB}\n"}).items():
        (tmp_path / name).write_text(text)
    assert (core_count(), free_memory()) == (2, 5 * GIB)
    (tmp_path / "cpu.max").write_text("max 100000")
    (tmp_path / "memory.max").write_text("max")
    assert (core_count(), free_memory()) == (8, 64 * GIB)
