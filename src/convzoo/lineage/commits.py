"""The commit and the changes that a training starts from, and a snapshot of the changes in git."""

import os
import subprocess
from pathlib import Path

from convzoo.errors import ConvzooError
from convzoo.files import project_root
from convzoo.lineage.dvc_lock import no_dvc_writes

CODE = ("params.yaml", "dvc.yaml", "src", "pipeline")  # files that a training depends on
REFS = "refs/convzoo"  # a ref for each training that started from changes, named by its fingerprint
TIME_LIMIT = 60  # seconds
REFUSED = b"dubious ownership"  # of the files of a repository, in git's message


def git(*arguments: str) -> str | None:
    """The output of a git command, stripped; None if it fails, or if git or a repository is missing.

    Raises ConvzooError if git refuses the repository because its files belong to another user.
    """
    command = ["git", "--no-optional-locks", *arguments]
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=TIME_LIMIT, env=environment)
    except subprocess.CalledProcessError as error:
        if REFUSED in error.stderr:
            raise ConvzooError(
                f"{project_root()}: git refuses this repository, since its files belong to another user, expected "
                f"access to its commits; run: git config --global --add safe.directory '{project_root()}'"
            ) from None
        return None
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="surrogateescape").strip("\n")


def check_repository() -> None:
    """Raise ConvzooError if the project is not in a git repository, unless DVC's core.no_scm says that it has none."""
    if git("rev-parse", "--git-dir") is None and not _dvc_needs_none():
        raise ConvzooError(
            f"{project_root()}: is not in a git repository, expected one, which DVC and the lineage of every network "
            "need; clone the project with git, run: git init, git add ., git commit, or set core.no_scm with dvc config"
        )


def _dvc_needs_none() -> bool:
    """Whether DVC's settings, of the project or of the user, have core.no_scm."""
    from dvc.config import Config, ConfigError  # here: it takes a while, and only a project outside git asks for it

    try:
        return bool(Config(str(project_root() / ".dvc"))["core"].get("no_scm"))
    except ConfigError:  # DVC prints it
        return False


def head() -> str | None:
    """The last commit; None outside a repository and before the first commit."""
    return git("rev-parse", "--quiet", "--verify", "HEAD")


def changes() -> list[tuple[str, str]] | None:
    """The files of CODE that differ from the last commit: two letters from git (`??`: not tracked) and a path."""
    found = git("-c", "core.quotepath=false", "status", "--porcelain", "--untracked-files=all", "--", *CODE)
    return None if found is None else [(line[:2], line[3:]) for line in found.splitlines()]


def snapshot_of(fingerprint: str) -> str | None:
    """The commit that `keep` made for a training; None if it made none."""
    return git("rev-parse", "--quiet", "--verify", f"{REFS}/{fingerprint}^{{commit}}")


def keep(network: str, fingerprint: str) -> None:
    """Keep the working tree under refs/convzoo/FINGERPRINT, if params, stages or code differ from the last commit.

    `git stash create` makes a commit of it that touches neither the tree nor the user's stash. Does nothing outside a
    repository and before its first commit. Raises ConvzooError for such files that git does not track, since no
    commit would hold them.
    """
    found = changes() if head() else None
    if not found:
        return
    untracked = [path for letters, path in found if letters == "??"]
    if untracked:
        more = f" and {len(untracked) - 5} more" if len(untracked) > 5 else ""
        raise ConvzooError(
            f"{network}: git does not track {', '.join(untracked[:5])}{more}, expected a commit or an index that holds "
            "them, so that this training can be reproduced; run: git add, or move them elsewhere"
        )
    ref = f"{REFS}/{fingerprint}"
    with no_dvc_writes():  # the commit holds dvc.lock, and of two such commands at once git refuses one
        commit = git("stash", "create", f"{network} {fingerprint[:16]}")
    kept = commit and git("update-ref", ref, commit) is not None
    if kept and project_root() != Path.cwd():  # a temporary copy of `dvc exp run`, which goes away with its refs
        kept = git("-C", str(project_root()), "fetch", "--quiet", str(Path.cwd()), f"+{ref}:{ref}") is not None
    if not kept:
        print(
            f"{network}: warning: git could not keep the changes that this training starts from, expected {ref} in "
            f"{project_root()}; commit them before they change again, so that it can be reproduced",
            flush=True,
        )
