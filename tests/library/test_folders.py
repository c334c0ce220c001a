"""Folders that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgrag.library.folders import remove_folder, whole_folder


def test_a_folder_is_there_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with whole_folder(target) as folder:
        (folder / "a").touch()
        assert not target.exists() and folder.name.startswith(".")
    assert [file.name for file in target.iterdir()] == ["a"]
    with pytest.raises(OSError), whole_folder(target):
        pass
    with pytest.raises(KeyError), whole_folder(tmp_path / "new" / "other") as folder:
        (folder / "b").touch()
        raise KeyError
    assert [left.name for left in target.parent.iterdir()] == ["folder"]
    remove_folder(target)
    assert not list(target.parent.iterdir())
