"""`mimo-eval measures`: list what can be measured, or show one measure whole."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from mimo_eval.geometry import Diagnostic
    from mimo_eval.measures import Declaration

KINDS = {
    "effectiveness": "of a run and its judgements",
    "language": "of a run, its judgements and the language of every document and query",
    "geometry": "of vectors alone",
}
COLUMNS = ("name", "what it answers", "range", "better", "needs", "source")
SCALARS = (bool, int, float, str)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a measure."""

    name: str
    meaning: str
    required: bool
    default: Any = None
    choices: list[Any] | None = None


@dataclass(frozen=True)
class Entry:
    """One line of the list; `about` and `parameters` are shown for a measure that is asked for by name."""

    name: str
    kind: str
    answers: str
    range: tuple[float, float] | None
    """None where nothing declares it."""
    better: str
    needs: dict[str, str]
    """Short name to what it means; that every language measure needs the languages goes without saying."""
    source: str
    about: str = ""
    instead: str = ""
    parameters: list[Parameter] = field(default_factory=list)

    def as_dict(self, whole: bool) -> dict[str, Any]:
        """Return what JSON can hold; an end of the range that the data decide is null."""
        record = asdict(self)
        if self.range is not None:
            record["range"] = [end if math.isfinite(end) else None for end in self.range]
        return record if whole else {name: record[name] for name in list(record)[:7]}


@click.command()
@click.argument("name", required=False)
@click.option("--format", "layout", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True)
def command(name: str | None, layout: str) -> None:
    """List the measures: what they answer, range, direction, needs and source. With NAME, show one whole."""
    from mimo_eval.cli.console import stdout

    entries = found(name) if name is not None else listed()
    if layout == "json":
        click.echo(json.dumps([e.as_dict(name is not None) for e in entries], ensure_ascii=False, indent=1, allow_nan=False))
    elif layout == "markdown":
        click.echo(markdown(entries))
    elif name is None:
        tables(entries, stdout())
    else:
        whole(entries, stdout())


def listed() -> list[Entry]:
    """Return every measure and every diagnostic."""
    from mimo_eval.geometry import DIAGNOSTICS
    from mimo_eval.measures import describe

    return [*map(_declared, describe()), *(_diagnosed(DIAGNOSTICS.get(name)) for name in DIAGNOSTICS)]


def found(name: str) -> list[Entry]:
    """Return one measure, in each of the ways of writing it that are listed, with all that is known of it.

    :param name: a measure or diagnostic, with or without parameters.
    :return: one entry or several, all of the same measure.
    :raises ConfigError: if there is none; near names are given.
    """
    import ir_measures

    from mimo_eval.geometry import DIAGNOSTICS
    from mimo_eval.measures import LanguageMeasure, registry

    base = re.split(r"[(@]", name.strip())[0]
    if base in DIAGNOSTICS:
        return [_diagnosed(DIAGNOSTICS.get(base))]
    measure = ir_measures.measures.registry.get(base)
    if measure is None:
        raise _unknown(base, [*registry, *DIAGNOSTICS, *ir_measures.measures.registry])
    known = [entry for entry in listed() if re.split(r"[(@]", entry.name)[0] == measure.NAME]
    if not known:
        known = [Entry(measure.NAME, "effectiveness", measure.SHORT_DESC or "", None, "", {}, "ir-measures")]
    more = {
        "about": _prose(measure) if isinstance(measure, LanguageMeasure) else "",
        "instead": measure.INSTEAD if isinstance(measure, LanguageMeasure) else "",
        "parameters": [_parameter(key, info, measure.AT_PARAM) for key, info in measure.SUPPORTED_PARAMS.items()],
    }
    return [Entry(**{**entry.__dict__, **more}) for entry in known]


def markdown(entries: Sequence[Entry]) -> str:
    """Return the list as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + ":--|" * len(COLUMNS)]
    for entry in entries:
        cells = [f"`{entry.name}`", *_cells(entry)[1:]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def tables(entries: Sequence[Entry], console: Console) -> None:
    """Print one table for each kind of measure."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    for kind, of_what in KINDS.items():
        table = Table(title=f"{kind}: {of_what}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in COLUMNS:
            # the question is what one reads first: where there is room, the other columns break their lines before it does
            least = 25 if column == COLUMNS[1] and console.width >= 118 else None
            fixed = column in ("name", "range", "better")
            table.add_column(column, no_wrap=fixed, min_width=least, max_width=15 if column == "needs" else None)
        before = ""
        for entry in (entry for entry in entries if entry.kind == kind):
            name, answers, span, better, _, source = map(escape, _cells(entry))
            # another way of writing the same measure asks the same question
            table.add_row(name, answers if answers != before else "", span, better, ", ".join(entry.needs), source)
            before = answers
        console.print(table)
        needs = dict(item for entry in entries if entry.kind == kind for item in entry.needs.items())
        for short, meaning in needs.items():
            console.print(f"  {short}: {meaning}", markup=False)
        console.print()
    console.print("Parameters and definition of one: mimo-eval measures NAME", markup=False)


def whole(entries: Sequence[Entry], console: Console) -> None:
    """Print one measure, given in each of the ways of writing it."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    entry = entries[0]
    console.print(Text(entry.answers, style="bold"))
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for each in entries:
        _, _, span, better, needs, _ = _cells(each)
        grid.add_row("written", Text(each.name, style="bold"))
        for title, text in (("range", span), ("better", better), ("needs", needs)):
            if text:
                grid.add_row(title, Text(text))
    if entry.instead:
        grid.add_row("otherwise", Text(f"where the data lack that: {entry.instead}"))
    grid.add_row("source", Text(entry.source))
    for parameter in entry.parameters:
        grid.add_row("parameter", Text(_described(parameter)))
    console.print(grid)
    for paragraph in entry.about.split("\n\n") if entry.about else ():
        console.print(Padding(Text(" ".join(paragraph.split())), (1, 0, 0, 0)))


def _declared(declaration: Declaration) -> Entry:
    from mimo_eval.measures import Direction, LanguageMeasure, Need, parse

    of_language = isinstance(parse(declaration.name)[0], LanguageMeasure)
    return Entry(
        name=declaration.name,
        kind="language" if of_language else "effectiveness",
        answers=declaration.answers,
        range=declaration.range,
        better="neither" if declaration.direction is Direction.NONE else declaration.direction.value,
        needs={_short(need): need.value for need in declaration.needs if need is not Need.LANGUAGES},
        source=declaration.source,
    )


def _diagnosed(diagnostic: Diagnostic) -> Entry:
    return Entry(
        name=diagnostic.name,
        kind="geometry",
        answers=diagnostic.answers,
        range=diagnostic.range,
        better=diagnostic.direction.value,
        needs={_short(need): need.value.removeprefix("needs ") for need in diagnostic.needs},
        source=diagnostic.source,
        about=_prose(diagnostic.function),
    )


def _prose(documented: Any) -> str:
    """Return a docstring without its list of parameters, and without mark-up."""
    text = (inspect.getdoc(documented) or "").split("\n:param")[0]
    return re.sub(r"([`*])(\S|\S[^`*]*\S)\1", r"\2", text).strip()


def _short(need: Enum) -> str:
    return need.name.lower().replace("_", " ")


def _parameter(name: str, info: Any, at: str | None) -> Parameter:
    given = info.default if isinstance(info.default, SCALARS) else None
    choices = list(info.choices) if isinstance(info.choices, (list, tuple)) else None
    return Parameter("@k" if name == at else name, info.desc or "", bool(info.required), given, choices)


def _described(parameter: Parameter) -> str:
    state = "required" if parameter.required else "" if parameter.default is None else f"by default {parameter.default!r}"
    return f"{parameter.name}: {parameter.meaning}" + (f" ({state})" if state else "")


def _cells(entry: Entry) -> tuple[str, ...]:
    return entry.name, entry.answers, _span(entry.range), entry.better, "; ".join(entry.needs.values()), entry.source


def _span(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return ""
    low, high = ("" if math.isinf(end) else f"{end:g}".replace("-", "−") for end in ends)
    if low and high:
        return f"{low} to {high}"
    return f"from {low}" if low else f"to {high}" if high else "any"


def _unknown(name: str, known: Sequence[str]) -> Exception:
    from difflib import get_close_matches

    from mimo_eval.errors import ConfigError

    lower = {other.lower(): other for other in reversed(known)}
    near = [lower[match] for match in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(near)}?" if near else "`mimo-eval measures` lists them"
    return ConfigError(f"unknown measure '{name}'; {hint}")
