"""Two hosts on one machine: network namespaces that reach each other only through a pair of virtual cables."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.project import environment


class Host(NamedTuple):
    """A network namespace with one address besides that of its loopback."""

    name: str
    address: str

    def start(self, folder: Path, *command: str, **variables: str) -> subprocess.Popen:
        """Run a command on this host, in `folder`; its output is that of one pipe."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            cwd=folder,
            env=environment(CONVZOO_TRACKING="off", OMP_NUM_THREADS="1", GLOO_SOCKET_IFNAME="eth0", **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts on a network of their own, which need root and Linux."""
    mark = f"convzoo{os.getpid()}"
    hosts = Host(f"{mark}a", "10.231.7.1"), Host(f"{mark}b", "10.231.7.2")
    try:
        for host in hosts:
            _ip("netns", "add", host.name)
            _ip("-n", host.name, "link", "set", "lo", "up")
        first, second = hosts
        _ip("-n", first.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", second.name)
        for host in hosts:
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.name, "link", "set", "eth0", "up")
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"ip {' '.join(arguments)}: {done.stderr.strip()}; this test needs root on Linux and iproute2")
