"""The record of what was measured, as a table in Markdown and in README.md between two marks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.speed.harness import Finding

FOLDER = Path(__file__).parent
RESULTS, PAGE = FOLDER / "results.json", FOLDER / "README.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
HEAD = "| # | work | peer | figure | goal | median (least to most) | how |\n|---|---|---|---|---|---|---|"


def table(record: dict[str, Any]) -> str:
    """Return the rows of a record in Markdown, a line per figure."""
    rows = [(row, module) for module in record["rows"].values() for row in module["rows"]]
    rows.sort(key=lambda pair: pair[0]["number"])
    return "\n".join([HEAD, *(line for row, module in rows for line in _lines(row, module))])


def _lines(row: dict[str, Any], module: dict[str, Any]) -> list[str]:
    mine = [Finding(**finding) for finding in module["findings"] if finding["row"] == row["number"]]
    found = [cells(finding) for finding in mine] or ["not measured | | |"]
    size = " *(measured in the small size of `--quick`)*" if module["quick"] else ""
    work = [f"| {row['number']} | {row['work']}{size} | {row['peer']} |", *["| | | |"] * (len(found) - 1)]
    return [f"{start} {cell} |" for start, cell in zip(work, found, strict=True)]


def cells(finding: Finding) -> str:
    """Return a figure, its goal, its value with the spread, and how it came about."""
    goal = "–" if finding.goal is None else f"≤ {finding.goal:g} {finding.unit}"
    missed = " **missed**" if finding.reached is False else ""
    spread = f" ({shown(min(finding.values))} to {shown(max(finding.values))})" if len(finding.values) > 1 else " (one run)"
    how = ", ".join(f"{name} {value}" for name, value in finding.detail.items())
    return f"{finding.name} | {goal} | {shown(finding.middle)} {finding.unit}{spread}{missed} | {how}"


def shown(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def described(machine: dict[str, Any]) -> str:
    """Return the machine in one paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    settings = ", ".join(f"{name}={value}" for name, value in machine["environment"].items() if value is not None)
    return (
        f"{machine['cpus']} cores ({machine['cpu']}), {machine['memory_GiB']} GiB, {machine['gpu'] or 'no GPU'}; "
        f"Python {machine['python']}; {versions}. {settings}."
    )


def made(record: dict[str, Any]) -> str:
    """Return when rows were measured, and which of them at the sizes of `--quick`."""
    rows: dict[str, list[int]] = {}
    for module in record["rows"].values():
        when = f"{module['date']}{' with `--quick`' if module['quick'] else ''}"
        rows.setdefault(when, []).extend(row["number"] for row in module["rows"])
    return "Measured " + "; ".join(f"{when}: {', '.join(map(str, sorted(numbers)))}" for when, numbers in rows.items()) + "."


def machines(record: dict[str, Any]) -> str:
    """Return every machine that rows were measured on, a paragraph each, with the rows."""
    rows: dict[str, list[int]] = {}
    for module in record["rows"].values():
        rows.setdefault(described(module["machine"]), []).extend(row["number"] for row in module["rows"])
    return "\n\n".join(f"Machine of {', '.join(map(str, sorted(numbers)))}: {machine}" for machine, numbers in rows.items())


def page(text: str, record: dict[str, Any]) -> str:
    """Return README.md with its table and machines made anew."""
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    return f"{head}{BEGIN}\n{table(record)}\n\n{made(record)}\n\n{machines(record)}\n{END}{tail}"


def write_page(record: dict[str, Any]) -> None:
    """Keep a record, and README.md with it."""
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8"), record), "utf-8")
