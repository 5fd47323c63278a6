"""results -> Board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import ir_measures
import numpy as np
import pandas as pd

from mimo_eval import measures as known_measures
from mimo_eval.comparison.pairing import Paired, Side, pair
from mimo_eval.comparison.report import ALSO
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.leaderboard import entries, significance, text
from mimo_eval.leaderboard.entries import Source
from mimo_eval.leaderboard.schema import Board, BoardMeasure, BoardSetting, Entry, Group, Pairs
from mimo_eval.measures import LanguageMeasure, direction
from mimo_eval.results import SettingScores, read_queries

PLACES = 6
PAIRED = ("multi-monolingual", "cross-lingual")
"""Settings whose corpora are one language each: the cells of a table of language pairs."""


def build_board(
    paths: Sequence[Path],
    *,
    title: str = "",
    measures: str | None = None,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
    outside: Sequence[Group] = (),
) -> Board:
    """Make a leaderboard.

    :param paths: results, or folders that hold them; may be empty if there are rankings from outside.
    :param title: its name; that of the benchmark if empty.
    :param measures: those with intervals and tests; if None the main measure of each setting, and LPR where there is one.
    :param level: coverage of the intervals; pairs are tested at 1 less this.
    :param samples: of the bootstrap.
    :param seed: of the bootstrap.
    :param outside: rankings of other tools' results, which come after ours.
    :return: the board.
    :raises ConfigError: if an option makes no sense.
    :raises DataError: if there are no results, or one is damaged.
    """
    if not 0 < level < 1 or samples < 1:
        raise ConfigError("level must lie in (0, 1) and samples be at least 1")
    asked = [str(m) for m in known_measures.parse(measures)] if measures else None
    sources = entries.read_sources(paths)
    groups = entries.grouped(sources)
    made = [_group(group, asked, level, samples, seed) for group in groups]
    _say_differences(made)
    if made:
        made[0].notes += entries.left_out(sources, groups)
    made += outside
    if not made:
        raise DataError("there are no results to build a board from")
    return Board(title=text.name(title or made[0].benchmark), level=level, samples=samples, seed=seed, groups=made)


def _say_differences(groups: Sequence[Group]) -> None:
    first: dict[str, Group] = {}
    for group in groups:
        if first.setdefault(group.benchmark, group) is not group:
            group.differs = entries.differences(first[group.benchmark].protocol, group.protocol)


def _group(sources: Sequence[Source], asked: list[str] | None, level: float, samples: int, seed: int) -> Group:
    sources = _by_score(sources)
    names = entries.labels(sources)
    first = sources[0].result
    mains = [setting.main for setting in first.settings]
    tested = asked or [m for m in dict.fromkeys([*mains, ALSO]) if _has(sources, m)]
    sides = [Side(n, s.path, s.result, read_queries(s.path)) for n, s in zip(names, sources, strict=True)]
    tables = _pair_tables(sources)
    group = Group(
        benchmark=text.name(first.benchmark["name"]),
        title=text.name(first.benchmark.get("title") or ""),
        protocol={text.name(k): text.name(v, 2000) for k, v in entries.protocol(first).items()},
        differs=[],
        notes=_notes(sources),
        measures=[_measure(name) for name in _measure_names(sources)],
        tested=tested,
        settings=[_setting(s) for s in first.settings],
        pairs={name: axes for name, (axes, _) in tables.items()},
        entries=[
            Entry(
                name=name,
                key=text.name(source.result.key, 64),
                created=text.name(source.result.created, 40),
                version=text.name(source.result.environment.get("versions", {}).get("mimo-eval", "")),
                marks=_marks(source, sources),
                scores=[_rounded(s.scores) for s in source.result.settings],
                languages=[_by_language(s) for s in source.result.settings],
                intervals=[{} for _ in first.settings],
                pairs={collection: cells[i] for collection, (_, cells) in tables.items()},
                geometry=_geometry(source),
                **entries.described(source),
            )
            for i, (name, source) in enumerate(zip(names, sources, strict=True))
        ],
    )
    for paired in pair(sides, tested):
        for measure in tested:
            _test(group, paired, measure, level, samples, seed)
    return group


def _by_score(sources: Sequence[Source]) -> list[Source]:
    """Order results by the first setting's main measure, then by name."""
    main = sources[0].result.settings[0].main
    sign = -1 if direction(main).value == "lower" else 1

    def key(source: Source) -> tuple[bool, float, str, str]:
        score = source.result.settings[0].scores.get(main)
        return score is None, 0.0 if score is None else -sign * score, source.name, source.result.created

    return sorted(sources, key=key)


def _has(sources: Sequence[Source], measure: str) -> bool:
    return any(s.scores.get(measure) is not None for source in sources for s in source.result.settings)


def _measure_names(sources: Sequence[Source]) -> list[str]:
    settings = [s for source in sources for s in source.result.settings]
    asked = [str(m) for source in sources for m in source.result.benchmark.get("measures", ())]
    present = {name for s in settings for name in s.scores}
    return [name for name in dict.fromkeys([*asked, *sorted(present)]) if name in present]


def _measure(name: str) -> BoardMeasure:
    answers = ""
    try:
        parsed = known_measures.parse(name)[0]
        answers = parsed.SHORT_DESC if isinstance(parsed, LanguageMeasure) else _meaning(parsed)
    except ConfigError:
        pass  # of a plugin that is not installed here
    return BoardMeasure(name=text.name(name), direction=direction(name).value, answers=text.name(answers, 300))


def _meaning(measure: ir_measures.measures.Measure) -> str:
    return str(getattr(measure, "SHORT_DESC", None) or getattr(measure, "PRETTY_NAME", None) or "")


def _setting(scores: SettingScores) -> BoardSetting:
    cells: dict[str, int] = {}
    for pool in scores.pools:
        for lang in pool.scores:
            cells[lang] = cells.get(lang, 0) + 1
    languages = sorted(cells)
    return BoardSetting(
        collection=text.name(scores.collection),
        setting=text.name(scores.setting),
        mix=text.name(scores.mix),
        main=text.name(scores.main),
        languages=[text.name(lang) for lang in languages],
        cells=[cells[lang] for lang in languages],
        questions=0,
    )


def _notes(sources: Sequence[Source]) -> list[str]:
    versions = {str(s.result.environment.get("versions", {}).get("mimo-eval", "unknown")) for s in sources}
    several = [f"made by several versions of mimo-eval: {', '.join(map(text.name, sorted(versions)))}"]
    return several if len(versions) > 1 else []


def _marks(source: Source, sources: Sequence[Source]) -> list[str]:
    """Say what a reader must see beside the name: prompts, and the same weights run in another way."""
    marks = ["prompts"] if entries.prompts(source) else []
    marks += [f"{source.result.searched} search"] if source.result.approximate else []
    model = source.result.model
    twins = [s for s in sources if s is not source and model.get("revision") and s.result.model.get("name") == model["name"]]
    if any(entries.prompts(twin) != entries.prompts(source) for twin in twins):
        marks.append("the same model with other prompts is here too")
    return marks


def _rounded(scores: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, PLACES) for name, value in scores.items()}


def _by_language(scores: SettingScores) -> dict[str, list[float | None]]:
    """Return each measure's mean by query language, over the corpora that the language was asked of."""
    languages = sorted({lang for pool in scores.pools for lang in pool.scores})
    found: dict[str, list[float | None]] = {}
    for measure in scores.scores:
        cells = [[p.scores[lang].get(measure) for p in scores.pools if lang in p.scores] for lang in languages]
        known = [[v for v in values if v is not None] for values in cells]
        found[measure] = [round(float(np.mean(values)), PLACES) if values else None for values in known]
    return found


def _pair_tables(sources: Sequence[Source]) -> dict[str, tuple[Pairs, list[list[list[float | None]]]]]:
    """Return per collection the axes, and each result's table, of query language by document language."""
    tables: dict[str, tuple[Pairs, list[list[list[float | None]]]]] = {}
    for collection in dict.fromkeys(s.collection for s in sources[0].result.settings):
        chosen = [
            [s for s in source.result.settings if s.collection == collection and s.setting in PAIRED] for source in sources
        ]
        if not chosen[0]:
            continue
        rows = sorted({q for s in chosen[0] for q in s.table})
        columns = sorted({d for s in chosen[0] for row in s.table.values() for d in row})
        measure = chosen[0][0].main
        cells = [[[_pair(settings, q, d, measure) for d in columns] for q in rows] for settings in chosen]
        axes = Pairs(measure=measure, queries=list(map(text.name, rows)), documents=list(map(text.name, columns)))
        tables[text.name(collection)] = axes, cells
    return tables


def _pair(settings: Sequence[SettingScores], query: str, document: str, measure: str) -> float | None:
    for setting in settings:
        value = setting.table.get(query, {}).get(document, {}).get(measure)
        if value is not None:
            return round(value, 4)
    return None


def _geometry(source: Source) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for collection, geometry in source.result.geometry.items():
        values = {
            text.name(name): round(float(value), PLACES)
            for name, diagnostic in (geometry.get("diagnostics") or {}).items()
            if isinstance(value := diagnostic.get("value"), (int, float)) and math.isfinite(value)
        }
        found[text.name(collection)] = values
    return found


def _test(group: Group, paired: Paired, measure: str, level: float, samples: int, seed: int) -> None:
    """Add intervals and tests of one measure in one setting, over all languages and in each."""
    columns = [v[measure].to_numpy(np.float64) if measure in v else np.full(len(v), np.nan) for v in paired.values]
    values = np.stack(columns, axis=1)
    if np.isnan(values).all():
        return
    setting = group.settings[paired.number]
    queries = paired.queries
    lang = queries["lang"].to_numpy()
    cell = pd.factorize(pd.MultiIndex.from_frame(queries[["pool", "lang"]]))[0]
    question = pd.factorize(queries["group"])[0]
    setting.questions = len(set(question.tolist()))
    found, distinct = [], []
    for rows in [np.ones(len(lang), bool), *(lang == language for language in sorted(set(lang.tolist())))]:
        part = significance.Scores(values[rows], cell[rows], question[rows])
        found.append(significance.intervals(part, level=level, samples=samples, seed=seed))
        distinct.append(significance.pack(significance.distinct_pairs(part, level)))
    setting.distinct[measure] = distinct
    for i, entry in enumerate(group.entries):
        ends = [scope[i] for scope in found]
        entry.intervals[paired.number][measure] = [None if e is None else (round(e.low, 5), round(e.high, 5)) for e in ends]
