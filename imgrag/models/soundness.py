"""Whether a checkpoint's files are whole and belong together; if not, which file is to blame.

What the libraries miss in a file they fill with random numbers, and only warn. Here it is refused.
Names and shapes are read from the files' headers; no weights are read twice.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgrag.models.residency import out_of_memory

Shapes = Mapping[str, tuple[int, ...]]
"""Of tensors, by name."""
FILLERS = 0.1  # share of a vocabulary's rows that no token has, at most: many models round it up
READER = "lm_head."  # what a model reads its answers from; one that gives vectors is loaded without


class UnsoundFile(ValueError):
    """A file of a checkpoint is damaged, or belongs to another model.

    Attributes:
        file: the file, or the folder that lacks it.
        what: the rest of a sentence that begins with its name, without the full stop.
    """

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(f"{file.name} {what}")
        self.file = file
        self.what = what

    def sentence(self, name: str, remedy: str) -> str:
        """For a person. `name` calls the file by no path of this machine, `remedy` says what to do."""
        return f"{name} {self.what}. {remedy}"


@contextmanager
def blaming(file: Path, what: str) -> Iterator[None]:
    """Blame what a library raises within on this file, or on one beside it that can be seen to be damaged.

    Raises:
        UnsoundFile: something was raised that is neither a want of memory nor of a package.
    """
    try:
        yield
    except (UnsoundFile, ImportError):
        raise
    except Exception as error:  # over a file that it does not understand a library may raise anything
        if out_of_memory(error):
            raise
        seen = UnsoundFile(file, what if file.exists() else "is missing")
        raise damage(file if file.is_dir() else file.parent) or seen from error


def header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Each tensor of a safetensors file: name -> (dtype as the file has it, shape).

    Raises:
        UnsoundFile: it is missing, empty, cut short or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as tensors:
            slices = {key: tensors.get_slice(key) for key in tensors.keys()}  # noqa: SIM118 (it is no mapping)
            return {key: (entry.get_dtype(), tuple(entry.get_shape())) for key, entry in slices.items()}
    except (OSError, SafetensorError) as error:
        raise UnsoundFile(file, _lacking(file) or "is cut short, or no safetensors") from error


def shapes(*files: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in some safetensors files.

    Raises:
        UnsoundFile: as `header` does.
    """
    return {key: shape for file in files for key, (_, shape) in header(file).items()}


def open_part(kind: Any, folder: Path, variant: str = "", **settings: Any) -> Any:
    """`kind.from_pretrained(folder)`, of transformers or diffusers, with every tensor from the folder's files.

    Raises:
        UnsoundFile: its configuration or its weights are of another model, or not whole.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # its table of gaps is a sentence here
    weights = weights_of(folder, variant)
    if weights == folder:
        raise UnsoundFile(folder, "holds no safetensors weights")
    for file in sorted(folder.glob("*config.json")):
        read_json(file)  # some are optional, and a broken one would count as none
    with blaming(folder / "config.json", "describes no model that can be opened here"):
        model, info = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below, in a sentence
            **({"variant": variant} if f".{variant}." in weights.name else {}),
            **settings,
        )
    unknown = [key for key in info["unexpected_keys"] if hasattr(model, "lm_head") or READER not in key]
    refuse_gaps(weights, info["missing_keys"], unknown, [key for key, *_ in info["mismatched_keys"]])
    return model


def refuse_gaps(
    weights: Path, missing: Collection[str], unknown: Collection[str], reshaped: Collection[str]
) -> None:
    """Refuse weights of which a model lacks some, does not know some, or has some in another shape.

    Raises:
        UnsoundFile: one of the collections, names of tensors, is not empty.
    """
    gaps = [
        f"{len(missing)} missing (such as {min(missing)})" if missing else "",
        f"{len(unknown)} unknown (such as {min(unknown)})" if unknown else "",
        f"{len(reshaped)} of another shape (such as {min(reshaped)})" if reshaped else "",
    ]
    if any(gaps):
        told = ", ".join(filter(None, gaps))
        raise UnsoundFile(weights, f"is of another model, or not whole: tensors {told}")


def refuse_unlike(weights: Path, given: Shapes, wanted: Shapes) -> None:
    """Refuse weights that are not just the wanted ones.

    Raises:
        UnsoundFile: some are missing, unknown or of another shape.
    """
    reshaped = [key for key in given.keys() & wanted.keys() if given[key] != wanted[key]]
    refuse_gaps(weights, wanted.keys() - given.keys(), given.keys() - wanted.keys(), reshaped)


def refuse_vocabulary(file: Path, tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer with more tokens than its model has, or with so many fewer that it is another's.

    Raises:
        UnsoundFile: it is.
    """
    rows, tokens = int(model.get_input_embeddings().weight.shape[0]), len(tokenizer)
    if not rows * (1 - FILLERS) <= tokens <= rows:
        raise UnsoundFile(file, f"has {tokens} tokens, and the model beside it {rows}: it is another model's")


def weights_of(folder: Path, variant: str = "") -> Path:
    """The file that the weights of a folder hang on: the index of its shards, or the only one; else the folder."""
    found = [*sorted(folder.glob("*.safetensors.index*.json")), *sorted(folder.glob("*.safetensors"))]
    chosen = [file for file in found if f".{variant}." in file.name]
    return next(iter(chosen or found), folder)


def damage(folder: Path) -> UnsoundFile | None:
    """What can be seen to be wrong with a file of a checkpoint, `None` if each looks whole."""
    for file in sorted(folder.rglob("*")):
        try:
            _look_at(file)
        except UnsoundFile as unsound:
            return unsound
    return None


def discard_damaged(folder: Path) -> bool:
    """Remove what is damaged from a folder of the hub's cache, which takes it for whole; whether anything was."""
    found = 0
    while (unsound := damage(folder)) is not None:
        unsound.file.resolve().unlink(missing_ok=True)  # in the folder stands a link to the file itself
        unsound.file.unlink(missing_ok=True)
        found += 1
    return found > 0


def _look_at(file: Path) -> None:
    if file.suffix == ".safetensors":
        header(file)
    elif file.suffix == ".json" and file.is_file():
        content = read_json(file)
        shards = content.get("weight_map", {}) if ".safetensors.index" in file.name else {}
        lacking = sorted(shard for shard in set(shards.values()) if not (file.parent / shard).is_file())
        if lacking:
            raise UnsoundFile(file, f"names {lacking[0]}, which is not there")


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint.

    Raises:
        UnsoundFile: it cannot be read, is empty, no JSON, or no object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnsoundFile(file, _lacking(file) or "is no JSON") from error
    if not isinstance(content, dict):
        raise UnsoundFile(file, "holds no object, as a configuration does")
    return content


def _lacking(file: Path) -> str:
    if not file.is_file():
        return "is missing"
    return "" if file.stat().st_size else "is empty"
