"""Connections to Milvus, from a local file to a cluster, and what its errors mean to people."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imgrag.errors import LibraryError

CONNECT_SECONDS = 5
GRAPH = {"M": 16, "efConstruction": 200}
_open_files: Counter[str] = Counter()  # how many stores share the server of a local file
_open_files_lock = threading.Lock()


def connect(uri: str, token: str) -> Any:
    """A `MilvusClient`; for a local file also the server that pymilvus starts in this process."""
    try:
        from pymilvus import MilvusClient

        if is_local(uri):
            import milvus_lite  # noqa: F401
    except ImportError as error:
        packages = "pymilvus milvus-lite" if is_local(uri) else "pymilvus"
        raise LibraryError(
            f"A library in Milvus needs packages that are not here. Install them: pip install {packages}."
        ) from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it prints every error that it raises
    if is_local(uri):
        return _open_local(uri, MilvusClient)
    try:
        return MilvusClient(uri, token=token, timeout=CONNECT_SECONDS)
    except _milvus_errors() as error:
        raise LibraryError(
            f"There is no Milvus to be reached at {_shown(uri)!r}. Check that it runs, its address, such as "
            "http://localhost:19530 or a file that ends in .db, and the token."
        ) from error


def _open_local(uri: str, client: Callable[..., Any]) -> Any:
    lite = logging.getLogger("milvus_lite.server_manager")
    try:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        with _open_files_lock:
            lite.disabled = True  # it prints a traceback where the one sentence below is enough
            opened = client(uri, timeout=CONNECT_SECONDS)
            _open_files[_place(uri)] += 1
            return opened
    except _milvus_errors() as error:
        raise LibraryError(
            f"The Milvus file {Path(uri).name!r} cannot be opened. If another process has it open, close it there: "
            "only one can."
        ) from error
    except OSError as error:
        raise LibraryError(
            f"The folder of the Milvus file {Path(uri).name!r} cannot be written. Choose another."
        ) from error
    finally:
        lite.disabled = False


def make_ready(ask: Callable[..., Any], collection: str, kind: str = "FLAT") -> None:
    """Give a collection an index if it has none, and load it; `ask` makes a call about a collection."""
    if not ask("list_indexes", collection, field_name="vector"):
        try:
            _index(ask, collection, kind)
        except LibraryError:  # managed services offer no other than their own
            _index(ask, collection, "AUTOINDEX")
    ask("load_collection", collection)


def _index(ask: Callable[..., Any], collection: str, kind: str) -> None:
    from pymilvus import MilvusClient

    index = MilvusClient.prepare_index_params()
    params = GRAPH if kind == "HNSW" else {}
    index.add_index("vector", index_name="vector", index_type=kind, metric_type="COSINE", params=params)
    ask("create_index", collection, index_params=index)


def let_go(uri: str) -> None:
    """Stop the server of a local file when its last store is closed, so that others can open it."""
    from milvus_lite.server_manager import server_manager_instance

    with _open_files_lock:
        _open_files[_place(uri)] -= 1
        if _open_files[_place(uri)] == 0:
            server_manager_instance.release_server(uri)


def is_local(uri: str) -> bool:
    """Whether a file of this machine is meant, which Milvus Lite serves."""
    return uri.endswith(".db")


def _place(uri: str) -> str:
    return str(Path(uri).absolute())


@contextmanager
def understood(uri: str) -> Iterator[None]:
    """Turns errors of pymilvus into one sentence, without the token or where a local file lies."""
    try:
        yield
    except _milvus_errors() as error:
        reason = str(getattr(error, "message", "")).partition("\n")[0].replace(_place(uri), "the file")[:200]
        raise LibraryError(
            f"Milvus at {_shown(uri)} cannot do that ({reason or type(error).__name__})."
        ) from error


def _milvus_errors() -> tuple[type[Exception], ...]:
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    return MilvusException, RpcError


def _shown(uri: str) -> str:
    """An address without user, password and folders."""
    return Path(uri).name if is_local(uri) else urlsplit(uri).netloc.rpartition("@")[2] or "that address"
