"""The library's bench on tiny counts: every row is measured, and by what it says."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from imgrag.bench import Figure, library
from imgrag.bench.library.adding import Projection, photo, tile
from imgrag.bench.library.counts import DIMENSIONS, Counts
from imgrag.bench.library.precision import BARS, recall
from imgrag.bench.library.rows import EXPERIMENTS, bars, run
from imgrag.bench.library.searching import BLOCK, OPENINGS, QUERIES, Truth, clustered
from imgrag.library.engines.store import Hit

TINY = Counts(rows=120, large=90, photos=3, files=20, many=30)


def unit(rows):
    vectors = np.zeros((len(rows), DIMENSIONS), np.float32)
    vectors[:, :2] = rows
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_every_row_is_measured_by_one_experiment():
    measured = [key for experiment in EXPERIMENTS for key in experiment.keys]
    assert sorted(measured) == sorted(bar.key for bar in bars(Counts()))


def test_searching_rows_on_few_vectors_are_exact():
    keys = [key for experiment in EXPERIMENTS[:2] for key in experiment.keys]
    figures = run(TINY, keys)
    assert set(figures) == set(keys)
    for key in ("recall", "recall_large", "filtered", "filtered_large"):
        assert figures[key] == Figure(1.0, QUERIES)
    assert figures["query"].value > 0 and figures["against_bare_large"].value > 0
    assert figures["opened"].value > 0 and figures["opened"].n == OPENINGS


def test_rare_names_are_found_by_words_and_not_by_look():
    keys = [key for experiment in EXPERIMENTS[2:4] for key in experiment.keys]
    figures = run(TINY, keys)
    assert set(figures) == set(keys)
    assert figures["named_words"] == figures["named_both"] == Figure(1.0, QUERIES)
    assert figures["named_vectors"].value < 0.5
    assert all(figures[key].value > 0 for key in keys if not key.startswith("named"))


def test_adding_rows_count_what_was_really_added():
    figures = run(TINY, ["photos", "again", "memory"])
    assert {key: figure.n for key, figure in figures.items()} == {"photos": 3, "again": 20, "memory": 30}
    assert figures["photos"].value > 0 and figures["again"].value > 0
    assert abs(figures["memory"].value) < 500


def test_eight_bits_are_compared_with_float32_on_real_pictures():
    keys = [bar.key for bar in BARS]
    figures = run(TINY, keys)
    assert set(figures) == set(keys)
    assert figures["eight_bits_vit"].n == figures["eight_bits"].n == 3
    assert figures["eight_bits_recall"].n > 500 and figures["eight_bits_recall"].value >= 0.98
    assert all(figure.value > 0 for figure in figures.values())


def test_recall_is_the_share_of_the_best_that_are_found_again():
    vectors = unit([[1, 0], [0.9, 0.1], [0, 1], *([-1, 0.01 * n] for n in range(10))])
    assert recall(vectors[:1], vectors, vectors[:1], vectors).value == 1
    assert recall(vectors[:1], vectors[:11], vectors[:1], -vectors[:11]).value < 1


def test_large_libraries_are_compared_with_lists_of_whole_vectors(monkeypatch):
    keys = ["recall_large", "filtered_large", "against_bare_large", "memory_large"]
    assert run(TINY, keys)["memory_large"].value == 1.0
    for name in ("FLAT_BELOW", "QUANTISED_FROM"):
        monkeypatch.setattr(f"imgrag.library.engines.vectors.{name}", 60)
    figures = run(TINY, keys)
    assert figures["recall_large"].value > 0.9 and figures["filtered_large"].value == 1
    assert figures["against_bare_large"].value > 0 and figures["memory_large"].value not in (0.0, 1.0)


def test_without_a_large_count_its_rows_are_left_out():
    assert run(replace(TINY, large=0), ["recall_large", "filtered_large"]) == {}


def test_the_table_the_last_line_and_the_file_say_the_same(tmp_path, capsys):
    out = tmp_path / "out.json"
    counts = ["--rows", "10", "--large", "90", "--photos", "1", "--files", "2", "--many", "3"]
    assert library.main([*counts, "--only", "filtered_large", "--out", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    document = json.loads(printed[-1])
    assert document == json.loads(out.read_text())
    assert document["counts"] == {"rows": 10, "large": 90, "photos": 1, "files": 2, "many": 3}
    assert set(document["rows"]) == {"filtered_large"}
    assert document["rows"]["filtered_large"]["state"] == "ok"
    row = next(line for line in printed if "90 x 512" in line)
    assert row.count("100.0%") == 2 and "ok" in row


@pytest.mark.parametrize("argv", [["--rows", "9"], ["--large", "-1"], ["--many", "0"], ["--only", "speed"]])
def test_bad_options_end_with_code_2(argv, capsys):
    with pytest.raises(SystemExit) as end:
        library.main(argv)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_vectors_are_the_same_every_time_of_length_1_and_clustered():
    blocks = list(clustered(BLOCK + 5, seed=3))
    assert [len(block) for block in blocks] == [BLOCK, 5]
    assert np.array_equal(np.concatenate(blocks)[:7], next(clustered(BLOCK + 5, seed=3))[:7])
    assert np.allclose(np.linalg.norm(blocks[0], axis=1), 1, atol=1e-5)
    near = next(clustered(3, seed=2)) @ blocks[0].T
    assert (near.max(axis=1) > 0.7).all() and (np.median(near, axis=1) < 0.2).all()
    assert not np.array_equal(blocks[0][:5], next(clustered(5, seed=2)))


def test_recall_counts_what_is_missing_and_forgives_ties():
    angles = np.radians(np.arange(18))
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    truth = Truth(np.repeat(vectors[5:6], 4, axis=0))
    for start in (0, 9):
        truth.add(np.arange(100 + start, 109 + start), vectors[start : start + 9])
    nine = [105, 104, 106, 103, 107, 102, 108, 101, 109]
    found = [[*nine, 100], [*nine, 110], [*nine, 111], nine[:5]]  # 100 and 110 are equally far from 105
    shares = [1.0, 1.0, 0.9, 0.5]
    assert truth.recall([[Hit(i, 0.0) for i in ids] for ids in found]) == Figure(sum(shares) / 4, 4)


def test_recall_of_fewer_than_ten_is_of_those():
    vectors = unit([[1, 0], [1, 1], [0, 1]])
    truth = Truth(vectors[:2])
    truth.add(np.arange(3), vectors)
    truth.add(np.arange(0), vectors[:0])
    assert truth.recall([[Hit(0, 1.0), Hit(1, 1.0), Hit(2, 1.0)], [Hit(1, 1.0)]]) == Figure(
        (1 + 1 / 3) / 2, 2
    )


def test_the_photos_are_a_megapixel_as_heavy_as_real_ones():
    picture, file = photo(0), io.BytesIO()
    assert picture.width * picture.height >= 1_000_000
    picture.save(file, "JPEG", quality=90)
    assert 150_000 < file.tell() < 600_000
    assert picture.tobytes() != photo(1).tobytes()


def test_the_cheap_embedder_tells_pictures_and_texts_apart():
    embedder = Projection()
    vectors = np.concatenate(
        [
            embedder.embed_images([tile(0), tile(1), Image.new("RGB", (3, 50))]),
            embedder.embed_texts(["", "a dog"]),
        ]
    )
    assert vectors.shape == (5, embedder.dimensions) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert ((vectors @ vectors.T)[~np.eye(5, dtype=bool)] < 0.99).all()
    prepared = [embedder.prepare(tile(0)), embedder.prepare(Image.new("RGB", (3, 50)))]
    assert np.array_equal(embedder.embed_images(prepared), vectors[[0, 2]])
