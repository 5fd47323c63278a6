"""A study's tables, figure and page, written from the scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mimo_eval.figures import Files, ModelPoint, draw_alignment_uniformity
from mimo_eval.files import atomic_write, read_json
from mimo_eval.study.definition import FIRST, GEOMETRY, Study
from mimo_eval.study.rows import DATA
from mimo_eval.study.scores import LEVEL, Comparison, Mean, Scores, frame
from mimo_eval.training.card import table

Key = tuple[str, tuple[str, ...], tuple[str, ...], str]
PAGE = "report.md"
FIGURE = "alignment-uniformity"
NAMES = {"parallel": "mlir", "monolingual": "mono", "cross-lingual": "cross", "union": "union"}
VERDICTS = {1: "agrees", -1: "the reverse came out", 0: "not settled"}
ANSWERS = {1: "yes", -1: "no, the reverse", 0: "not settled"}


def write_report(scores: Scores, folder: Path) -> list[Path]:
    """Write everything that a reader of a study wants.

    :param scores: of the finished runs.
    :param folder: where; tables and figure beside the page.
    :return: the files.
    """
    means, comparisons = scores.means(), scores.comparisons()
    written = []
    for name, content in (("runs", scores.table()), ("scores", frame(means)), ("comparisons", frame(comparisons))):
        written.append(folder / f"{name}.csv")
        with atomic_write(written[-1], "w") as stream:
            content.to_csv(stream, index=False, float_format="%.6g", lineterminator="\n")
    for name, runs in figures(scores).items():
        files = draw(scores, folder / name, runs)
        written += [files.png, files.svg]
    written.append(folder / PAGE)
    with atomic_write(folder / PAGE, "w") as stream:
        stream.write(page(scores, means, comparisons))
    return written


def figures(scores: Scores) -> dict[str, list[str]]:
    """Return the figures and the runs in each: all, and those of the path, which may lie too close together among all."""
    path = [run for run in scores.study.path if run in scores.rows]
    found = {FIGURE: list(scores.rows), f"{FIGURE}-path": path}
    return found if len(path) > 1 else {FIGURE: found[FIGURE]}


def draw(scores: Scores, stem: Path, runs: Sequence[str]) -> Files:
    """Draw alignment against uniformity, with standard errors over folds.

    :param scores: of the finished runs.
    :param stem: path of the files without ending.
    :param runs: which.
    :return: the files.
    """
    points = []
    for run in runs:
        values = [scores.geometry(run, name) for name in GEOMETRY]
        errors = [float(v.std(ddof=1) / math.sqrt(len(v))) if len(v) > 1 else None for v in values]
        points.append(ModelPoint(run, *(float(v.mean()) for v in values), *errors))
    path = [run for run in scores.study.path if run in runs]
    return draw_alignment_uniformity(stem, points, [path] if len(path) > 1 else [], title=f"Documents of {scores.test}")


def page(scores: Scores, means: Sequence[Mean], comparisons: Sequence[Comparison]) -> str:
    """Return the page of a study.

    :param scores: of the finished runs.
    :param means: of those.
    :param comparisons: likewise.
    :return: Markdown.
    """
    study = scores.study
    known = {(c.text, c.plus, c.minus, c.measure): c for c in comparisons}
    arrows = f"; arrows lead along {' → '.join(study.path)}" if len(study.path) > 1 else ""
    parts = [
        f"# {study.title or study.name}",
        f"Written by `mimo-eval study {study.name}` from `rows/`; not edited by hand.",
        study.text.strip(),
        "## How it was done",
        _protocol(scores),
        "## What came out",
        f"Held-out folds of {scores.test}. {_explained(scores)}",
        _runs(scores, means),
        _correlation(scores, means),
        _others(scores, means),
        *(f"![Alignment against uniformity: {', '.join(runs)}]({name}.png)" for name, runs in figures(scores).items()),
        f"Alignment and uniformity of all documents of {scores.test}, lower is better on both axes; bars are standard errors "
        f"over folds{arrows}.",
        "## What was asked",
        _contrasts(study, known) if study.contrasts else "",
        "## What others say" if study.claims else "",
        _claims(study, known) if study.claims else "",
        "## Every run against " + " and ".join(study.against) if study.against else "",
        _against(study, comparisons),
        "## Data" if study.attribution else "",
        study.attribution.strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _protocol(scores: Scores) -> str:
    study, base = scores.study, scores.study.base()
    first, second = study.stages[FIRST], study.stages["second"]
    student = ", ".join(f"{name} {value}" for name, value in base.student.model_dump().items() if value is not None)
    folds = study.trained or study.folds.count
    length = f"{second.steps} steps" if second.steps else f"{second.epochs:g} epochs"
    lines = [
        f"Student: {student}. Teacher: {base.teacher.model if base.teacher else 'none'}.",
        f"Stage 1 is trained once, with seed {base.seed}, and shared by all folds and by all runs that begin with it: batch "
        f"{first.batch_size}, {first.epochs:g} epochs, learning rate {first.lr:g}.",
        f"Stage 2: batch {second.batch_size}, learning rate {second.lr:g}, {length}, for every method and fold.",
        f"{folds} of {study.folds.count} folds, divided by `{study.folds.unit}`, another seed in each. The held-out questions, "
        "in every language, are asked of the whole corpus in all its languages.",
        "Intervals (95 %) are of a bootstrap over questions, p-values of a permutation test in which a question moves with all "
        f"its languages, adjusted by Holm over all comparisons of this page; below {LEVEL} a question counts as settled. They "
        "say how sure a difference is for other questions, given these trained models; in how many folds the runs added "
        "are better says how it goes with other training questions and seeds. Of alignment and uniformity each fold gives one "
        "number: the brackets are least and greatest, and all folds on one side count as settled.",
    ]
    lines += _contamination(scores.folder / DATA)
    if scores.unfinished:
        lines.append(f"Not finished, and not shown: {', '.join(scores.unfinished)}.")
    return "\n".join(f"- {line}" for line in lines)


def _contamination(path: Path) -> list[str]:
    """Return a sentence per kind of training data about text that it shared with a test."""
    if not path.exists():
        return []
    found = []
    for kind, report in read_json(path)["contamination"].items():
        shared = {test: sum(lines.values()) for test, lines in report["matching_lines"].items() if any(lines.values())}
        told = ", ".join(f"{count} with {test}" for test, count in shared.items()) or "none"
        found.append(
            f"Lines of {kind} data that were left out because they share a text or an 8-gram with a test: {told}, of "
            f"{report['training_lines']:,}."
        )
    return found


def _explained(scores: Scores) -> str:
    measures = {measure for _, _, measure in scores.settings}
    told = {
        "LPR": "LPR: how often the version in the query's language comes first of all versions.",
        "OwnShare@10": "OwnShare@10: share of the first ten results in the query's language.",
        "RankDistance": "RankDistance: ranks between the first and the last version of the answer.",
    }
    text = " ".join(sentence for measure, sentence in told.items() if measure in measures)
    return f"mlir: one corpus in all languages; mono and cross: one language each. {text}".strip()


def _runs(scores: Scores, means: Sequence[Mean]) -> str:
    known = {(m.run, m.mix, m.measure): m for m in means if m.test == scores.test}
    columns = [(mix, measure) for test, mix, measure in scores.settings if test == scores.test]
    rows = []
    for run, found in scores.rows.items():
        trained = [(stage["steps"], stage["seen"]) for stage in found[0].stages]
        steps, seen = (" + ".join(f"{stage[i]:,}" for stage in trained) for i in (0, 1))
        cells = [_mean(known.get((run, *key)), key == columns[0]) for key in columns]
        space = [f"{scores.geometry(run, name).mean():.3f}" for name in GEOMETRY]
        rows.append((run, f"`{found[0].method}`", steps, seen, *cells, *space))
    names = (f"{NAMES[mix]} {measure}" for mix, measure in columns)
    return table(("run", "method", "steps", "rows seen", *names, *GEOMETRY), rows)


def _correlation(scores: Scores, means: Sequence[Mean]) -> str:
    """Return how effectiveness goes with the preference for the query's language, over the runs."""
    known = {(m.run, m.mix, m.measure): m.mean for m in means if m.test == scores.test}
    pairs = [[known.get((run, "parallel", measure)) for measure in ("nDCG@20", "LPR")] for run in scores.rows]
    values = np.array([pair for pair in pairs if None not in pair], np.float64).reshape(-1, 2)
    if len(values) < 3 or not values.std(axis=0).all():
        return ""
    z = (values - values.mean(axis=0)) / values.std(axis=0)
    r = float((z[:, 0] * z[:, 1]).mean())
    return f"Over the {len(values)} runs, mlir nDCG@20 and LPR correlate with r = {r:.2f} (Pearson)."


def _others(scores: Scores, means: Sequence[Mean]) -> str:
    """Return the other tests."""
    known = {(m.run, m.test, m.mix, m.measure): m for m in means}
    columns = [setting for setting in scores.settings if setting[0] != scores.test]
    if not columns:
        return ""
    firsts = {test: (test, mix, measure) for test, mix, measure in reversed(columns)}.values()
    rows = [(run, *(_mean(known.get((run, *key)), key in firsts) for key in columns)) for run in scores.rows]
    few = [f"{t.collection} by the models of the first {t.folds} fold(s) only" for t in scores.study.tests if t.folds]
    note = f" {'; '.join(few)}." if few else ""
    head = ("run", *(f"{test}, {NAMES[mix]} {measure}" for test, mix, measure in columns))
    return f"Tests that no run was trained on, mean of the folds' models.{note}\n\n" + table(head, rows)


def _mean(mean: Mean | None, interval: bool) -> str:
    if mean is None:
        return "–"
    digits = 1 if mean.measure == "RankDistance" else 3
    text = f"{mean.mean:.{digits}f}"
    return f"{text} [{mean.low:.{digits}f}, {mean.high:.{digits}f}]" if interval else text


def _contrasts(study: Study, known: dict[Key, Comparison]) -> str:
    rows = []
    for contrast in study.contrasts:
        found = known.get((contrast.text, contrast.plus, contrast.minus, contrast.measure))
        cells = (*_numbers(found), ANSWERS[found.verdict]) if found else ("–", "–", "–", "not run")
        rows.append((contrast.text, _formula(contrast.plus, contrast.minus), _what(contrast.mix, contrast.measure), *cells))
    return table(("question", "difference", "of", "came out", "folds", "p (Holm)", "answer"), rows)


def _claims(study: Study, known: dict[Key, Comparison]) -> str:
    rows = []
    for claim in study.claims:
        found = known.get((claim.text, claim.plus, claim.minus, claim.measure))
        cells = (*_numbers(found), VERDICTS[found.verdict]) if found else ("–", "–", "–", "not run")
        difference = f"{_formula(claim.plus, claim.minus)}, {_what(claim.mix, claim.measure)}"
        rows.append((claim.text, claim.source, claim.published or "no number known", difference, *cells))
    return table(("claim", "source", "published", "here", "came out", "folds", "p (Holm)", "reading"), rows)


def _against(study: Study, comparisons: Iterable[Comparison]) -> str:
    tested = [c for c in comparisons if c.minus[0] in study.against and c.text == f"{c.plus[0]} against {c.minus[0]}"]
    rows = [(c.test, _formula(c.plus, c.minus), _what(c.mix, c.measure), *_numbers(c)) for c in tested]
    return table(("test", "difference", "of", "came out", "folds", "p (Holm)"), rows) if rows else ""


def _formula(plus: Sequence[str], minus: Sequence[str]) -> str:
    return " + ".join(plus) + " − " + " − ".join(minus)


def _what(mix: str, measure: str) -> str:
    return measure if measure in GEOMETRY else f"{NAMES[mix]} {measure}"


def _numbers(c: Comparison) -> tuple[str, str, str]:
    """Return difference with interval, folds in which what is added is better, and the adjusted p-value."""
    digits = 1 if c.measure == "RankDistance" else 4
    difference = f"{c.difference:+.{digits}f} [{c.low:+.{digits}f}, {c.high:+.{digits}f}]"
    p = "–" if math.isnan(c.p) else "< .001" if c.p_holm < 0.001 else f"{c.p_holm:.3f}"
    return difference, f"{c.better} of {c.folds}", p
