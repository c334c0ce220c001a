"""Parquet files whose footer says less than their pages ask for."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgrag.errors import LibraryError
from imgrag.library.intake import parquet_pages
from imgrag.library.intake.metadata import read_metadata
from imgrag.library.intake.parquet_pages import check_pages
from imgrag.library.intake.shards import read_shards
from tests.served import ROOT

MEGABYTES = 400
SAID = 1000
LOOK = """
import sys
from pathlib import Path
import psutil, pyarrow.parquet
from imgrag.bench.library.adding import MemoryGrowth
from imgrag.library.intake.metadata import read_metadata
with MemoryGrowth() as memory:
    said = read_metadata(Path(sys.argv[1])).problems
print(memory.bytes >> 20, said[0].reason)
"""


def varint(number: int, length: int = 1) -> bytes:
    """As Thrift writes a number, in so many bytes at least."""
    seven = [number >> at & 0x7F for at in range(0, max(7 * length, number.bit_length()), 7)]
    return bytes([*(byte | 0x80 for byte in seven[:-1]), seven[-1]])


def lying(path: Path, table: pa.Table, column: int, said: int = SAID) -> Path:
    """A file that says of a column that it unfolds to fewer bytes than it does."""
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)
    data = path.read_bytes()
    begin = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    true = varint(2 * pq.read_metadata(path).row_group(0).column(column).total_uncompressed_size)
    path.write_bytes(data[:begin] + data[begin:].replace(true, varint(2 * said, len(true))))
    assert pq.read_metadata(path).row_group(0).column(column).total_uncompressed_size == said
    return path


def test_a_file_that_says_too_little_takes_no_memory(tmp_path: Path) -> None:
    table = pa.table({"file_name": ["a.png"], "caption": ["x" * (MEGABYTES << 20)]})
    assert lying(tmp_path / "metadata.parquet", table, 1).stat().st_size < 100_000
    (tmp_path / "a.png").touch()
    command = [sys.executable, "-c", LOOK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    grown, _, reason = done.stdout.strip().partition(" ")
    assert reason == "its pages unfold to more than it says"
    assert int(grown) < MEGABYTES // 4


def test_nor_is_it_taken_as_a_shard(tmp_path: Path) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(8_000, np.float32)), 8)
    table = pa.table({"name": ["x" * 100] * 1000, "embedding": vectors})
    with pytest.raises(LibraryError):
        list(read_shards([lying(tmp_path / "x.parquet", table, 0)]))


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_honest_files_pass(tmp_path: Path, compression: str, version: str, dictionary: bool) -> None:
    rows = 3000
    table = pa.table(
        {
            "name": [f"a name {n % 700}" for n in range(rows)], "tags": [["a", "b" * (n % 90)] for n in range(rows)],
            "none": pa.nulls(rows, pa.string()), "price": np.random.default_rng(0).random(rows),
            "box": [{"x": n, "y": [n, n]} for n in range(rows)],
        }
    )  # fmt: skip
    path = tmp_path / "x.parquet"
    pq.write_table(
        table, path, compression=compression, data_page_version=version, use_dictionary=dictionary, row_group_size=900,
        data_page_size=2000, write_page_index=True, write_page_checksum=True,
    )  # fmt: skip
    check_pages(path, pq.read_metadata(path))


def test_pages_without_end_and_headers_that_are_none_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metadata.parquet"
    pq.write_table(pa.table({"file_name": ["a.png"] * 9000}), path, data_page_size=10, write_batch_size=10)
    (tmp_path / "a.png").touch()
    whole, metadata = path.read_bytes(), pq.read_metadata(path)
    for byte in (0x00, 0x1C, 0xFF, 0x19):
        path.write_bytes(whole[:4] + bytes([byte]) * 200 + whole[204:])
        with pytest.raises(ValueError, match=r"page"):
            check_pages(path, metadata)
        assert read_metadata(tmp_path).problems
    path.write_bytes(whole)
    monkeypatch.setattr(parquet_pages, "MAX_PAGES", 2)
    with pytest.raises(ValueError, match="more than 2 pages"):
        check_pages(path, metadata)
