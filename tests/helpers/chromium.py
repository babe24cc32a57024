"""Chromium for the browser tests: `python tests/helpers/chromium.py` installs one where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """The system's chromium; None where only Playwright's own can be there."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def install() -> None:
    """Install chromium with apt, as root or through sudo, else Playwright's own; ends with what to do if both fail."""
    if find() or _playwrights():
        return
    print("installing chromium for the browser tests", flush=True)
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") and (not root or shutil.which("sudo")):
        quiet = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
        commands = ([*quiet, "update"], [*quiet, "install", "-y", "--no-install-recommends", "chromium"])
        if all(subprocess.run(command).returncode == 0 for command in commands) and find():
            return
    if subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"]).returncode or not _playwrights():
        sys.exit(
            "no chromium for the browser tests: neither apt-get nor playwright could install one (see above); install "
            f"one of {', '.join(NAMES)} so that it is on the PATH, and run make test-ui again"
        )


def _playwrights() -> bool:
    """Whether Playwright's own is there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


if __name__ == "__main__":
    install()
