"""What the commits, promotions and files of this clone need, which `convzoo prune` therefore keeps."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.errors import ConvzooError
from convzoo.files import read_json
from convzoo.lineage import commits

MD5 = re.compile(r"\bmd5: ([0-9a-f]{32})\b")  # of an output or a dependency in dvc.lock
LOCK = "dvc.lock"


class Needed(NamedTuple):
    """What must stay."""

    md5s: set[str]  # of the files that some commit's dvc.lock names
    versions: set[tuple[str, str]]  # network and number, from the ledger
    sha256s: set[str]  # of the files in the ledger
    fingerprints: set[str]  # of the trainings in models/


def needed(ledger: Iterable[dict[str, Any]]) -> Needed:
    """What the commits, the ledger's lines and models/ need. Raises ConvzooError if git does not answer."""
    versions, sha256s = set(), set()
    for line in ledger:
        numbers = (line.get("version"), line.get("champion_before"))
        versions |= {(line["network"], str(number)) for number in numbers if number is not None}
        sha256s |= {line[key] for key in ("model_sha256", "champion_sha256") if line.get(key)}
    return Needed(_committed_md5s(), versions, sha256s, _fingerprints())


def is_known(commit: str | None) -> bool:
    """Whether this clone has a commit; True if none was recorded."""
    return commit is None or commits.git("cat-file", "-e", f"{commit}^{{commit}}") is not None


def snapshots() -> list[tuple[str, str, int]]:
    """The snapshots of trainings: their fingerprint, the commit, and its time in seconds."""
    listed = commits.git("for-each-ref", commits.REFS, "--format=%(refname) %(objectname) %(committerdate:unix)")
    rows = [line.split() for line in (listed or "").splitlines()]
    return [(name.rpartition("/")[2], commit, int(time)) for name, commit, time in rows]


def remove_snapshot(fingerprint: str, commit: str) -> None:
    """Remove a snapshot, unless it is another commit by now. Raises ConvzooError if git cannot remove it."""
    if commits.git("update-ref", "-d", f"{commits.REFS}/{fingerprint}", commit) is None:
        raise ConvzooError(
            f"{commits.REFS}/{fingerprint}: git cannot remove it, expected it to still be {commit[:12]}; run the same "
            "command again"
        )


def _committed_md5s() -> set[str]:
    """The md5s in dvc.lock, in the working tree and in every commit but snapshots. Raises ConvzooError."""
    texts = [Path(LOCK).read_text(encoding="utf-8")] if Path(LOCK).is_file() else []
    if commits.head():
        every = (f"--exclude={commits.REFS}/*", "--all", "--reflog", "HEAD")
        # The full history has branches, too, whose dvc.lock a merge did not take.
        listed = commits.git("rev-list", "--full-history", *every, "--", f"./{LOCK}")
        if listed is None:
            raise ConvzooError("git rev-list failed, expected the commits that changed dvc.lock; run: git fsck")
        files = {commits.git("rev-parse", "--quiet", "--verify", f"{commit}:./{LOCK}") for commit in listed.split()}
        texts += map(_content, files - {None})  # None: the commit removed the file
    return {md5 for text in texts for md5 in MD5.findall(text)}


def _content(blob: str) -> str:
    text = commits.git("cat-file", "blob", blob)
    if text is None:
        raise ConvzooError(f"git cannot read {blob}, expected the {LOCK} of some commit; run: git fsck")
    return text


def _fingerprints() -> set[str]:
    return {read_json(file, "fingerprint")["fingerprint"] for file in Path("models").glob("*/fingerprint.json")}
