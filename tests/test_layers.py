"""Who may import whom, by reading the source; and what the quick ways in do not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vidsr"
LAYERS = [
    {"frames", "errors", "events", "options", "__init__"},
    {"presets", "record", "fs", "flow"},
    {"media", "models", "runtime"},
    {"stages", "faces"},
    {"hardware", "account", "ends", "excerpt", "numbered", "prepare", "scan", "sizes", "transparency"},
    {"running", "muxing"},
    {"pipeline", "upscaler"},
    {"jobs", "pictures", "compat", "report"},
    {"api"},
    {"bench"},
    {"cli", "__main__"},
]
"""From the lowest to the highest; a module imports from its own layer or from lower ones."""


def modules() -> dict[str, Path]:
    """Dotted names of all modules of vidsr, and their files."""
    return {_name(path): path for path in PACKAGE.rglob("*.py")}


def _name(path: Path) -> str:
    parts = ["vidsr", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(name: str, path: Path, *, lazy: bool) -> frozenset[str]:
    """Absolute names of what a module imports; with `lazy` also inside functions. TYPE_CHECKING is left out."""
    found: set[str] = set()
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")), lazy):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= _from(name, path.name == "__init__.py", node)
    return frozenset(found)


def _statements(node: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not lazy:
            continue
        yield child
        yield from _statements(child, lazy)


def _from(name: str, is_package: bool, node: ast.ImportFrom) -> set[str]:
    package = name.split(".") if is_package else name.split(".")[:-1]
    base = package[: len(package) - node.level + 1] if node.level else []
    source = ".".join([*base, *([node.module] if node.module else [])])
    known = modules()
    return {f"{source}.{alias.name}" if f"{source}.{alias.name}" in known else source for alias in node.names}


def area(name: str) -> str:
    """The file or folder directly under vidsr/ that module `name` belongs to."""
    return [*name.split("."), "__init__"][1]


def layer(name: str) -> int:
    return next(index for index, areas in enumerate(LAYERS) if area(name) in areas)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_come_from_the_same_or_a_lower_layer(name: str) -> None:
    inside = {target for target in imports(name, modules()[name], lazy=True) if target.split(".")[0] == "vidsr"}
    higher = {target for target in inside if layer(target) > layer(name)}
    assert not higher, f"{name} imports {higher} from a higher layer"


@pytest.mark.parametrize("name", sorted(modules()))
def test_libraries_stay_where_they_belong(name: str) -> None:
    roots = {target.split(".")[0] for target in imports(name, modules()[name], lazy=True)}
    banned = {"media": {"torch"}, "models": {"av"}, "runtime": {"av"}}.get(area(name), set())
    banned |= set() if area(name) in ("cli", "__main__") else {"click", "rich"}
    banned |= set() if name == "vidsr.cli.train" else {"trainer"}
    assert not roots & banned


def test_stages_and_the_two_halves_below_do_not_know_each_other() -> None:
    for name, path in modules().items():
        targets = imports(name, path, lazy=True)
        if area(name) == "stages":
            others = {other for other in targets if other.startswith("vidsr.stages.")}
            assert not others, name
        if area(name) == "media":
            assert not {other for other in targets if other.startswith(("vidsr.models", "vidsr.runtime"))}, name
        if area(name) in ("models", "runtime"):
            media = {other for other in targets if other.startswith("vidsr.media")}
            assert media <= {"vidsr.media.color"}, name  # pure arithmetic on tags
    assert "av" not in imports("vidsr.media.color", modules()["vidsr.media.color"], lazy=True)


def test_no_import_circles() -> None:
    known = modules()
    graph = {name: (imports(name, path, lazy=False) & known.keys()) - {name, "vidsr"} for name, path in known.items()}
    order = list(TopologicalSorter(graph).static_order())
    assert len(order) == len(known) - ("vidsr" not in order)


def test_the_reader_of_imports_sees_them(tmp_path: Path) -> None:
    """The tests above are worth nothing if imports are overlooked."""
    path = tmp_path / "probe.py"
    path.write_text(
        "from .errors import UsageError\nfrom . import fs\nimport torch.nn\n"
        "def f():\n    from ..api import upscale\n    import av\n"
        "if TYPE_CHECKING:\n    import click\n"
    )
    assert imports("vidsr.probe", path, lazy=False) == {"vidsr.errors", "vidsr.fs", "torch.nn"}
    assert imports("vidsr.cli.probe", path, lazy=True) >= {"vidsr.api", "av"}


@pytest.mark.parametrize(
    "code",
    [
        "import vidsr",
        "import vidsr; vidsr.UsageError",
        "from vidsr.cli.main import run; assert run(['--help']) == 0",
        "from vidsr.cli.main import run; assert run(['upscale', '--help']) == 0",
        "from vidsr.cli.main import run; assert run(['upscale', 'in.mp4', '--scale', '99']) == 2",
        "from vidsr.cli.main import run; assert run(['models', 'list']) == 0",
        "from vidsr.cli.main import run; assert run(['train', 'ls']) == 0",
        "from vidsr.cli.main import run; assert run(['train', 'schema']) == 0",
        "from vidsr.cli.main import run; assert run(['train', 'run', 'missing.yaml']) == 2",
    ],
)
def test_the_quick_ways_load_no_heavy_library(code: str) -> None:
    check = "; import sys; heavy = {'torch', 'av', 'cv2', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
