"""What git keeps of a training that starts from changes."""

import os
import subprocess

import pytest
from helpers.project import commit, git

from convzoo.errors import ConvzooError
from convzoo.lineage import commits

FINGERPRINT = "f" * 64


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a commit, its user unknown to git, as current folder."""
    folder = tmp_path / "a clone"
    (folder / "src").mkdir(parents=True)
    (folder / "params.yaml").write_text("rate: 1\n")
    (folder / "src/loop.py").write_text("pass\n")
    (folder / ".gitignore").write_text("*.pyc\n")
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "first")
    for name in ("DVC_ROOT", "GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(folder)
    return folder


def kept(path: str) -> str:
    return commits.git("show", f"{commits.REFS}/{FINGERPRINT}:{path}")


def test_a_clean_tree_needs_no_snapshot(repository):
    (repository / "notes.txt").write_text("not code")
    (repository / "src/loop.pyc").write_text("ignored by git")
    commits.keep("net", FINGERPRINT)
    assert commits.snapshot_of(FINGERPRINT) is None


def test_changes_are_kept_and_the_tree_and_the_stash_left_alone(repository):
    (repository / "params.yaml").write_text("rate: 2\n")
    (repository / "src/new.py").write_text("added, in no commit\n")
    git(repository, "add", "src/new.py")
    before = commits.git("status", "--porcelain")
    commits.keep("net", FINGERPRINT)
    assert (kept("params.yaml"), kept("src/new.py")) == ("rate: 2", "added, in no commit")
    assert commits.git("status", "--porcelain") == before
    assert commits.git("stash", "list") == ""
    git(repository, "gc", "-q", "--prune=now")
    assert kept("params.yaml") == "rate: 2", "a ref holds it"


def test_code_that_git_does_not_track_is_refused(repository):
    (repository / "src/mine.py").write_text("pass\n")
    with pytest.raises(ConvzooError, match=r"net: git does not track src/mine.py, expected .* run: git add"):
        commits.keep("net", FINGERPRINT)


def test_a_copy_of_an_experiment_leaves_its_snapshot_in_the_clone(repository, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "-q", str(repository), str(copy)], check=True)
    (copy / "params.yaml").write_text("rate: 3\n")
    monkeypatch.setenv("DVC_ROOT", str(repository))
    monkeypatch.chdir(copy)
    commits.keep("net", FINGERPRINT)
    monkeypatch.chdir(repository)
    assert kept("params.yaml") == "rate: 3"


def test_a_snapshot_that_cannot_be_kept_is_a_warning_with_what_to_do(repository, monkeypatch, capsys):
    (repository / "params.yaml").write_text("rate: 4\n")
    monkeypatch.setenv("DVC_ROOT", str(repository.parent / "gone"))
    commits.keep("net", FINGERPRINT)
    told = capsys.readouterr().out
    assert "net: warning: git could not keep the changes" in told and "commit them before they change again" in told


def test_nothing_is_done_outside_a_repository_and_before_the_first_commit(repository, tmp_path, monkeypatch, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "params.yaml").write_text("rate: 1\n")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(outside)
    commits.keep("net", FINGERPRINT)
    git(outside, "init", "-q")
    commits.keep("net", FINGERPRINT)
    assert commits.snapshot_of(FINGERPRINT) is None
    assert capsys.readouterr().out == ""


def test_a_repository_that_git_refuses_is_not_taken_for_none(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own way to test this
    for use in (commits.head, commits.changes, lambda: commits.keep("net", FINGERPRINT), commits.check_repository):
        with pytest.raises(
            ConvzooError, match=rf"{repository}: git refuses .* git config --global --add safe.directory"
        ):
            use()
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(repository))
    commits.check_repository()


def test_a_folder_without_a_repository_is_said_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commits.head() is None
    with pytest.raises(ConvzooError, match="is not in a git repository, expected one"):
        commits.check_repository()


@pytest.mark.parametrize("place", ["project", "user"])
def test_a_project_that_dvc_uses_without_git_needs_none(tmp_path, monkeypatch, place):
    project = tmp_path / "project"
    (project / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    file = {"project": project / ".dvc/config", "user": tmp_path / "user/config"}[place]
    file.parent.mkdir(exist_ok=True)
    file.write_text("[core]\n    no_scm = true\n")
    commits.check_repository()
    for text in ("[core]\n    no_scm = false\n", "not settings"):
        file.write_text(text)
        with pytest.raises(ConvzooError, match="is not in a git repository, expected one"):
            commits.check_repository()
