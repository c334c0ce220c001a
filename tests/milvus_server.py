"""A real Milvus server for `tests/library/test_stores.py`: the package `milvus` 2.3.5 of PyPI, without containers.

    python tests/milvus_server.py possible                     # exit status 1 and one line if not
    python tests/milvus_server.py run ENVIRONMENT COMMAND...    # IMGRAG_MILVUS_URI names the server

ENVIRONMENT is a virtual environment that has the package. The server listens on every interface, so
it gets a network namespace of its own, reached over a pair of virtual interfaces: Linux and root only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 300  # it unpacks itself first
PORT, HEALTH_PORT = 19530, 9091


def main(arguments: list[str]) -> int:
    """The exit status of the command, or whether one can be run."""
    match arguments:
        case ["possible"]:
            reason = obstacle()
            if reason:
                print(reason)
            return int(bool(reason))
        case ["run", environment, *command] if command:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
            with running(Path(environment)) as uri:
                host = uri.removeprefix("http://").partition(":")[0]
                known = {**os.environ, "IMGRAG_MILVUS_URI": uri, "no_grpc_proxy": host}
                return subprocess.run(command, env=known, check=False).returncode
    print(__doc__)
    return 2


def obstacle() -> str:
    """Why there can be no network namespace here, in one line; "" if there can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("ip"):
        return "a network namespace needs Linux, root and iproute2"
    try:
        with namespace():
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespace can be made here: {error.stderr.strip() or error}"


@contextmanager
def running(environment: Path) -> Iterator[str]:
    """The URI of a server that runs until the end of the block, with data of its own."""
    with namespace() as (name, host), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as data:
        log = Path(data) / "server.log"
        command = ["ip", "netns", "exec", name, str(environment / "bin" / "milvus-server"), "--data", data]
        with log.open("w") as output:
            server = subprocess.Popen(command, stdout=output, stderr=output)
            try:
                wait(server, host, log)
                yield f"http://{host}:{PORT}"
            finally:
                server.send_signal(signal.SIGINT)  # the only signal that it passes on
                stop(name, server)


@contextmanager
def namespace() -> Iterator[tuple[str, str]]:
    """A network namespace that only this machine reaches: its name, and the address inside it."""
    number = os.getpid() % 2**14  # of four addresses of the block for benchmarks, 198.18.0.0/16
    name, outside, inside = f"imgrag-{os.getpid()}", f"mvo{os.getpid()}", f"mvi{os.getpid()}"
    ours, theirs = (f"198.18.{number // 64}.{number % 64 * 4 + last}" for last in (1, 2))
    ip("netns", "add", name)
    try:
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        ip("addr", "add", f"{ours}/30", "dev", outside)
        ip("link", "set", outside, "up")
        ip("-n", name, "addr", "add", f"{theirs}/30", "dev", inside)
        for interface in (inside, "lo"):
            ip("-n", name, "link", "set", interface, "up")
        yield name, theirs
    finally:
        ip("netns", "del", name)  # its interface, and with it the pair, goes too


def wait(server: subprocess.Popen[bytes], host: str, log: Path) -> None:
    """Until the server says that it is well.

    Raises:
        RuntimeError: it ended, or took too long; the message ends as its log does.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            with direct.open(f"http://{host}:{HEALTH_PORT}/healthz", timeout=5) as answer:
                if b"OK" in answer.read():
                    return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"The Milvus server did not start: {log.read_text(errors='replace')[-2000:]}")


def stop(name: str, server: subprocess.Popen[bytes]) -> None:
    """End everything in the namespace."""
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
    while left := ip("netns", "pids", name).split():
        for number in left:
            os.kill(int(number), signal.SIGKILL)
        time.sleep(0.1)
    server.wait()


def ip(*arguments: str) -> str:
    """What iproute2's `ip` prints.

    Raises:
        subprocess.CalledProcessError: it refused.
    """
    done = subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
