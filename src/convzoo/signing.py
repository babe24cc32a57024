"""Signs the files of a network with the user's own key pair, through the package model-signing.

A signature covers model.onnx, export.json and parts/ together: the files of a version that `convzoo serve` uses.
It needs no internet access and no service; anyone with the public key can verify it.
"""

import tempfile
from pathlib import Path
from typing import Any

from convzoo.errors import ConvzooError, first_line

SIGNATURE = "convzoo.signature"  # the tag of a version with its signature
FILE = "model.sig"  # the signature in a folder of exported networks
LONGEST = 100_000  # characters that can be a signature


class SignatureError(ConvzooError):
    """Files that the owner of the key did not sign."""


def sign(folder: Path, key: Path) -> str:
    """The signature of all files in `folder` with the private key in a PEM file. Raises ConvzooError."""
    signer = _signer(key)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, FILE)
        signer.sign(folder, file)
        return file.read_text(encoding="utf-8")


def check_private_key(key: Path) -> None:
    """Raise ConvzooError unless a file holds a private key that can sign."""
    _signer(key)


def verify(folder: Path, signature: str | None, key: Path, subject: str) -> None:
    """Raise SignatureError unless the owner of the public key (PEM) made `signature` for the files in `folder`.

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
        except Exception as error:  # a forged signature can make the package raise anything
            raise SignatureError(
                f"{subject}: is not what the owner of {key} signed, expected the files that were signed with its "
                f"private key ({type(error).__name__}); copy the signed files again, or use the right public key"
            ) from error


def check_public_key(key: Path) -> None:
    """Raise ConvzooError unless a file holds a public key that can verify signatures."""
    _verifier(key)


def _signer(key: Path) -> Any:
    package = _package()
    try:
        return package.signing.Config().use_elliptic_key_signer(private_key=key)
    except (OSError, ValueError, TypeError) as error:
        raise ConvzooError(
            f"{key}: cannot sign ({first_line(error)}), expected an elliptic private key in PEM without a password; "
            "make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
        ) from error


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
