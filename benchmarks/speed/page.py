"""The record of what was measured, as tables in Markdown and in README.md between two marks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.speed.harness import Finding

FOLDER = Path(__file__).parent
RESULTS, PAGE = FOLDER / "results.json", FOLDER / "README.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
SUMMARY = "| # | work | beside | figure | median | goal |\n|--:|:--|:--|:--|--:|--:|"
HEAD = "| # | figure | median (least to most) | goal | how |\n|--:|:--|:--|--:|:--|"
SEVERAL = re.compile(r"\[([^\]]*)\]( \S+)?")
"""A list of numbers, with their unit behind it, as rows write their seconds."""


def summary(record: dict[str, Any]) -> str:
    """Return the rows of a record in Markdown: a line per figure that has a goal, or else the row's first."""
    lines = [SUMMARY]
    for row, module, found in _rows(record):
        size = " *(small size, `--quick`)*" if module["quick"] else ""
        start = f"| {row['number']} | {row['work']}{size} | {row['peer']} |"
        chosen = [finding for finding in found if finding.goal is not None] or found[:1]
        cells = [f"{f.name} | {_with_unit(f.middle, f.unit)}{_missed(f)} | {_goal(f)}" for f in chosen] or ["not measured | | "]
        lines += [f"{start} {cells[0]} |", *(f"| | | | {cell} |" for cell in cells[1:])]
    return "\n".join(lines)


def table(record: dict[str, Any]) -> str:
    """Return every figure of a record in Markdown, with its spread and how it came about."""
    lines = [HEAD]
    for row, _, found in _rows(record):
        for f in found:
            most = f"{shown(min(f.values))} to {shown(max(f.values))}" if len(f.values) > 1 else "one run"
            median = f"{_with_unit(f.middle, f.unit)} ({most}){_missed(f)}"
            lines.append(f"| {row['number']} | {f.name} | {median} | {_goal(f)} | {plain(f.detail)} |")
    return "\n".join(lines)


def _rows(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[Finding]]]:
    """Yield each row, its module and its figures, in the order of their numbers."""
    rows = [(row, module) for module in record["rows"].values() for row in module["rows"]]
    for row, module in sorted(rows, key=lambda pair: pair[0]["number"]):
        yield row, module, [Finding(**finding) for finding in module["findings"] if finding["row"] == row["number"]]


def _goal(finding: Finding) -> str:
    return "–" if finding.goal is None else f"≤ {_with_unit(finding.goal, finding.unit)}"


def _missed(finding: Finding) -> str:
    return " **missed**" if finding.reached is False else ""


def _with_unit(value: float, unit: str) -> str:
    return f"{shown(value)} {unit}".rstrip()


def shown(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def plain(value: Any) -> str:
    """Return a detail as a reader wants it: no brackets of lists, no quotation marks.

    :param value: text, a number, a list of them, or a dictionary, also of dictionaries.
    """
    if isinstance(value, dict):
        parts = [(name, plain(part), isinstance(part, dict)) for name, part in value.items()]
        return "; ".join(f"{name}: {text}" if nested else f"{name} {text}" for name, text, nested in parts)
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return SEVERAL.sub(r"\1\2", str(value))


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
    """Return README.md with its tables and machines made anew."""
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    title = "<summary>Every figure, with its spread and how it came about</summary>"
    parts = summary(record), made(record), f"<details>\n{title}", table(record), "</details>", machines(record)
    return f"{head}{BEGIN}\n" + "\n\n".join(parts) + f"\n{END}{tail}"


def write_page(record: dict[str, Any]) -> None:
    """Keep a record, and README.md with it."""
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8"), record), "utf-8")
