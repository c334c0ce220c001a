"""Parquet shards: what goes out comes back, and what others wrote is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgrag.errors import Cancelled, LibraryError
from imgrag.library.engines.store import Entry
from imgrag.library.intake.shards import export_shards, is_shard, read_shards

DIGEST = "0123456789abcdef" * 4


def unit(*rows: list[float]) -> np.ndarray:
    wide = np.array(rows, np.float64)
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)


def entries(count: int) -> list[Entry]:
    return [
        Entry(
            f"photos/Käse {n}.png", DIGEST, name=f"n{n}", caption="c", source="s", licence="CC0", id=n + 1,
            fields={"price": n, "share": 0.5, "new": True, "colour": "rot"},
        )
        for n in range(count)
    ]  # fmt: skip


def blocks(rows: list[Entry], vectors: np.ndarray, size: int) -> Iterator[tuple[list[Entry], np.ndarray]]:
    for at in range(0, len(rows), size):
        yield rows[at : at + size], vectors[at : at + size]


def gathered(*paths: Path) -> tuple[list[Entry], np.ndarray, set[str], int]:
    reader = read_shards(paths)
    found = list(reader)
    assert all(len(rows) == len(vectors) <= 1000 for rows, vectors, _ in found)
    return (
        [entry for rows, _, _ in found for entry in rows],
        np.concatenate([vectors for _, vectors, _ in found]) if found else np.zeros((0, 0)),
        {model for _, _, model in found},
        reader.skipped,
    )


def foreign(path: Path, columns: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("block", [70, 1000, 3000])
def test_what_goes_out_comes_back(tmp_path: Path, block: int) -> None:
    rows = entries(2500)
    vectors = unit(*np.random.default_rng(0).normal(size=(2500, 4)).tolist())
    paths = export_shards(blocks(rows, vectors, block), tmp_path / "out", "openai/clip", shard_rows=1200)
    assert [path.name for path in paths] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert [pq.read_metadata(path).num_rows for path in paths] == [1200, 1200, 100]
    assert sorted(tmp_path.glob("out/*")) == paths and not list(tmp_path.glob("out/.*"))
    back, back_vectors, models, skipped = gathered(*paths)
    assert (back, models, skipped) == (rows, {"openai/clip"}, 0)
    assert back_vectors.dtype == np.float32 and np.allclose(back_vectors, vectors, atol=1e-6)


def test_the_format_is_what_it_says(tmp_path: Path) -> None:
    (path,) = export_shards([(entries(2), unit([1, 0, 0], [0, 1, 0]))], tmp_path, "m")
    schema = pq.read_schema(path)
    assert schema.names == "id file digest name caption source licence fields embedding".split()
    assert schema.field("embedding").type == pa.list_(pa.float32(), 3)
    assert (schema.metadata[b"imgrag_model_id"], schema.metadata[b"imgrag_dimensions"]) == (b"m", b"3")
    assert pq.read_metadata(path).row_group(0).column(0).compression == "ZSTD"
    assert json.loads(pq.read_table(path)["fields"][1].as_py())["price"] == 1


def test_nothing_makes_no_shard(tmp_path: Path) -> None:
    assert export_shards([], tmp_path, "m") == export_shards([([], np.zeros((0, 4)))], tmp_path, "m") == []
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_not_written_over(tmp_path: Path) -> None:
    rows = [(entries(1), unit([1, 0]))]
    (path,) = export_shards(rows, tmp_path / "out", "m")
    before = path.read_bytes()
    with pytest.raises(LibraryError, match="'out' already holds an export"):
        export_shards(rows, tmp_path / "out", "m")
    assert path.read_bytes() == before
    with pytest.raises(LibraryError, match=r"'part-00000.parquet' cannot be written") as caught:
        export_shards(rows, path, "m")
    assert str(tmp_path) not in str(caught.value)


def test_a_stopped_export_leaves_whole_shards(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def rows() -> Iterator[tuple[list[Entry], np.ndarray]]:
        yield entries(3), unit([1, 0], [0, 1], [1, 1])
        raise Stopped

    with pytest.raises(Stopped):
        export_shards(rows(), tmp_path, "m", shard_rows=2)
    (path,) = tmp_path.iterdir()
    assert len(gathered(path)[0]) == 2


VECTORS = [[3.0, 4.0], [0.0, 2.0]]
KINDS = {
    "list<float>": pa.array(VECTORS, pa.list_(pa.float32())),
    "list<double>": pa.array(VECTORS, pa.list_(pa.float64())),
    "list<half>": pa.array([np.array(v, np.float16) for v in VECTORS], pa.list_(pa.float16())),
    "large_list<half>": pa.array([np.array(v, np.float16) for v in VECTORS], pa.large_list(pa.float16())),
    "fixed<half>": pa.FixedSizeListArray.from_arrays(pa.array(np.array([3, 4, 0, 2], np.float16)), 2),
    "fixed<float>": pa.array(VECTORS, pa.list_(pa.float32(), 2)),
    "list<int8>": pa.array([[3, 4], [0, 2]], pa.list_(pa.int8())),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["embedding", "image_embedding", "vector"])
def test_vectors_of_every_kind_are_read(tmp_path: Path, kind: str, column: str) -> None:
    path = foreign(tmp_path / "x.parquet", {"image_path": ["a.png", "b.png"], column: KINDS[kind]})
    assert is_shard(path)
    rows, vectors, models, skipped = gathered(path)
    assert (rows, models, skipped) == ([Entry("a.png", ""), Entry("b.png", "")], {""}, 0)
    assert np.allclose(vectors, [[0.6, 0.8], [0, 1]], atol=1e-3) and vectors.dtype == np.float32


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("fixed", [False, True])
def test_bad_vectors_are_left_out_and_counted(tmp_path: Path, kind: pa.DataType, fixed: bool) -> None:
    nan, inf = float("nan"), float("inf")
    good: list[list[float | None]] = [[1.0, 2.0], [2.0, 1.0], [1e-4, 0.0]]
    bad: list[list[float | None] | None] = [[nan, 1.0], [0.0, 0.0], [inf, 1.0], None, [None, 1.0]]
    ragged: list[list[float | None]] = [] if fixed else [[1.0], [1.0, 2.0, 3.0], []]
    values = [good[0], *bad, good[1], *ragged, good[2]]
    names = [f"{n}.png" for n in range(len(values))]
    column = pa.array(values, pa.list_(pa.float64(), 2 if fixed else -1)).cast(
        pa.list_(kind, 2 if fixed else -1)
    )
    rows, vectors, _, skipped = gathered(
        foreign(tmp_path / "x.parquet", {"file": names, "embedding": column})
    )
    assert [row.file for row in rows] == ["0.png", "6.png", names[-1]]
    assert skipped == len(bad) + len(ragged)
    assert np.allclose(vectors, unit(*good), atol=1e-3)  # type: ignore[arg-type]  the good ones hold numbers


def test_a_shard_of_bad_vectors_gives_nothing(tmp_path: Path) -> None:
    path = foreign(
        tmp_path / "x.parquet",
        {"file": ["a", "b"], "embedding": pa.array([None, []], pa.list_(pa.float32()))},
    )
    assert gathered(path)[0] == [] and gathered(path)[3] == 2


@pytest.mark.filterwarnings("error")
def test_large_and_small_numbers_do_not_overflow(tmp_path: Path) -> None:
    vectors = pa.array([[3e38, 0.0], [1e300, 1e300], [1e-40, 0.0]], pa.list_(pa.float64()))
    _, found, _, skipped = gathered(
        foreign(tmp_path / "x.parquet", {"file": list("abc"), "embedding": vectors})
    )
    assert skipped == 1 and np.allclose(found, [[1, 0], [1, 0]])


def test_the_length_that_a_file_names_counts(tmp_path: Path) -> None:
    table = pa.table({"file": list("abc"), "embedding": [[1.0], [1.0], [1.0, 2.0]]})
    pq.write_table(table.replace_schema_metadata({b"imgrag_dimensions": b"2"}), tmp_path / "x.parquet")
    rows, vectors, _, skipped = gathered(tmp_path / "x.parquet")
    assert ([row.file for row in rows], vectors.shape, skipped) == (["c"], (1, 2), 2)


def test_columns_of_others_are_understood(tmp_path: Path) -> None:
    path = foreign(
        tmp_path / "x.parquet",
        {
            "id": ["sku-1", "sku-2"],
            "image_path": ["/data/a/1.jpg", None],
            "url": ["https://x/1.jpg", "https://x/2.jpg"],
            "text": ["a cat", None],
            "license": ["CC0", ""],
            "digest": [DIGEST, "nonsense"],
            "fields": ["no json", "[1]"],
            "similarity": [0.25, float("nan")],
            "width": pa.array([640, None], pa.int32()),
            "tags": [["a", "b"], []],
            "original": [{"a": 1}, {"a": 2}],
            "text_embedding": [[1.0, 2.0], [1.0, 2.0]],
            "raw": [b"\0\1", b""],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "a.b": [1, 2],
            "embedding": VECTORS,
        },
    )
    first, second = gathered(path)[0]
    fields = {
        "id": "sku-1",
        "fields": "no json",
        "similarity": 0.25,
        "width": 640,
        "tags": "a, b",
        "kind": "x",
        "a.b": 1,
    }
    assert first == Entry(
        "data/a/1.jpg", DIGEST, caption="a cat", source="https://x/1.jpg", licence="CC0", fields=fields
    )
    assert (second.file, second.digest, second.source) == ("x/00000001", "", "https://x/2.jpg")
    assert second.fields == {"id": "sku-2", "fields": "[1]", "kind": "y", "a.b": 2}


@pytest.mark.parametrize(
    ("path", "file"),
    [("a/b.png", "a/b.png"), ("../../etc/x", "etc/x"), ("C:\\pics\\x.png", "pics/x.png"), ("s3://bucket/a//b.png", "bucket/a/b.png"),
     ("https://h/x.jpg?w=1", "h/x.jpg?w=1"), ("./a/./b", "a/b"), ("000012", "000012"), ("..", "x/00000000"), ("a:b.png", "a:b.png")],
)  # fmt: skip
def test_paths_of_others_become_names(tmp_path: Path, path: str, file: str) -> None:
    shard = foreign(tmp_path / "x.parquet", {"file_name": [path], "embedding": [[1.0]]})
    assert [entry.file for entry in gathered(shard)[0]] == [file]


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_clip_retrieval_is_read(tmp_path: Path, kind: type) -> None:
    """It writes vectors beside the table, as `clip_inference/writer.py` does."""
    count = 2300
    stored = np.random.default_rng(0).normal(size=(count, 3)).astype(kind)
    stored[7] = 0
    (tmp_path / "img_emb").mkdir()
    np.save(tmp_path / "img_emb" / "img_emb_04.npy", stored)
    columns = {
        "image_path": [f"{n}.jpg" for n in range(count)],
        "caption": ["c"] * count,
        "width": range(count),
    }
    path = foreign(tmp_path / "metadata" / "metadata_04.parquet", {**columns, "width": list(range(count))})
    assert is_shard(path)
    rows, vectors, models, skipped = gathered(path)
    kept = [n for n in range(count) if n != 7]
    assert rows == [Entry(f"{n}.jpg", "", caption="c", fields={"width": n}) for n in kept]
    assert (models, skipped) == ({""}, 1)
    assert np.allclose(vectors, unit(*stored[kept].astype(float).tolist()), atol=1e-3)
    np.save(tmp_path / "img_emb" / "img_emb_04.npy", stored[:-1])
    with pytest.raises(
        LibraryError, match=r"img_emb_04.npy holds an array of shape \[2299, 3\], but metadata_04"
    ):
        gathered(path)


def test_shards_that_unfold_are_refused_or_read_within_bounds(tmp_path: Path) -> None:
    """A vector and a text that a thousand rows share: once is enough; an endless vector is none."""
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int8()), ["x" * 2**20])
    path = foreign(
        tmp_path / "x.parquet", {"file": ["a"] * 1000, "text": shared, "embedding": [[1.0]] * 1000}
    )
    assert {len(row.caption) for row in gathered(path)[0]} == {2000}
    long = pa.ListArray.from_arrays([0, 10_000_000], pa.array(np.zeros(10_000_000, np.float32)))
    path = foreign(tmp_path / "y.parquet", {"file": ["a"], "embedding": long})
    with pytest.raises(LibraryError, match=r"^y.parquet cannot be read: it unfolds to more than 50 times"):
        gathered(path)


def test_reading_shards_looks_at_the_stop(tmp_path: Path) -> None:
    def stopped() -> None:
        raise Cancelled("stopped")

    path = foreign(tmp_path / "x.parquet", {"file": ["a"], "embedding": [[1.0]]})
    with pytest.raises(Cancelled):
        list(read_shards([path], stopped))


def test_values_of_others_that_are_none_leave_no_traceback(tmp_path: Path) -> None:
    columns = {"day": pa.array([10**7], pa.date32()), "\u0000n": ["\u0000"], "fields": ["[" * 100_000]}
    path = foreign(tmp_path / "x.parquet", {"file": ["zo\u0308.png"], **columns, "embedding": [[1.0]]})
    ((entry,),) = (rows for rows, _, _ in read_shards([path]))
    assert (entry.file, entry.fields["day"], "n" in entry.fields) == ("zö.png", "29349-01-26", False)


def test_no_pickle_is_opened(tmp_path: Path) -> None:
    path = foreign(tmp_path / "metadata" / "metadata_0.parquet", {"image_path": ["a"]})
    (tmp_path / "img_emb").mkdir()
    np.save(tmp_path / "img_emb" / "img_emb_0.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(LibraryError, match="or a broken one"):
        gathered(path)


def test_files_without_vectors_are_refused(tmp_path: Path) -> None:
    plain = foreign(tmp_path / "metadata.parquet", {"file_name": ["a"], "embedding": ["text"]})
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nonsense PAR1")
    whole = foreign(
        tmp_path / "cut.parquet", {"file": ["a"] * 5000, "embedding": [[float(n)] for n in range(5000)]}
    )
    whole.write_bytes(whole.read_bytes()[:-500])
    (tmp_path / "x.txt").write_text("x")
    assert not any(is_shard(path) for path in tmp_path.iterdir())
    assert not is_shard(tmp_path / "gone.parquet")
    with pytest.raises(LibraryError, match=r"^metadata.parquet has no column of embeddings \(embedding, "):
        gathered(plain)
    for name in ("broken.parquet", "cut.parquet", "gone.parquet"):
        with pytest.raises(LibraryError, match=rf"^{name} is no Parquet file, or a broken one\. ") as caught:
            gathered(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)


def test_several_shards_are_read_in_turn(tmp_path: Path) -> None:
    one = export_shards([(entries(2), unit([1, 0], [0, 1]))], tmp_path / "one", "m")
    renamed = [replace(entry, file=f"other/{entry.id}") for entry in entries(2)]
    other = export_shards([(renamed, unit([1, 0, 0], [0, 1, 0]))], tmp_path / "other", "n")
    shapes = [(len(rows), vectors.shape, model) for rows, vectors, model in read_shards([*one, *other])]
    assert shapes == [(2, (2, 2), "m"), (2, (2, 3), "n")]
