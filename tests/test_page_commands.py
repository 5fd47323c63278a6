"""Every command line of ours that a page, a benchmark file or a message shows has commands, options and values that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from mimo_eval.benchmark import names
from mimo_eval.cli.main import cli
from mimo_eval.errors import MimoEvalError
from mimo_eval.measures import parse as parse_measures
from mimo_eval.mixing import Mix
from mimo_eval.models.describing import found
from mimo_eval.models.loading import MODELS, ModelOptions
from mimo_eval.specs import Spec, arguments, parse_spec

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "leaderboards").glob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("README.md")),
    *sorted((ROOT / "benchmarks").glob("*.yaml")),
    *sorted((ROOT / "benchmarks" / "recipes").glob("*.yaml")),
    *sorted((ROOT / "mimo_eval" / "_models").rglob("README.md")),
    *sorted((ROOT / "docs" / "examples").glob("*.yml")),
    *sorted((ROOT / "mimo_eval" / "cli").glob("*.py")),
    *(ROOT / name for name in ("action.yml", "Makefile")),
]
PAGES = [page for page in PAGES if page.is_file()]
PROSE = [page for page in PAGES if page.suffix in (".md", ".yaml")]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.M | re.S)
INLINE = re.compile(r"`+([^`]+)`+")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
PLACEHOLDER = re.compile(r"…|\.\.\.|[A-Z][A-Z_…]*|\$.*|.*\{.*")
"""What stands for something else: `MODEL`, `…`, `$FOLDER`, `{data}`."""
OURS = ("mimo-eval", "mimo_eval.cli.main")
FOREIGN = {
    "--overwrite-strategy": "of MTEB's own command",
    "--num_processes": "of accelerate",
    "--work": "of leaderboards/evaluate.py",
    "--mimo-baseline": "of our plugin for pytest",
    "--mimo-update-baseline": "of our plugin for pytest",
    "--hypothesis-profile": "of hypothesis's plugin for pytest",
    "--quick": "of benchmarks.speed",
    "--sample": "of docs/retrievers/make.py",
    "--array": "of sbatch",
    "--wrap": "of sbatch",
    "--repo-type": "of hf download",
    "--local-dir": "of hf download",
}


class Shown(NamedTuple):
    """A command line on a page."""

    line: int
    words: list[str]


def shown(page: Path) -> Iterator[Shown]:
    """Yield what follows the name of our command, wherever a page shows it."""
    text = page.read_text("utf-8")
    prose, scripts = text, []
    if page.suffix == ".md":
        scripts = [(_line(text, m.start()), m[2]) for m in FENCE.finditer(text) if m[1] in ("", "bash", "sh", "yaml")]
        prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    elif page.suffix != ".py":
        prose, scripts = "", [(1, text)]
    for start, code in scripts:
        for line in re.sub(r"\\\n\s*", " ", code).splitlines():
            yield from (Shown(start, rest) for rest in _ours(re.sub(r"^\s*(- )?(run: *|@)?", "", line)))
    for code in INLINE.finditer(prose):
        yield from (Shown(_line(prose, code.start()), rest) for rest in _ours(" ".join(code[1].split())))


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _ours(line: str) -> Iterator[list[str]]:
    try:
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
    except ValueError:  # an apostrophe in prose
        return
    for at, word in enumerate(words):
        if word in OURS and (at == 0 or words[at - 1] in ("&&", ";", "|", "-m", "then", "do") or "=" in words[at - 1]):
            rest = words[at + 1 :]
            ends = [i for i, other in enumerate(rest) if other in ("&&", "||", ";", ">", ">>", "2>")]
            yield rest[: ends[0]] if ends else rest


def faults(words: list[str]) -> Iterator[str]:
    """Yield what a command line says that does not exist."""
    context, command, name = click.Context(cli, info_name="mimo-eval"), cli, "mimo-eval"
    words = list(words)
    while words and isinstance(command, click.Group):
        if words[0] == "|":
            return
        if words[0].startswith("-"):
            yield from _options(command, name, words[:1])
        elif PLACEHOLDER.fullmatch(words[0]):
            return
        else:
            found_here = command.get_command(context, words[0])
            if found_here is None:
                yield f"no command '{words[0]}' in '{name}'"
                return
            if len(words) > 1 and words[1] == "|":  # `cache ls | verify | gc` names several
                yield from (f"no command '{other}'" for other in words[2::2] if command.get_command(context, other) is None)
                return
            command, name = found_here, words[0]
        words = words[1:]
    yield from _options(command, name, words)


def _options(command: click.Command, called: str, words: list[str]) -> Iterator[str]:
    known = {name: p for p in command.params if isinstance(p, click.Option) for name in (*p.opts, *p.secondary_opts)}
    placed = [p for p in command.params if isinstance(p, click.Argument)]
    rest, given = [], iter(words)
    for word in given:
        if word == "|":
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, equals, value = word.partition("=")
        option = known.get(name)
        if option is None:
            if name not in ("-h", "--help", "--version"):
                yield f"no option '{name}' of '{called}'"
            continue
        if not option.is_flag and not option.count:
            value = value if equals else next(given, "…")
            yield from _value(option, value)
    real = [word for word in rest if not PLACEHOLDER.fullmatch(word)]
    if all(p.nargs != -1 for p in placed) and len(real) > len(placed):
        yield f"'{called}' takes {len(placed)} arguments, not {len(real)}: {' '.join(real)}"
    if any(p.name in ("models", "model") for p in placed):
        yield from (fault for word in rest for fault in _model(word))


def _value(option: click.Option, value: str) -> Iterator[str]:
    if PLACEHOLDER.fullmatch(value):
        return
    if isinstance(option.type, click.Choice) and value not in option.type.choices:
        yield f"{option.opts[-1]} is not '{value}'"
    if "--benchmark" in option.opts and value not in names() and "/" not in value and not value.endswith(".yaml"):
        yield f"no benchmark '{value}'"
    check = {"--mix": Mix.parse, "--measures": parse_measures}.get(option.opts[-1])
    if check is not None:
        try:
            check(value)
        except MimoEvalError as error:
            yield f"{option.opts[-1]}: {error}"


def _model(text: str) -> Iterator[str]:
    if PLACEHOLDER.fullmatch(text) or "/" in text.partition("(")[0] or ":" in text.partition("(")[0]:
        return  # not ours to know
    yield from _spec(parse_spec(text))


def _spec(spec: Spec) -> Iterator[str]:
    if spec.name not in MODELS:
        return
    entry = found(spec.name)
    known = {argument.name for argument in entry.arguments}
    if "options" in known:
        known |= set(arguments(ModelOptions))
    yield from (f"no argument '{name}' of '{spec.name}'" for name in spec.kwargs if name not in known)
    for inside in spec.args:
        yield from _spec(inside)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_of_a_page_exist(page: Path) -> None:
    wrong = [f"line {line}: {fault}" for line, words in shown(page) for fault in faults(words)]
    assert not wrong, "\n".join(wrong)


def _every_option(command: click.Command, context: click.Context) -> set[str]:
    names = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    for inside in command.list_commands(context) if isinstance(command, click.Group) else ():
        names |= _every_option(command.get_command(context, inside), context)
    return names | {"--help"}


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_that_prose_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    code = " ".join(match[1] for match in INLINE.finditer(FENCE.sub("", text))) if page.suffix == ".md" else text
    known = _every_option(cli, click.Context(cli)) | set(FOREIGN)
    assert set(OPTION.findall(code)) <= known


def test_the_check_finds_what_is_wrong() -> None:
    for text, said in (
        ("run bm25 --mixes parallel", "no option '--mixes' of 'run'"),
        ("rnu bm25", "no command 'rnu' in 'mimo-eval'"),
        ("data fetsh mini", "no command 'fetsh' in 'data'"),
        ("cache ls | verfy", "no command 'verfy'"),
        ("run bm25 --dtype float8", "--dtype is not 'float8'"),
        ("run bm25 -b miracl-hn", "no benchmark 'miracl-hn'"),
        ("run 'rrf(bm25(k2=1), hashing)'", "no argument 'k2' of 'bm25'"),
        ("data show mini maxi", "'show' takes 1 arguments, not 2: mini maxi"),
    ):
        assert list(faults(shlex.split(text))) == [said]
    right = "run bm25 MODEL 'lir(hashing, device=cpu)' --mix 'away(seed=1)' -b my.yaml --data FOLDER --format json"
    assert list(faults(shlex.split(right))) == []


def test_command_lines_are_found_wherever_they_stand(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    block = "```bash\nA=b mimo-eval run x \\\n  --depth 5  # why\ncd y && mimo-eval data list > z\npip install mimo-eval\n```\n"
    page.write_text(f"Try `mimo-eval cache\nls | gc`, not mimo-eval.\n{block}`python -m mimo_eval.cli.main train a`", "utf-8")
    assert [(line, " ".join(words)) for line, words in shown(page)] == [
        (3, "run x --depth 5"),
        (3, "data list"),
        (1, "cache ls | gc"),
        (9, "train a"),
    ]
