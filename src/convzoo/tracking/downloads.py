"""Folders of a run that are in the artifact store of a tracking server."""

from pathlib import Path

from mlflow.artifacts import download_artifacts, list_artifacts


def download_folder(uri: str, folder: Path) -> None:
    """Download the artifact folder at `uri` into `folder`; nothing if the run has none."""
    if list_artifacts(artifact_uri=uri):
        download_artifacts(artifact_uri=uri, dst_path=str(folder))
