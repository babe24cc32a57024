"""Signatures of the files of a network, with a key pair of the user's, by the package model-signing.

A signature covers model.onnx, export.json and parts/ together, which is what `convzoo serve` uses of a version.
It needs no network and no service: who has the public key can verify it.
"""

import tempfile
from pathlib import Path
from typing import Any

from convzoo.errors import ConvzooError, first_line

SIGNATURE = "convzoo.signature"  # the tag of a version with its signature
FILE = "model.sig"  # the signature in a folder of exported networks
LONGEST = 100_000  # characters that can be a signature


class SignatureError(ConvzooError):
    """Files that are not what the owner of a key signed."""


def sign(folder: Path, key: Path) -> str:
    """The signature of all files in `folder` with the private key in a PEM file. Raises ConvzooError."""
    package = _package()
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, FILE)
        try:
            package.signing.Config().use_elliptic_key_signer(private_key=key).sign(folder, file)
        except (OSError, ValueError, TypeError) as error:
            raise ConvzooError(
                f"{key}: cannot sign ({first_line(error)}), expected an elliptic private key in PEM without a "
                "password; make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
            ) from error
        return file.read_text(encoding="utf-8")


def verify(folder: Path, signature: str | None, key: Path, subject: str) -> None:
    """Raise SignatureError unless `signature` is one of all files in `folder` by the owner of a public key (PEM).

    `subject` is what the message calls the files.
    """
    if not signature or len(signature) > LONGEST:
        raise SignatureError(f"{subject}: nobody signed it, expected a signature; promote it with --sign KEY")
    verifier = _verifier(key)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, FILE)
        file.write_text(signature, encoding="utf-8")
        try:
            verifier.verify(folder, file)
        except Exception as error:  # whatever a forged text makes the package raise, it is no signature
            raise SignatureError(
                f"{subject}: is not what the owner of {key} signed, expected the files that were signed with its "
                f"private key ({type(error).__name__}); take the files from where they were signed, or another key"
            ) from error


def check_public_key(key: Path) -> None:
    """Raise ConvzooError unless a file holds a public key that can verify signatures."""
    _verifier(key)


def _verifier(key: Path) -> Any:
    package = _package()
    try:
        return package.verifying.Config().use_elliptic_key_verifier(public_key=key)
    except (OSError, ValueError, TypeError) as error:
        raise ConvzooError(
            f"{key}: cannot be used ({first_line(error)}), expected an elliptic public key in PEM; make it from yours: "
            "openssl ec -in key.pem -pubout -out key.pub"
        ) from error


def _package() -> Any:
    """model_signing. Raises ConvzooError if it is not installed."""
    try:
        import model_signing  # optional; its import takes half a second
    except ModuleNotFoundError:
        raise ConvzooError(
            "model-signing is not installed, expected the extra `sign`; run: python -m pip install -c constraints.txt "
            "-e '.[sign]'"
        ) from None
    return model_signing
