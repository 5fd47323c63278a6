"""The page of one result: where the model does well, where it fails, and in which languages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mimo_eval.comparison.stored import locate
from mimo_eval.figures.names import with_name
from mimo_eval.leaderboard.entries import Source, described, read_card
from mimo_eval.leaderboard.failures import Document, Failure, Failures, find_failures
from mimo_eval.leaderboard.page import asset, document
from mimo_eval.leaderboard.tables import count, number
from mimo_eval.leaderboard.text import markup, name, passage
from mimo_eval.measures import direction
from mimo_eval.results import PoolScores, Result, SettingScores, read_result

ONE_LANGUAGE = ("multi-monolingual", "cross-lingual")


def result_page(path: Path, *, mix: str | None = None, worst: int = 20, data: Path | None = None) -> str:
    """Return the page of a result.

    :param path: the JSON file, its folder, or a folder further up that holds one model's results: the newest is taken.
    :param mix: the setting whose failures are shown; the first with one corpus of several languages if None.
    :param worst: how many of the worst queries.
    :param data: folder of the collection's files, for the texts.
    :return: a self-contained HTML page without scripts.
    :raises DataError: if the result or a file beside it is damaged.
    """
    file = locate(path)
    result = read_result(file)
    source = Source(file, result, read_card(file.parent))
    failures = find_failures(file, result, mix=mix, worst=worst, data=data)
    parts = [
        _head(source),
        _section("Scores", _scores(result)),
        *(_section(f"{name(c)}: by query and document language", _pairs(result, c)) for c in _collections(result)),
        *(
            _section(f"Languages of the first ten results, {name(s.mix)}", _composition(s))
            for s in result.settings
            if _mixed(s)
        ),
        *_failures(failures),
    ]
    body = "\n".join(["<main>", *filter(None, parts), "</main>"])
    return document(title=markup(source.name), body=body, styles=asset("base.css") + asset("report.css"))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{markup(title)}</h2>\n{content}</section>" if content else ""


def _bdi(text: object, lang: str = "") -> str:
    given = f' lang="{markup(lang)}"' if lang else ""
    return f'<bdi dir="auto"{given}>{markup(text)}</bdi>'


def _block(tag: str, text: str, lang: str) -> str:
    """Return a text by itself, set in the direction of its own script."""
    return f'<{tag} dir="auto" lang="{markup(lang)}">{markup(text)}</{tag}>'


def _collections(result: Result) -> list[str]:
    return list(dict.fromkeys(setting.collection for setting in result.settings))


def _mixed(setting: SettingScores) -> bool:
    return len(setting.pools) == 1 and bool(setting.pools[0].composition)


def _head(source: Source) -> str:
    result, about = source.result, described(source)
    versions = result.environment.get("versions", {})
    data = "; ".join(f"{name(c['name'])} at revision {name(c['revision'])[:16]}" for c in result.collections)
    facts = {
        "Benchmark": name(result.benchmark.get("title") or result.benchmark["name"]),
        "Data": data,
        "Type": about["kind"],
        "Licence": about["licence"],
        "Parameters": "" if about["parameters"] is None else count(about["parameters"]),
        "Vector width": "" if about["dimension"] is None else str(about["dimension"]),
        **{f"Prompt, {role}": prompt for role, prompt in about["prompts"].items()},
        "Revision": about["revision"],
        "Search": ", ".join(
            f"{name(result.searched)}, recall {found.overall.at_depth:.4f} on {name(found.collection)}"
            for found in result.approximate
        ),
        "Evaluated": f"{name(result.created)[:10]}, mimo-eval {name(versions.get('mimo-eval', 'of unknown version'))}",
    }
    rows = "".join(f"<dt>{markup(k)}</dt><dd>{_bdi(v)}</dd>" for k, v in facts.items() if v)
    return f'<header><h1>{_bdi(source.name)}</h1>\n<dl class="facts">{rows}</dl></header>'


def _scores(result: Result) -> str:
    measures = list(dict.fromkeys(m for s in result.settings for m in s.scores))
    head = "".join(f'<th scope="col" class="number">{markup(name(m))}</th>' for m in measures)
    rows = []
    for setting in result.settings:
        cells = "".join(f'<td class="number">{_score(setting.scores.get(m))}</td>' for m in measures)
        rows.append(f'<tr><th scope="row">{markup(name(setting.mix))}</th>{cells}</tr>')
    return _table("Scores by setting", f'<th scope="col">Setting</th>{head}', rows, "plain")


def _score(value: float | None) -> str:
    return number(value, 3 if value is None or abs(value) < 100 else 0)


def _table(label: str, head: str, rows: Iterable[str], look: str) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{markup(label)}"><table class="{look}">'
        f'<caption class="hidden">{markup(label)}</caption><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _pairs(result: Result, collection: str) -> str:
    settings = [s for s in result.settings if s.collection == collection and s.setting in ONE_LANGUAGE]
    if not settings:
        return ""
    main = settings[0].main
    rows = sorted({q for s in settings for q in s.table})
    columns = sorted({d for s in settings for row in s.table.values() for d in row})
    values = np.full((len(rows), len(columns)), np.nan)
    for setting in settings:
        for query, row in setting.table.items():
            for doc, scores in row.items():
                if scores.get(main) is not None:
                    values[rows.index(query), columns.index(doc)] = scores[main]
    label = f"{name(main)} by language of the query (rows) and of the corpus (columns)"
    return f'<p class="soft">{markup(label)}.</p>' + heat_table(
        label, rows, columns, values, turned=direction(main).value == "lower"
    )


def heat_table(
    label: str, rows: Sequence[str], columns: Sequence[str], values: np.ndarray, *, turned: bool = False, percent: bool = False
) -> str:
    """Return a heat map that is a table.

    :param label: what it shows.
    :param rows: query languages.
    :param columns: document languages.
    :param values: (rows, columns); nan cells are left open.
    :param turned: whether lower is better.
    :param percent: write shares as whole per cent, on a scale from 0 to 1.
    :return: HTML.
    """
    known = values[~np.isnan(values)]
    low, high = (0.0, 1.0) if percent else (known.min(initial=np.inf), known.max(initial=-np.inf))
    head = "<td></td>" + "".join(
        f'<th scope="col" title="{markup(with_name(name(c)))}">{markup(name(c))}</th>' for c in columns
    )
    lines = []
    for lang, row in zip(rows, values, strict=True):
        cells = []
        for value in row:
            if np.isnan(value):
                cells.append('<td class="none">–</td>')
                continue
            place = min(9, max(0, int((value - low) / (high - low or 1) * 10)))
            written = f"{100 * value:.0f}" if percent else number(value, 2).replace("0.", ".", int(abs(value) < 1))
            cells.append(f'<td class="k{9 - place if turned else place}">{written}</td>')
        lines.append(f'<tr><th scope="row">{markup(with_name(name(lang)))}</th>{"".join(cells)}</tr>')
    return _table(label, head, lines, "heatmap")


def _composition(setting: SettingScores) -> str:
    pool = setting.pools[0]
    rows = sorted(pool.composition)
    columns = sorted(pool.documents)
    values = np.array([[pool.composition[q].get(d, 0.0) for d in columns] for q in rows])
    text = (
        "Of a query's first ten results, the share in each language, in per cent. Bars show the query's own language; "
        "the tick is its share of the corpus, what a ranking blind to languages would have."
    )
    label = "Share of the first ten results by language of the query (rows) and of the document (columns), in per cent"
    return f'<p class="soft">{text}</p>' + _own_bars(pool, rows) + heat_table(label, rows, columns, values, percent=True)


def _own_bars(pool: PoolScores, rows: Sequence[str]) -> str:
    """Return bars of the own language's share, with the tick of chance."""
    total, width, height = sum(pool.documents.values()) or 1, 360, 18
    lines = []
    for k, lang in enumerate(rows):
        share, chance = pool.composition[lang].get(lang, 0.0), pool.documents.get(lang, 0) / total
        y = k * height
        lines.append(
            f'<text x="150" y="{y + 13}" text-anchor="end">{markup(with_name(name(lang)))}</text>'
            f'<rect class="track" x="160" y="{y + 3}" width="{width}" height="11" rx="2"/>'
            f'<rect class="own" x="160" y="{y + 3}" width="{share * width:.1f}" height="11" rx="2"/>'
            f'<rect class="chance" x="{158 + chance * width:.1f}" y="{y}" width="4" height="17"/>'
            f'<text x="{160 + width + 8}" y="{y + 13}">{100 * share:.0f} %</text>'
        )
    label = "Share of the query's own language in the first ten results; the table below has the numbers"
    return f'<svg class="bars" role="img" aria-label="{label}" viewBox="0 0 580 {len(rows) * height}">{"".join(lines)}</svg>'


def _failures(found: Failures) -> Iterable[str]:
    if found.languages:
        yield _section(f"Wrong first results, {name(found.mix)}", _confusions(found))
    notes = "".join(f'<p class="notice">{markup(name(note, 400))}</p>' for note in found.notes)
    if not found.worst:
        yield _section("Worst queries", notes)
        return
    text = (
        f"In turn for each query language the worst {name(found.measure)}; no question is shown twice. "
        "Relevant documents are marked with ✓."
    )
    cards = "".join(_failure(failure, found.measure) for failure in found.worst)
    yield _section(f"Worst queries, {name(found.mix)}", f'{notes}<p class="soft">{markup(text)}</p>{cards}')


def _confusions(found: Failures) -> str:
    asked = [k for k in range(len(found.languages)) if not np.isnan(found.wrong[k])]
    rows = [found.languages[k] for k in asked]
    worst = "; ".join(f"{with_name(name(found.languages[k]))} {100 * found.wrong[k]:.0f} %" for k in asked)
    label = "Of queries whose first result is wrong, the share whose first result is in each language, in per cent"
    return (
        f'<p class="soft">{markup(label)}. Rows: language of the query.</p>'
        + heat_table(label, rows, found.languages, found.confusions[asked], percent=True)
        + f'<p class="small">First result wrong or absent: {markup(worst)}.</p>'
    )


def _failure(failure: Failure, measure: str) -> str:
    title = _block("h3", passage(failure.text) or name(failure.query_id), failure.lang)
    found = "".join(map(_document, failure.retrieved)) or '<li class="soft">Nothing was retrieved.</li>'
    missed = "".join(map(_document, failure.missed))
    heading = f"Should have been retrieved ({failure.relevant} relevant in all)"
    return (
        f'<article class="failure">{title}'
        f'<p class="soft small">{markup(with_name(name(failure.lang)))} · {_bdi(name(failure.query_id))} · '
        f"{markup(name(measure))} {number(failure.score)}</p>"
        f'<div class="sides"><div><h4>Retrieved</h4><ol>{found}</ol></div>'
        + (f"<div><h4>{heading}</h4><ul>{missed}</ul></div>" if missed else "")
        + "</div></article>"
    )


def _document(shown: Document) -> str:
    place = "below the list" if shown.rank is None else f"rank {shown.rank}"
    mark = '<span class="right" title="relevant">✓</span> ' if shown.relevant else ""
    text = _block("div", passage(shown.text, 280), shown.lang) if shown.text else ""
    lang = f"{markup(with_name(name(shown.lang)))} · " if shown.lang else ""
    return f'<li>{mark}<span class="soft small">{lang}{place} · {_bdi(name(shown.doc_id))}</span>{text}</li>'
