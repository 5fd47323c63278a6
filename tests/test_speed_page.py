"""The table against peers: its page is its record, its ratios are what they say, and all sides read the same texts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
if (ROOT / "benchmarks" / "speed").is_dir():
    sys.path.append(str(ROOT))
else:
    pytest.skip("only in the repository", allow_module_level=True)

from benchmarks.speed import harness, page, peers, xquad  # noqa: E402
from benchmarks.speed.harness import Finding, Row  # noqa: E402
from benchmarks.speed.rows import NAMES  # noqa: E402
from mimo_eval.benchmark import Benchmark, Task  # noqa: E402
from mimo_eval.collections import load  # noqa: E402
from mimo_eval.evaluation import run  # noqa: E402
from mimo_eval.mixing import Mix, pools  # noqa: E402
from mimo_eval.models.hashing import HashingEncoder  # noqa: E402

MACHINE = {
    **{"cpus": 2, "cpu": "a processor", "memory_GiB": 24.0, "gpu": None, "python": "3.11.7"},
    **{"versions": {"torch": "2.13.0"}, "environment": {"OMP_NUM_THREADS": None, "OMP_WAIT_POLICY": "PASSIVE"}},
}


def record(*findings: dict, quick: bool = False) -> dict:
    rows = [Row(2, "second", "a peer")._asdict(), Row(1, "first", "a peer")._asdict()]
    some = {"rows": rows, "quick": quick, "date": "2026-01-31", "machine": MACHINE, "findings": [*findings]}
    return {"rows": {"some": some}}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "cache"))


# ---- the page


def test_the_committed_page_is_the_rendering_of_the_committed_record():
    kept = json.loads(page.RESULTS.read_text("utf-8"))
    text = page.PAGE.read_text("utf-8")
    assert page.page(text, kept) == text


def test_the_committed_record_is_of_rows_that_exist():
    for name, module in json.loads(page.RESULTS.read_text("utf-8"))["rows"].items():
        numbers = {row.number for row in import_module(f"benchmarks.speed.rows.{name}").ROWS}
        assert {row["number"] for row in module["rows"]} == numbers
        assert {finding["row"] for finding in module["findings"]} <= numbers
        assert all(finding["values"] for finding in module["findings"])


TWO = {"row": 2, "name": "ours / theirs", "values": [0.5, 0.75, 0.25], "goal": 0.4, "detail": {"texts": "1,000"}}
ONE = {"row": 1, "name": "share", "values": [1234.5], "unit": "%"}


def test_a_table_has_a_line_per_figure_in_the_order_of_the_rows():
    assert page.table(record(TWO, ONE)).splitlines()[2:] == [
        "| 1 | share | 1,234 % (one run) | – |  |",
        "| 2 | ours / theirs | 0.5 × (0.25 to 0.75) **missed** | ≤ 0.4 × | texts 1,000 |",
    ]


def test_the_summary_has_the_figures_with_a_goal_or_the_first():
    goals = (1, None), (2, 4.0), (2, None)
    more = [{"row": row, "name": "more", "values": [3.0], "goal": goal, "unit": ""} for row, goal in goals]
    assert page.summary(record(TWO, ONE, *more)).splitlines()[2:] == [
        "| 1 | first | a peer | share | 1,234 % | – |",
        "| 2 | second | a peer | ours / theirs | 0.5 × **missed** | ≤ 0.4 × |",
        "| | | | more | 3 | ≤ 4 |",
    ]


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"ours": "[5.07, 4.3] s", "MiB": [526, 790]}, "ours 5.07, 4.3 s; MiB 526, 790"),
        ({"largest": {"build": "32.9 s", "mix": "0.2 s"}}, "largest: build 32.9 s; mix 0.2 s"),
        ({"texts": 2000, "device": "cpu"}, "texts 2000; device cpu"),
    ],
)
def test_details_are_shown_without_the_marks_of_python(detail, said):
    assert page.plain(detail) == said


def test_the_committed_page_shows_no_python():
    assert not re.search(r"\[[\d., ]+\](?!\()|\{'", page.PAGE.read_text("utf-8"))


def test_a_row_without_figures_says_so():
    assert "| 1 | first | a peer | not measured | |  |" in page.summary(record()).splitlines()


def test_the_page_says_what_was_measured_at_small_sizes():
    assert "| 1 | first *(small size, `--quick`)* | a peer |" in page.summary(record(quick=True))
    assert page.made(record()) == "Measured 2026-01-31: 1, 2."
    assert page.made(record(quick=True)) == "Measured 2026-01-31 with `--quick`: 1, 2."


def test_rows_are_attributed_to_the_machine_that_they_were_measured_on():
    several = record()
    for name, number, gpu in (("here", 4, None), ("there", 3, "a GPU")):
        rows = [Row(number, name, "a peer")._asdict()]
        several["rows"][name] = several["rows"]["some"] | {"rows": rows, "machine": MACHINE | {"gpu": gpu}}
    first, second = page.machines(several).split("\n\n")
    assert first.startswith("Machine of 1, 2, 4: 2 cores (a processor), 24.0 GiB, no GPU; ")
    assert second.startswith("Machine of 3: 2 cores (a processor), 24.0 GiB, a GPU; ")


def test_a_row_that_failed_does_not_keep_its_older_figures(data, tmp_path, monkeypatch):
    from benchmarks.speed import __main__ as command

    def measured(name, settings):
        if name == "encoding":
            raise RuntimeError("it fails")
        return {"rows": [], "findings": [], "name": name}

    old = {name: record()["rows"]["some"] for name in ("encoding", "cluster", "mixed")}
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")
    command.RESULTS.write_text(json.dumps({"rows": old}), "utf-8")
    written = []
    monkeypatch.setattr(command, "write_page", written.append)
    monkeypatch.setattr(command, "measured_rows", measured)
    monkeypatch.setattr(command, "PEERS", ())
    monkeypatch.setattr(sys, "argv", ["speed", "--rows", "encoding,mixed", "--write", "--data", str(data)])
    with pytest.raises(SystemExit, match="failed: encoding"):
        command.main()
    rows = written[0]["rows"]
    assert set(rows) == {"cluster", "mixed"} and rows["cluster"] == old["cluster"] and rows["mixed"]["name"] == "mixed"


def test_a_cluster_of_two_is_not_compared_with_one_core(monkeypatch):
    torch = pytest.importorskip("torch")
    from benchmarks.speed.rows import cluster

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    with pytest.raises(RuntimeError, match="unset OMP_NUM_THREADS"):
        next(cluster.measure(harness.Settings(True, 1, Path())))


def test_only_what_lies_between_the_marks_changes():
    text = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    new = page.page(text, record())
    assert new.startswith(f"before\n{page.BEGIN}\n{page.SUMMARY}\n") and page.HEAD in new
    assert new.endswith(f"OMP_WAIT_POLICY=PASSIVE.\n{page.END}\nafter\n")
    assert "old" not in new and page.page(new, record()) == new


# ---- numbers


def test_ratios_are_taken_repeat_by_repeat():
    values = harness.ratios([1.0, 6.0, 2.0], [2.0, 3.0, 8.0])
    assert values == [0.5, 2.0, 0.25]
    assert Finding(1, "a", values).middle == 0.5
    assert Finding(1, "a", values, goal=0.5).reached is True
    assert Finding(1, "a", values, goal=0.49).reached is False
    assert Finding(1, "a", values).reached is None


def test_an_unequal_number_of_repeats_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        harness.ratios([1.0], [1.0, 2.0])


def test_jobs_are_run_in_turn_and_the_order_turns():
    seen = []
    seconds = harness.in_turn(3, a=lambda: seen.append("a"), b=lambda: seen.append("b"))
    assert "".join(seen) == "abbaab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux")
def test_the_peak_of_a_process_is_its_own_and_not_its_parent_s():
    held = b"\1" * (300 * 2**20)
    child = harness.in_child("benchmarks.speed.harness:rounded", seconds=[1.234])
    assert child.value == [1.23] and child.peak < len(held)


def test_times_of_sides_that_disagree_are_not_compared():
    peers.agree({"a": 0.5, "b": 0.25}, {"b": 0.25005, "a": 0.5}, "somebody")
    with pytest.raises(RuntimeError, match=r"b here and by somebody differ by 0\.001"):
        peers.agree({"a": 0.5, "b": 0.25}, {"a": 0.5, "b": 0.251}, "somebody")
    with pytest.raises(RuntimeError, match="'c'"):
        peers.agree({"a": 0.5}, {"a": 0.5, "c": 0.5}, "somebody")
    with pytest.raises(RuntimeError, match="differ by nan"):
        peers.agree({"a": 0.5}, {"a": float("nan")}, "somebody")


# ---- modules


@pytest.mark.parametrize("name", NAMES)
def test_every_module_says_what_it_measures(name):
    module = import_module(f"benchmarks.speed.rows.{name}")
    assert all(isinstance(row, Row) for row in module.ROWS) and module.ROWS
    assert callable(module.measure)


def test_the_rows_have_numbers_of_their_own():
    numbers = [row.number for name in NAMES for row in import_module(f"benchmarks.speed.rows.{name}").ROWS]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "/nowhere"], "/nowhere/xquad-r is no folder; give the folder that holds XQuAD-R's with --data"),
        (["--rows", "mixed,speed"], "unknown: speed; choose of: mixed, "),
    ],
)
def test_what_is_wrong_with_a_command_is_said_in_a_line(arguments, said):
    command = [sys.executable, "-m", "benchmarks.speed", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode and said in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


# ---- cuts of XQuAD-R, here of two invented articles


def invented(folder: Path, articles: int = 2) -> Path:
    """Write questions and paragraphs in two languages, two paragraphs an article, as XQuAD's files have them."""
    folder.mkdir(parents=True)
    for lang in ("de", "en"):
        paragraphs = [
            [
                {
                    "context": f"{lang} paragraph a{article} n{number}",
                    "qas": [
                        {"id": f"q{article}{number}{which}", "question": f"{lang} question a{article} n{number} w{which}"}
                        for which in range(3)
                    ],
                }
                for number in range(2)
            ]
            for article in range(articles)
        ]
        content = {"data": [{"paragraphs": of} for of in paragraphs]}
        (folder / f"xquad.{lang}.json").write_text(json.dumps(content), "utf-8")
    return folder.parent


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(xquad, "LANGUAGES", ("de", "en"))
    return invented(tmp_path / "data" / "xquad-r")


def test_a_cut_has_whole_paragraphs_with_their_questions_in_all_languages(data, tmp_path):
    cut = xquad.Cut.of(data, tmp_path / "cut", 2)
    assert cut.size == {"documents": 4, "queries": 12}
    assert {text.group for text in cut.documents()} == {"xq00-1", "xq01-1"}
    assert set(cut.answers().values()) == {"xq00-1", "xq01-1"} and len(cut.answers()) == 6
    assert len(cut.texts()) == 16
    collection = load("xquad-r", data=cut.folder)
    assert (len(collection.documents), len(collection.queries)) == (4, 12)


def test_a_cut_can_lack_some_documents(data, tmp_path):
    whole, less = xquad.Cut.of(data, tmp_path / "a"), xquad.Cut.of(data, tmp_path / "b", without=4)
    assert (whole.size["documents"], less.size["documents"], less.size["queries"]) == (8, 6, 24)
    assert {text.id for text in less.documents()} < {text.id for text in whole.documents()}


def test_a_peer_gets_every_version_of_the_answer(data, tmp_path):
    cut = xquad.Cut.of(data, tmp_path / "cut")
    (_, mixed), (_, across) = xquad.asked_of(cut, {"all": (("de", "en"),) * 2, "de-en": (("de",), ("en",))})
    assert mixed.relevant["q000-de"] == ["xq00-0-de", "xq00-0-en"]
    assert across.relevant["q000-de"] == ["xq00-0-en"]
    assert {query.lang for query in across.queries} == {"de"} and {text.lang for text in across.documents} == {"en"}


def test_the_corpora_of_a_peer_are_those_of_the_mixes(data, tmp_path, monkeypatch):
    monkeypatch.setattr(xquad, "LANGUAGES", ("de", "en"))
    collection = load("xquad-r", data=xquad.Cut.of(data, tmp_path / "cut").folder)
    made = [pool for kind in ("monolingual", "cross-lingual", "bilingual") for pool in pools(collection, Mix.parse(kind))]
    assert [f"{pool.mix} {pool.name}" for pool in made] == list(xquad.all_settings())[1:]


def test_eleven_languages_have_132_corpora():
    assert len(xquad.all_settings()) == 1 + 11 + 110 + 10


def test_scores_are_given_per_corpus(data):
    tasks = (Task(collection="xquad-r", mixes=("parallel", "cross-lingual")),)
    benchmark = Benchmark(name="speed", tasks=tasks, measures=("nDCG@10",))
    result = run(HashingEncoder(), benchmark, data=data / "xquad-r").result
    scores = peers.scores_of(result, "nDCG@10")
    assert list(scores) == ["parallel", "cross-lingual de-en", "cross-lingual en-de"]
    assert scores["parallel"] == pytest.approx(result.settings[0].scores["nDCG@10"], abs=1e-12)


def test_a_cache_is_set_for_a_while_only(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMO_EVAL_CACHE", "before")
    with peers.empty_cache(tmp_path) as first, peers.empty_cache(tmp_path) as second:
        assert first != second and not list(second.iterdir())
    assert harness.os.environ["MIMO_EVAL_CACHE"] == "before"
    monkeypatch.delenv("MIMO_EVAL_CACHE")
    with peers.cache_at(tmp_path):
        pass
    assert "MIMO_EVAL_CACHE" not in harness.os.environ


# ---- all sides on the same model and files


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A model of sentence-transformers that adds up vectors of words."""
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    from mimo_eval.models.dense import SentenceTransformerEncoder

    words = ["[UNK]", "de", "en", "paragraph", "question", "n0", "n1", "w0", "w1", "w2"]
    words += [f"a{article}" for article in range(6)]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(words), 8), np.float32)
    folder = str(tmp_path_factory.mktemp("static") / "model")
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights), Normalize()], device="cpu").save(folder)
    return SentenceTransformerEncoder(folder, device="cpu")


@pytest.fixture
def cut(data, tmp_path):
    return xquad.Cut.of(data, tmp_path / "cut")


@pytest.mark.slow
def test_mteb_scores_every_corpus_as_we_do(cut, encoder, monkeypatch):
    pytest.importorskip("mteb")
    monkeypatch.setattr(xquad, "LANGUAGES", ("de", "en"))
    corpora = xquad.all_settings()
    ours = peers.ours(encoder, cut.folder, ("parallel", "monolingual", "cross-lingual", "bilingual"))
    theirs = peers.mteb(encoder.encoder, peers.mteb_task(cut, corpora), 4)
    assert len(theirs) == 1 + 2 + 2 + 1 and 0 < min(theirs.values()) < 1
    peers.agree(peers.scores_of(ours.result, "nDCG@10"), theirs, "MTEB")


@pytest.mark.slow
def test_the_evaluator_has_our_values_of_all_its_measures(cut, encoder):
    theirs = peers.evaluator(encoder.encoder, cut, 4)
    result = peers.ours(encoder, cut.folder, measures=tuple(theirs)).result
    peers.agree({name: peers.scores_of(result, name)["parallel"] for name in theirs}, theirs, "the evaluator")
    assert 0 < theirs["nDCG@10"] < 1


@pytest.mark.slow
def test_beir_takes_saved_vectors_for_those_of_any_documents(tmp_path, encoder, monkeypatch):
    pytest.importorskip("beir")
    monkeypatch.setattr(xquad, "LANGUAGES", ("de", "en"))
    data = invented(tmp_path / "larger" / "xquad-r", articles=6)
    first, then = (xquad.Cut.of(data, tmp_path / name, without=number) for name, number in (("a", 2), ("b", None)))
    scores = [
        peers.beir(encoder.encoder, cut, 4, tmp_path, overwrite=overwrite)["parallel"]
        for cut, overwrite in ((first, False), (then, False), (then, True))
    ]
    ours = [peers.scores_of(peers.ours(encoder, cut.folder).result, "nDCG@10")["parallel"] for cut in (first, then)]
    assert scores[0] == pytest.approx(ours[0], abs=1e-4) and scores[2] == pytest.approx(ours[1], abs=1e-4)
    assert abs(scores[1] - ours[1]) > 0.01
