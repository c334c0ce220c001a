"""Profiles: which checkpoint plays which role, and the numbers it wants. One TOML file each.

Whatever differs between the pocket models and the big ones is a field here; the code asks no
profile for its name. Opening a profile reads its file and nothing else.
"""

from __future__ import annotations

import sys
import types
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from imgrag.errors import ProfileError
from imgrag.models.captioning import CaptionsProfile
from imgrag.models.controlling import ControlProfile
from imgrag.models.knowing import KnowledgeProfile
from imgrag.models.places import Checkpoint, require
from imgrag.models.ranking import RankingProfile, RerankerProfile
from imgrag.models.upscaling import UpscalerProfile
from imgrag.pictures import is_colour
from imgrag.runs.layout import FREE, LAYOUTS
from imgrag.runs.values import MAX_CONCEPTS, in_brief
from imgrag.texts import clean_document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "profiles"
MAX_SIZE = 4096  # pixels; what a record may say of a drawn image
MAX_TOKENS = 10**6
MAX_PIXELS = 10**9
MAX_CANDIDATES = 1000
MOST_THINGS = 20
SEVERAL = ("one", "each")
PRECISIONS = ("float32", "int8")
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class GeneratorProfile:
    """The image generator.

    Attributes:
        dtype: of the weights on an accelerator; on a CPU everything is float32.
        size: side of the square image in pixels.
        offload: keep only the part that is at work on the accelerator (diffusers' model offload).
        enhancing_prompt: template for `prompts.enhancing_prompt`.
        layout: where it puts the things of a prompt, one of `layout.LAYOUTS`; each reference then
            guides the part where its thing will stand.
    """

    checkpoint: Checkpoint
    size: int
    steps: int
    guidance_scale: float
    dtype: str = "float32"
    negative_prompt: str = ""
    offload: bool = False
    enhancing_prompt: str = "According to {images} of {concepts}, generate {prompt}"
    layout: str = FREE

    def __post_init__(self) -> None:
        _check_dtype(self.dtype)
        require(self.layout in LAYOUTS, f"generator.layout is {self.layout!r}, none of {', '.join(LAYOUTS)}")
        require(
            0 < self.size <= MAX_SIZE and self.size % 8 == 0,
            f"generator.size is {in_brief(self.size)}, not a multiple of 8 up to {MAX_SIZE}",
        )
        require(1 <= self.steps <= 150, f"generator.steps is {in_brief(self.steps)}, not from 1 to 150")
        require(
            0 <= self.guidance_scale <= 30,
            f"generator.guidance_scale is {self.guidance_scale}, not from 0 to 30",
        )
        try:
            complete = "\0" in self.enhancing_prompt.format(images="", concepts="", prompt="\0")
        except (KeyError, IndexError, ValueError):
            complete = False
        require(
            complete, "generator.enhancing_prompt must hold {prompt}, and may hold {images} and {concepts}"
        )


@dataclass(frozen=True, kw_only=True)
class AdapterProfile:
    """The IP-Adapter and its image encoder; names as `load_ip_adapter` wants them.

    Attributes:
        scale: how strongly references guide.
        guided_share: of the denoising steps, the first ones, that they guide.
        several: what serves several references: "one" adapter with all pictures, or an adapter "each".
        background: the colour that transparent references stand on, as the adapter learned it.
        style_layers: parts of the U-Net whose attention takes a picture's style, by the beginnings of their names; the
            others take the thing. Without any a reference cannot guide by one of both alone.
    """

    checkpoint: Checkpoint
    weight_name: str
    subfolder: str = ""
    image_encoder_folder: str = "image_encoder"
    scale: float = 1.0
    guided_share: float = 1.0
    several: str = "one"
    background: str = "white"
    style_layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(0 <= self.scale <= 2, f"adapter.scale is {self.scale}, not from 0 to 2")
        require(0 <= self.guided_share <= 1, f"adapter.guided_share is {self.guided_share}, not from 0 to 1")
        require(self.several in SEVERAL, f"adapter.several is {self.several!r}, none of {', '.join(SEVERAL)}")
        require(
            self.weight_name.endswith(".safetensors"),
            f"adapter.weight_name {self.weight_name!r} is no safetensors",
        )
        require(is_colour(self.background), f"adapter.background {self.background!r} is no colour")


@dataclass(frozen=True, kw_only=True)
class LlmProfile:
    """A language model. `fallback` serves where the first checkpoint's `needs` are not installed.

    A dtype "auto" is the one the checkpoint was stored in; on a CPU everything is float32.
    """

    checkpoint: Checkpoint
    dtype: str = "float32"
    max_new_tokens: int = 128
    fallback: Checkpoint | None = None

    def __post_init__(self) -> None:
        _check_dtype(self.dtype, "auto")
        require(
            0 < self.max_new_tokens <= MAX_TOKENS,
            f"max_new_tokens is {in_brief(self.max_new_tokens)}, not from 1 to {MAX_TOKENS}",
        )


@dataclass(frozen=True, kw_only=True)
class VlmProfile(LlmProfile):
    """A vision-language model. Pictures are scaled until their area lies within the bounds (pixels).

    Asked whether a thing is there, it is sure of a yes from `sure_yes` of the likelihood on, and of a no up to
    `sure_no`; between them nobody can tell.
    """

    min_pixels: int
    max_pixels: int
    sure_yes: float = 0.6
    sure_no: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_pixels("vlm", self.min_pixels, self.max_pixels)
        require(
            0 <= self.sure_no <= self.sure_yes <= 1,
            f"vlm.sure_no is {self.sure_no} and vlm.sure_yes {self.sure_yes}, not in this order from 0 to 1",
        )


@dataclass(frozen=True, kw_only=True)
class ClipProfile:
    """OpenAI CLIP: a file relative to the project, or a name that `clip.load` knows ("ViT-B/32").

    Attributes:
        precision: "int8" embeds faster with a transformer on a CPU (1.35 x, see the library's bench); its vectors are other ones.
    """

    checkpoint: str
    precision: str = "float32"

    def __post_init__(self) -> None:
        known = ", ".join(PRECISIONS)
        require(self.precision in PRECISIONS, f"clip.precision is {self.precision!r}, none of {known}")


@dataclass(frozen=True, kw_only=True)
class ComposerProfile:
    """A checkpoint that embeds words and pictures together, for composed queries.

    Without one they are searched by the weighted sum of CLIP's two vectors.
    """

    checkpoint: Checkpoint
    min_pixels: int
    max_pixels: int
    dtype: str = "float32"
    instruction: str = "Represent the user's input."

    def __post_init__(self) -> None:
        _check_dtype(self.dtype, "auto")
        _check_pixels("composer", self.min_pixels, self.max_pixels)


@dataclass(frozen=True, kw_only=True)
class RetrievalProfile:
    """How references are found.

    Attributes:
        library: name of the library that is searched unless the request names another.
        similarity_floor: lowest cosine similarity at which a picture is used.
        max_concepts: missing concepts that get a reference, 1 to 3.
        candidates: how many pictures to show for each concept.
        query: wording of the search; may hold {caption} and {name}.
        close: from which similarity on a picture counts as showing the concept, not just as the nearest there is.
    """

    library: str
    similarity_floor: float
    max_concepts: int = 1
    candidates: int = 8
    query: str = "{caption}"
    close: float = 1.0

    def __post_init__(self) -> None:
        floor, limit = self.similarity_floor, self.max_concepts
        require(-1 <= floor <= 1, f"retrieval.similarity_floor is {floor}, not from -1 to 1")
        require(
            1 <= limit <= MAX_CONCEPTS,
            f"retrieval.max_concepts is {in_brief(limit)}, not from 1 to {MAX_CONCEPTS}",
        )
        require(
            1 <= self.candidates <= MAX_CANDIDATES,
            f"retrieval.candidates is {in_brief(self.candidates)}, not from 1 to {MAX_CANDIDATES}",
        )


@dataclass(frozen=True, kw_only=True)
class ReadingProfile:
    """How prompts are read before anything is drawn.

    Attributes:
        language: of the generator, the judge and CLIP (ISO 639-1).
        understands: other languages that the LLM translates from; empty where it is not known to end anywhere.
        vocabulary: a JSON file with the names that the models know, relative to the project; "" where
            there is no end to them. With one, the generator is asked for nothing but those things
            ("a dog and an owl on a red background"); without, for the prompt itself.
        most: things, each of several alike counted, that it draws in one image; 0 where there is no bound.
        backgrounds: colours of the ground that it knows.
        draws: in one line, what it draws.
    """

    language: str = "en"
    understands: tuple[str, ...] = ()
    vocabulary: str = ""
    most: int = 0
    backgrounds: tuple[str, ...] = ()
    draws: str = ""

    def __post_init__(self) -> None:
        require(self.language == "en", f"reading.language is {self.language!r}; only en can be read so far")
        require(
            0 <= self.most <= MOST_THINGS,
            f"reading.most is {in_brief(self.most)}, not from 0 to {MOST_THINGS}",
        )
        require(not self.vocabulary or self.most > 0, "reading.most must be set where there is a vocabulary")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A whole cast. `memory` says in words what it takes; without a `captioner` or `reranker` the VLM does their work."""

    name: str
    title: str
    generator: GeneratorProfile
    adapter: AdapterProfile
    vlm: VlmProfile
    llm: LlmProfile
    clip: ClipProfile
    retrieval: RetrievalProfile
    composer: ComposerProfile | None = None
    control: ControlProfile | None = None
    reading: ReadingProfile = ReadingProfile()
    knowledge: KnowledgeProfile = field(default_factory=KnowledgeProfile)
    captioner: LlmProfile | None = None
    captions: CaptionsProfile = field(default_factory=CaptionsProfile)
    reranker: RerankerProfile | None = None
    ranking: RankingProfile = field(default_factory=RankingProfile)
    upscaler: UpscalerProfile | None = None
    description: str = ""
    memory: str = ""
    path: Path = field(default=Path(), compare=False)

    @property
    def ranker(self) -> str:
        """The role that says whether a picture is what is asked for."""
        return "vlm" if self.reranker is None else "reranker"


def profile_names() -> list[str]:
    """The profiles that come with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load_profile(name_or_path: str | Path) -> Profile:
    """Open one of `profile_names()` or a TOML file of one's own.

    Raises:
        ProfileError: there is no such profile, or it says something that makes no sense.
    """
    text = str(name_or_path)
    path = FOLDER / f"{text}.toml" if text in profile_names() else Path(text)
    if path.suffix != ".toml" or not _is_file(path):
        known = ", ".join(profile_names())
        raise ProfileError(
            f"There is no profile {in_brief(text)!r}. Choose one of {known}, or give the path of a .toml file."
        )
    try:
        table = clean_document(tomllib.loads(path.read_text(encoding="utf-8")))
        return _build(Profile, {"name": path.stem, **table}, "", path=path)
    except OSError as error:
        raise ProfileError(f"The profile {path.name} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError, ProfileError) as error:
        raise ProfileError(f"The profile {path.name} cannot be used: {error}.") from error


def _build(kind: Any, table: dict[str, Any], where: str, **extra: Any) -> Any:
    """A dataclass from a TOML table; what the class does not know, and a wrong type, is an error."""
    known = {entry.name: entry for entry in fields(kind) if entry.name not in extra}
    for key in table:
        require(key in known, f"it has an unknown key {where + key!r}; known are {', '.join(known)}")
    for name, entry in known.items():
        needed = entry.default is MISSING and entry.default_factory is MISSING
        require(name in table or not needed, f"it lacks the key {where + name!r}")
    hints = get_type_hints(kind)
    return kind(**{key: _value(hints[key], value, where + key) for key, value in table.items()}, **extra)


def _value(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        hint = get_args(hint)[0]
    if is_dataclass(hint):
        require(isinstance(value, dict), f"{where!r} must be a table")
        return _build(hint, value, f"{where}.")
    if get_origin(hint) is tuple:
        words = isinstance(value, list) and all(isinstance(item, str) for item in value)
        require(words, f"{where!r} must be a list of strings")
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        require(abs(value) <= MAX_TOKENS, f"{where!r} is {in_brief(value)}, which is too large")
        return float(value)
    require(type(value) is hint, f"{where!r} is {in_brief(repr(value))}, not of type {hint.__name__}")
    return value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no file has so long a name, or a NUL in it
        return False


def _check_pixels(what: str, least: int, most: int) -> None:
    require(
        0 < least <= most <= MAX_PIXELS,
        f"{what}.min_pixels is {in_brief(least)} and {what}.max_pixels {in_brief(most)}",
    )


def _check_dtype(dtype: str, *also: str) -> None:
    allowed = (*DTYPES, *also)
    require(dtype in allowed, f"the dtype {dtype!r} is none of {', '.join(allowed)}")
