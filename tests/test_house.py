"""What a reader of the repository notices: its root, its sizes, its rooms, its cards, its READMEs."""

from __future__ import annotations

import ast
import csv
import re
import subprocess
from pathlib import Path

import pytest
from setuptools import Distribution

from imgrag.engine.prompts import template_hash
from imgrag.pocket.world import world

ROOT = Path(__file__).parents[1]
POCKET = ROOT / "assets" / "pocket"
README = (ROOT / "README.md").read_text(encoding="utf-8")
READMES = (
    ROOT / "README.md",
    *sorted((ROOT / "imgrag").rglob("README.md")),
    *sorted(POCKET.rglob("README.md")),
)
AT_THE_ROOT = {
    "app.py", "imgrag", "assets", "datasets", "tests", "requirements.txt", "packages.txt", "README.md",
    "pyproject.toml", "LICENSE",
}  # fmt: skip
MEGABYTE = 10**6


def committed() -> list[Path]:
    """The files git has or would take, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    files = [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]
    if not files:
        pytest.skip("not a git checkout")
    return files


def tree() -> list[str]:
    """The paths that README's file tree names; a folder ends with a slash."""
    block = README.split("## What is where")[1].split("```")[1]
    paths, folders = [], [""]
    for line in block.strip("\n").splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[: depth + 1], folders[depth] + name]
        paths.append(folders[-1])
    return paths


def modules() -> list[Path]:
    return sorted((ROOT / "imgrag").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT / "imgrag").parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The modules of this project that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            here = (ROOT / node.module.replace(".", "/")).is_dir()
            names |= {f"{node.module}.{alias.name}" if here else node.module for alias in node.names}
    return {name for name in names if name.startswith("imgrag.")}


def imported_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path)}


def test_only_agreed_names_lie_at_the_root():
    names = {file.parts[0] for file in committed()}
    assert {name for name in names if not name.startswith(".")} <= AT_THE_ROOT


def test_no_committed_file_reaches_10_megabytes():
    assert not [str(file) for file in committed() if (ROOT / file).stat().st_size >= 10 * MEGABYTE]


def test_no_run_cache_or_pickle_is_committed():
    files = [file.as_posix() for file in committed()]
    ignored = re.compile(r"^datasets/results/|^\.cache/|__pycache__|\.partial$|\.(bin|ckpt|pkl|pth)$")
    assert not [file for file in files if ignored.search(file)]


def test_the_bundled_checkpoints_are_below_70_megabytes():
    sizes = [file.stat().st_size for file in POCKET.rglob("*") if file.is_file()]
    assert MEGABYTE < sum(sizes) < 70 * MEGABYTE


@pytest.mark.parametrize("role", ["generator", "adapter", "vlm", "llm", "clip", "captioner"])
def test_every_checkpoint_is_there(role):
    weights = [*(POCKET / role).rglob("*.safetensors"), *(POCKET / role).glob("*.pt")]
    assert weights, f"assets/pocket/{role} holds no weights"


@pytest.mark.parametrize("role", ["vlm", "llm"])
def test_the_models_that_are_asked_were_trained_on_these_templates(role):
    card = (POCKET / role / "README.md").read_text(encoding="utf-8")
    assert f"template_hash: {template_hash()}" in card


def test_every_concept_has_a_picture_and_every_picture_a_row():
    pictures = {path.name for path in world.LIBRARY.glob("*.png")}
    with (world.LIBRARY / "metadata.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file_name"]: row for row in csv.DictReader(file)}
    assert {icon.file_name for icon in world.icons()} == pictures == set(rows)
    assert all(row["source"] and row["licence"] for row in rows.values())


def test_the_sets_are_disjoint_and_as_large_as_the_readme_says():
    sets = {kind: {i.name for i in world.icons() if i.set == kind} for kind in ("known", "shown", "unseen")}
    assert sum(map(len, sets.values())) == len(set.union(*sets.values())) == len(world.icons())
    assert len(sets["known"]) >= 100
    assert len(sets["unseen"]) >= 40
    said = {kind: int(count) for kind, count in re.findall(r"^\| (\w+) \| (\d+) \|", README, re.MULTILINE)}
    assert said == {kind: len(names) for kind, names in sets.items()}
    assert f"know all {len(world.icons())}" in README


def test_the_readme_s_tree_names_what_is_there():
    missing = [path for path in tree() if not (ROOT / path).exists()]
    assert not missing
    assert len(tree()) > 20


def test_every_room_has_its_line_in_the_readme_s_tree():
    rooms = {f"{path.parent.relative_to(ROOT).as_posix()}/" for path in (ROOT / "imgrag").rglob("*.py")}
    assert rooms <= set(tree())


def test_every_module_says_what_it_is():
    silent = [
        path for path in modules() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


ARROWS = {
    "runs": {"errors", "pictures", "texts"},
    "models": {"runs", "errors", "pictures", "texts"},
    "library": {"models", "runs", "errors", "pictures", "texts"},
    "knowledge": {"library", "models", "runs", "errors", "pictures", "texts"},
    "styles": {"library", "models", "pocket", "runs", "errors", "pictures", "texts"},
    "archive": {"library", "models", "runs", "errors", "pictures", "texts"},
    "engine": {
        "archive",
        "knowledge",
        "library",
        "models",
        "runs",
        "styles",
        "errors",
        "logs",
        "pictures",
        "texts",
    },
    "captions": {
        "archive",
        "engine",
        "library",
        "models",
        "runs",
        "errors",
        "logs",
        "pictures",
        "texts",
    },
    "pocket": {"engine", "library", "models", "runs", "errors", "pictures", "texts"},
    "errors": set(),
    "logs": set(),
    "pictures": set(),
    "texts": set(),
}


def test_arrows_point_one_way():
    against = [
        f"{path.relative_to(ROOT)} imports imgrag.{there}"
        for path in modules()
        if (here := room(path)) in ARROWS
        for there in imported_rooms(path)
        if there != here and there not in ARROWS[here]
    ]
    assert not against


def test_nothing_imports_the_page():
    assert not [
        path for path in modules() if room(path) != "ui" and "ui" in imported_rooms(path) - {room(path)}
    ]


def test_pocket_uses_of_the_engine_its_prompts_alone():
    used = {
        name
        for path in modules()
        if room(path) == "pocket"
        for name in imported(path)
        if name.startswith("imgrag.engine")
    }
    assert used <= {"imgrag.engine.prompts"}


def test_the_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 250


def anchors(file: Path) -> set[str]:
    """Where a link into this text can lead: its headings as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", READMES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_link_of_a_readme_leads_somewhere(file):
    links = re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", file.read_text(encoding="utf-8"))
    places = [(file.parent / path if path else file, anchor) for path, anchor in links]
    assert not [place for place, _ in places if not place.exists()]
    assert not [(place, anchor) for place, anchor in places if anchor and anchor not in anchors(place)]


def test_every_room_s_readme_is_linked_from_the_first_one():
    rooms = {file.relative_to(ROOT).as_posix() for file in (ROOT / "imgrag").rglob("README.md")}
    assert len(rooms) >= 4
    assert rooms <= set(re.findall(r"\]\(([^)#]+)", README))


def mentioned(text: str) -> set[str]:
    """Files of this project that a text names: by their path, or as a module."""
    paths = re.findall(r"(?<![\w/.])((?:imgrag|tests|assets|datasets/libraries)/[\w./*-]*\w)", text)
    modules = re.findall(r"(?<![\w/.-])(imgrag(?:\.[a-zA-Z]\w*)+)", text)
    return {*paths, *modules}


def known(name: str) -> bool:
    """Whether there is such a file, or such a module or a name in it."""
    if "/" in name:
        return any(ROOT.glob(name))
    path = ROOT / name.replace(".", "/")
    return path.exists() or path.with_suffix(".py").exists() or _named(path)


def _named(path: Path) -> bool:
    home = path.parent / "__init__.py" if path.parent.is_dir() else path.parent.with_suffix(".py")
    return home.exists() and path.name in home.read_text(encoding="utf-8")


def test_every_file_that_a_text_names_is_there():
    texts = [*READMES, ROOT / "pyproject.toml", ROOT / ".ci" / "run", ROOT / "app.py"]
    texts += [*modules(), *(ROOT / "imgrag").rglob("*.toml")]
    stale = [
        f"{file.relative_to(ROOT)} names {name}"
        for file in texts
        for name in sorted(mentioned(file.read_text(encoding="utf-8")))
        if not known(name)
    ]
    assert not stale


def test_the_figures_in_the_readme_are_the_bench_s():
    bench = (ROOT / "imgrag" / "bench" / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"[\d.]+%", README))
    assert told
    assert told <= set(re.findall(r"[\d.]+%", bench))


def test_ci_runs_the_readme_s_test_command():
    command = next(line for line in README.splitlines() if line.endswith("python -m pytest"))
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_package_takes_along_every_file_it_needs(monkeypatch):
    monkeypatch.chdir(ROOT)
    built = Distribution()
    built.parse_config_files(["pyproject.toml"])
    patterns = built.package_data["imgrag"]
    taken = {
        pattern: {path.relative_to(ROOT) for path in (ROOT / "imgrag").glob(pattern)} for pattern in patterns
    }
    needed = {file for file in committed() if file.parts[0] == "imgrag" and file.suffix not in (".py", ".md")}
    assert needed == set().union(*taken.values())
    assert all(taken.values())


def test_the_space_asks_for_the_gradio_that_the_requirements_allow():
    front = README.split("---")[1]
    wanted = re.search(r"^sdk_version: (\d+)\.(\d+)\.", front, re.MULTILINE)
    required = re.search(r"^gradio>=(\d+)\.(\d+)\.", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert wanted and required and wanted.groups() == required.groups()
    assert "app_file: app.py" in front
    described = re.search(r"^short_description: (.+)$", front, re.MULTILINE)
    assert described and len(described[1]) <= 60  # the hub refuses longer ones
