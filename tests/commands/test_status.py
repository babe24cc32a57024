"""`convzoo status` on a small DVC project whose stage depends on what `pipeline/check.py` writes."""

import shutil

import pytest
from helpers.project import ROOT, convzoo, dvc

CHECK = """
import sys
from pathlib import Path
import settings  # in src

Path("data/code").mkdir(parents=True, exist_ok=True)
Path("data/code/one.txt").write_text(Path("src/one.py").read_text())
if settings.MISTAKE:
    print(f"error: params.yaml: {settings.MISTAKE}", file=sys.stderr)
    sys.exit(7)
"""
STAGES = """
stages:
  one:
    cmd: echo 1 > one.out
    deps: [data/code/one.txt]
    outs: [one.out]
  two:
    cmd: echo 2 > two.out
    deps: [pipeline/check.py]
    outs: [two.out]
"""


@pytest.fixture
def project(tmp_path):
    """A DVC project whose stages have not run yet."""
    for folder in ("pipeline", "src"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src/convzoo").symlink_to(ROOT / "src/convzoo")
    (tmp_path / "src/one.py").write_text("RATE = 1\n")
    (tmp_path / "src/settings.py").write_text("MISTAKE = None\n")
    (tmp_path / "pipeline/check.py").write_text(CHECK)
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "params.yaml").write_text("profile: test\n")
    dvc(tmp_path, "init", "--quiet", "--no-scm")
    return tmp_path


def test_status_sees_code_that_changed_after_the_last_check(project):
    assert "two:" in convzoo(project, "status"), "nothing has run yet, and the check has written what the stages need"
    dvc(project, "repro", "--quiet")
    (project / "src/one.py").write_text("RATE = 2\n")
    assert "up to date" in dvc(project, "status"), "alone, it compares with the last check"
    output = convzoo(project, "status")
    assert output.startswith("one:") and "data/code/one.txt" in output
    assert "up to date" in convzoo(project, "status", "two")
    assert "did you mean 'two'? " in convzoo(project, "status", "too", expected=1)


def test_a_failed_check_ends_with_its_error_and_exit_code(project):
    (project / "src/settings.py").write_text("MISTAKE = 'epochs: got ten'\n")
    assert convzoo(project, "status", expected=7) == "error: params.yaml: epochs: got ten\n"


def test_an_error_of_dvc_ends_with_its_exit_code(project):
    shutil.rmtree(project / ".dvc")
    assert "not inside of a DVC repository" in convzoo(project, "status", expected=253)
