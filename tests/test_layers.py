"""Rooms import only what stands above them in docs/architecture.md, and the page lists every room."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mimo_eval"
LINE = re.compile(r"^\| ((?:`[^`]+` ?)+)\|", re.M)


def rooms():
    """Return the rooms of the page, level by level."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    found = [re.findall(r"[\w./]+", line[1].replace("`", " ")) for line in LINE.finditer(page)]
    return [[name.removesuffix(".py").rstrip("/") for name in level] for level in found]


def imported(path):
    """Yield the rooms that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "mimo_eval":
            yield from (alias.name for alias in node.names if not alias.name.startswith("__"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mimo_eval."):
            yield node.module.split(".")[1]


def test_no_room_imports_one_below_it():
    level = {room: number for number, names in enumerate(rooms()) for room in names}
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert room in level, f"docs/architecture.md does not list {room}"
        for other in imported(path):
            if level[other] > level[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert not wrong
