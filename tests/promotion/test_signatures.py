"""Versions that are signed when they are promoted, and a server that refuses all others."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.promotions import aliases, version
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.errors import ConvzooError
from convzoo.promotion.promote import promote, rollback
from convzoo.serving.champions import Champions
from convzoo.serving.signed import Signed
from convzoo.serving.sources import Folder, Registry
from convzoo.signing import SIGNATURE, SignatureError, sign, verify
from convzoo.tracking import store


@pytest.fixture(scope="session")
def keys(tmp_path_factory) -> Path:
    """A folder with the key pairs of me and of another, as docs/security.md makes them."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        command = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.pem"]
        subprocess.run(command, cwd=folder, check=True)
        command = ["openssl", "ec", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def run(*arguments: object) -> str:
    """What `convzoo verify` prints, with its exit code before it."""
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    return f"{result.exit_code} {result.output}"


def test_a_promoted_version_is_signed_and_verified_with_the_public_key_alone(network, keys, tmp_path):
    version(network, "good")
    assert promote(network, key=keys / "mine.pem").done
    assert run(network, "--key", keys / "mine.pub") == (
        f"0 {network}: version 1 is what the owner of {keys / 'mine.pub'} signed\n"
    )
    assert f"1 error: {network}: version 1: is not what the owner of" in run(network, "--key", keys / "other.pub")

    out = tmp_path / "exported"
    assert f"copied to {out / network}" in run(f"{network}@v1", "--key", keys / "mine.pub", "--out", out)
    assert {file.name for file in (out / network).iterdir()} == {"model.onnx", "export.json", "model.sig"}
    assert run(out / network, "--key", keys / "mine.pub").startswith("0 ")
    assert run(network, "--key", keys / "mine.pub", "--out", out).startswith("0 "), "an earlier copy is replaced"
    refused = run(network, "--key", keys / "mine.pub", "--out", "models")
    assert refused.startswith("1 ") and f"error: --out: {Path('models', network).absolute()} contains " in refused
    assert Path("models", network, "fingerprint.json").is_file()
    export = json.loads((out / network / "export.json").read_text())
    (out / network / "export.json").write_text(json.dumps(export | {"classes": ["b", "a", "c"]}))
    assert run(out / network, "--key", keys / "mine.pub").startswith("1 "), "names of classes are signed, too"


def test_without_a_key_nothing_is_signed_and_a_refused_version_never_is(network, keys):
    version(network, "good")
    assert promote(network).done
    assert SIGNATURE not in store.open_store().get_model_version(network, "1").tags
    assert f"1 error: {network}: version 1: nobody signed it" in run(network, "--key", keys / "mine.pub")
    worse = version(network, "bad")
    assert not promote(network, key=keys / "mine.pem").done
    assert SIGNATURE not in store.open_store().get_model_version(network, str(worse)).tags


def test_a_key_that_cannot_sign_leaves_the_champion_as_it_was(network, keys, monkeypatch):
    version(network, "good")
    monkeypatch.setattr("convzoo.promotion.promote._run_gate", None)  # nothing may look at the test split
    for key in (keys / "none.pem", keys / "mine.pub"):
        with pytest.raises(ConvzooError, match=r"cannot sign .*, expected an elliptic private key in PEM"):
            promote(network, key=key)
    assert "champion" not in aliases(network)


def test_a_server_that_wants_signatures_serves_no_other_file(network, keys):
    about = {"network": network, "family": "classifier", "classes": ["a", "b", "c"], "resize": "none"}
    version(network, "good", about=about)
    source = Signed(Registry(), keys / "mine.pub")
    champions = Champions(source, [network])
    with pytest.raises(ConvzooError, match="no network can be served"):
        champions.start()
    assert promote(network, key=keys / "mine.pem").done
    champions = Champions(source, [network])
    champions.start()
    assert champions.serving[network].release.version == 1

    version(network, "best", about=about)
    assert promote(network).done
    champions.refresh()
    assert champions.serving[network].release.version == 1, "the unsigned champion is refused, the last one stays"
    assert "nobody signed it" in str(champions.problems)
    rollback(network)
    champions.refresh()
    assert champions.serving[network].release.version == 1 and not champions.problems


def test_a_folder_is_served_only_with_its_signature(network, keys, tmp_path):
    version(network, "good")
    folder = tmp_path / "exported" / network
    folder.mkdir(parents=True)
    for name in ("model.onnx", "export.json"):
        shutil.copy(Path("models", network, name), folder)
    source = Signed(Folder(folder.parent), keys / "mine.pub")
    with pytest.raises(SignatureError, match="nobody signed it"):
        source.snapshot().releases[network]["champion"].fetch(_new(tmp_path / "a"))
    text = sign(folder, keys / "mine.pem")
    (folder / "model.sig").write_text(text)
    assert source.has_changed()
    assert source.snapshot().releases[network]["champion"].fetch(_new(tmp_path / "b")).is_file()
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b" ")
    with pytest.raises(SignatureError, match="is not what the owner of"):
        source.snapshot().releases[network]["champion"].fetch(_new(tmp_path / "c"))


@pytest.mark.parametrize("forged", ["", "no json", "{}", "[]", "null", "x" * 200_000, '{"mediaType": 1}'])
def test_what_is_no_signature_is_refused(keys, tmp_path, forged):
    (tmp_path / "model.onnx").write_bytes(b"a model")
    with pytest.raises(SignatureError, match=r"net: (nobody signed it|is not what the owner of)"):
        verify(tmp_path, forged, keys / "mine.pub", "net")


@pytest.mark.parametrize("change", ["another file", "a file more", "a file less", "renamed"])
def test_every_change_of_the_files_is_noticed(keys, tmp_path, change):
    folder = _new(tmp_path / "signed")
    for name in ("model.onnx", "export.json"):
        (folder / name).write_text(name)
    text = sign(folder, keys / "mine.pem")
    verify(folder, text, keys / "mine.pub", "net")
    if change == "another file":
        (folder / "model.onnx").write_text("other")
    elif change == "a file more":
        (folder / "parts").mkdir()
        (folder / "parts/encoder.onnx").write_text("more")
    elif change == "a file less":
        (folder / "export.json").unlink()
    else:
        (folder / "model.onnx").rename(folder / "other.onnx")
    with pytest.raises(SignatureError):
        verify(folder, text, keys / "mine.pub", "net")


def test_a_missing_package_and_a_wrong_public_key_are_named(keys, tmp_path, monkeypatch):
    for key in (tmp_path / "none.pub", keys / "mine.pem"):
        with pytest.raises(ConvzooError, match=r"cannot be used .*, expected an elliptic public key in PEM"):
            Signed(Registry(), key)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(ConvzooError, match="model-signing is not installed, expected the extra `sign`"):
        sign(tmp_path, keys / "mine.pem")


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
