"""A study's runs: every method on every fold, trained and tested; what is done is not done again."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mimo_eval import environment, evaluation, geometry
from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.digests import digest
from mimo_eval.files import write_json
from mimo_eval.results import QUERIES
from mimo_eval.study.definition import FIRST, GEOMETRY, MEASURES, Study
from mimo_eval.study.encoding import encoder_of
from mimo_eval.study.folds import Fold, write_test
from mimo_eval.study.rows import DATA, Row, per_question, read_row, taken, write_row
from mimo_eval.study.workshop import BRIEF, Tell, Workshop
from mimo_eval.training.fit import StageLog, fit
from mimo_eval.training.methods import load_method

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ENVIRONMENT = ("versions", "python", "cpus", "threads")
"""What a row says of where it was made."""


@dataclass(frozen=True)
class Run:
    """One method on one fold."""

    label: str
    method: str
    fold: Fold


class Tested(NamedTuple):
    """What tests say of a student."""

    scores: dict[str, dict[str, dict[str, float | None]]]
    questions: pd.DataFrame


def run_study(study: Study, folder: Path, data: Path | None = None, tell: Tell = lambda text: None) -> Workshop:
    """Make every row of a study that is not there.

    Several processes may do so at once: each takes rows that no other is at.

    :param study: the study.
    :param folder: for results.
    :param data: folder of data.
    :param tell: told how it goes.
    :return: what the runs share.
    :raises ConfigError: if the study cannot be trained so.
    :raises DataError: if data are missing or wrong.
    """
    shop = Workshop(study, data, tell)
    write_json(folder / DATA, shop.describe())
    runs = [Run(label, method, fold) for label, method in study.runs.items() for fold in shop.folds]
    key = partial(row_key, shop)
    left = [run for run in runs if not _made(folder, run, key(run))]
    if len(left) < len(runs):
        tell(f"{len(runs) - len(left)} of {len(runs)} rows are there")
    start, done = perf_counter(), 0
    for run in left:
        with taken(shop.folder / "locks" / f"{run.label}-{run.fold.number + 1}") as mine:
            if not mine or _made(folder, run, key(run)):
                continue
            write_row(folder, *make(shop, run))
        done += 1
        tell(f"{run.label}, fold {run.fold.number + 1}: done; {done} rows in {perf_counter() - start:,.0f} s")
    return shop


def row_key(shop: Workshop, run: Run) -> str:
    """Return the hash of all that decides a row.

    :param shop: what the runs share.
    :param run: the run.
    :return: the key.
    """
    tests = [str(test.folds is None or run.fold.number < test.folds) for test in shop.study.tests]
    return digest(shop.key, run.method, str(run.fold), *tests)


def _made(folder: Path, run: Run, key: str) -> bool:
    row = read_row(folder, run.label, run.fold.number)
    return row is not None and row.key == key


def missing(study: Study, folder: Path) -> list[str]:
    """Return the rows that are not there, for messages.

    :param study: the study.
    :param folder: of its results.
    :return: such as `mimo/fold-1`.
    """
    folds = range(study.trained or study.folds.count)
    rows = ((label, fold) for label in study.runs for fold in folds)
    return [f"{label}/fold-{fold + 1}" for label, fold in rows if read_row(folder, label, fold) is None]


def make(shop: Workshop, run: Run) -> tuple[Row, pd.DataFrame]:
    """Train and test one method on one fold.

    :param shop: what the runs share.
    :param run: the run.
    :return: the row and the scores per question.
    """
    begin = perf_counter()
    student, logs = train(shop, run)
    trained = perf_counter()
    tested = examine(shop, student, run)
    found = diagnose(shop, student)
    row = Row(
        key=row_key(shop, run),
        label=run.label,
        method=run.method,
        fold=run.fold.number,
        seed=shop.recipe.seed + run.fold.number,
        stages=[asdict(log) for log in logs],
        scores=tested.scores,
        geometry=found,
        seconds={"training": round(trained - begin, 2), "tests": round(perf_counter() - trained, 2)},
        environment={name: value for name, value in environment.describe().items() if name in ENVIRONMENT},
    )
    return row, tested.questions


def train(shop: Workshop, run: Run) -> tuple[SentenceTransformer, list[StageLog]]:
    """Train one method on all folds but one; of stage 1 its end is taken.

    :param shop: what the runs share.
    :param run: the run.
    :return: the student and the log of its stages.
    """
    seed = shop.recipe.seed + run.fold.number
    stages = load_method(run.method).stages(shop.material(shop.training_part(run.fold), seed))
    settings = {stage.name: shop.study.stages[FIRST if stage.name == FIRST else "second"] for stage in stages}
    with TemporaryDirectory(prefix="mimo-eval-study-") as temporary:
        work = Path(temporary)
        if stages[0].name == FIRST:
            shop.first_stage()
            shutil.copytree(shop.folder / "stage-1" / f"1-{FIRST}", work / f"1-{FIRST}")
        student = shop.student()
        return student, fit(student, stages, settings, work, seed=seed, rhythm=BRIEF)


def examine(shop: Workshop, student: SentenceTransformer, run: Run) -> Tested:
    """Score a student on the held-out fold, against the whole corpus, and on the other tests.

    :param shop: what the runs share.
    :param student: the student.
    :param run: which fold is held out.
    :return: means, and scores per question.
    """
    held_out = shop.folder / "folds" / str(run.fold.number + 1)
    with taken(held_out.with_suffix(".lock"), wait=True):
        write_test(shop.collection, run.fold, held_out)
    tests: list[tuple[str, str, Sequence[str], Path | None]] = [
        (shop.collection.name, str(held_out), shop.study.mixes, None),
        *(
            (collection.name, test.collection, test.mixes, data)
            for test, data, collection in shop.tests
            if test.folds is None or run.fold.number < test.folds
        ),
    ]
    encoder, scores, questions = encoder_of(student, shop.tokens), dict[str, Any](), []
    for name, source, mixes, data in tests:
        task, asked = Task(collection=source, mixes=tuple(mixes)), dict.fromkeys(m for mix in mixes for m in MEASURES[mix])
        with TemporaryDirectory(prefix="mimo-eval-study-") as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a mix cannot be measured by is not kept below
            benchmark = Benchmark(name="study", tasks=(task,), measures=tuple(asked))
            outcome = evaluation.run(encoder, benchmark, data=data, output=Path(temporary))
            assert outcome.folder is not None  # an output was given
            queries = pd.read_parquet(outcome.folder / QUERIES)
        for setting in outcome.result.settings:
            wanted = MEASURES[setting.mix]
            scores.setdefault(name, {})[setting.mix] = {measure: setting.scores.get(measure) for measure in wanted}
            questions.append(per_question(queries[queries["mix"] == setting.mix], name, setting.mix, wanted))
    return Tested(scores, pd.concat(questions, ignore_index=True))


def diagnose(shop: Workshop, student: SentenceTransformer) -> dict[str, dict[str, float]]:
    """Measure the vectors of the divided collection's documents.

    :param shop: what the runs share.
    :param student: the student.
    :return: diagnostic to `value` and `standard_error`.
    """
    documents = shop.collection.documents
    texts = documents.read(np.arange(len(documents)))
    vectors = np.asarray(encoder_of(student, shop.tokens).encode(texts, role="document", lang=""), np.float32)
    languages = documents.language.astype(np.int64)
    labelled = geometry.LabelledVectors(vectors, languages, documents.group, documents.languages)
    found = geometry.analyse(labelled, seed=shop.recipe.seed, names=GEOMETRY)["diagnostics"]
    return {name: {part: float(found[name][part]) for part in ("value", "standard_error")} for name in GEOMETRY}
