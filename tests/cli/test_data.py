"""`mimo-eval data` and `benchmarks show`: what is said before a download, what is here, and exit codes."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hub import Hub

from mimo_eval.cli.main import cli
from mimo_eval.errors import ConfigError, DataError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PARAGRAPHS = {"en": ["One.", "Two."], "zh": ["一。", "二。"]}


@pytest.fixture(params=[0, 10**6], ids=["large files, elsewhere", "small files, in git"])
def hub(request, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from huggingface_hub import constants

    from mimo_eval.collections import remote_of

    for lang, contexts in PARAGRAPHS.items():
        rows = [{"id": f"q{n}", "context": context, "question": f"{n}?"} for n, context in enumerate(contexts)]
        path = tmp_path / "hub" / "datasets" / "google" / "xquad" / f"xquad.{lang}" / "validation-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
    with Hub(tmp_path / "hub", lfs_over=request.param) as server:
        server.commits["google/xquad"] = remote_of("xquad").repos[0].revision
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server


def run(*arguments):
    return CliRunner().invoke(cli, arguments)


def test_a_collection_is_fetched_shown_and_removed(hub, cache):
    said = run("data", "fetch", "xquad", "--languages", "en,zh", "--dry-run").stdout
    assert "to download of" in said and "licence CC BY-SA 4.0" in said and "2 of 2 files" in said
    assert not hub.asked(".parquet")
    assert "not fetched" not in run("data", "where", "xquad", "--languages", "en,zh").stdout
    done = run("data", "fetch", "xquad", "--languages", "en,zh")
    assert done.exit_code == 0 and "fetching xquad.en/validation-00000-of-00001.parquet" in done.stderr
    where = run("data", "where", "xquad", "--languages", "en,zh").stdout
    folder, repo, count = where.split("  ")
    assert Path(folder).is_dir() and repo == f"google/xquad@{hub.commits['google/xquad']}" and count == "2 of 2 files\n"
    shown = run("data", "show", "xquad", "--languages", "en,zh").stdout
    assert "2 groups of documents, 2 of queries, 2 judgements" in shown
    assert "0 errors, 0 warnings" in run("data", "validate", "xquad", "--languages", "en,zh").stdout
    again = run("data", "fetch", "xquad", "--languages", "en,zh", "--verify")
    assert "0 B to download of" in again.stdout and again.stderr == ""
    removed = run("data", "remove", "xquad", "--languages", "en,zh")
    assert removed.exit_code == 0 and "freed" in removed.stdout and not Path(folder).exists()


def test_a_run_on_a_collection_that_is_not_here_fetches_it(hub, tmp_path):
    (tmp_path / "b.yaml").write_text("name: b\ntasks:\n- {collection: xquad, languages: [en, zh]}\nmeasures: [nDCG@10]\n")
    done = run("run", "bm25", "-b", str(tmp_path / "b.yaml"), "-o", str(tmp_path / "out"))
    assert done.exit_code == 0 and len(hub.asked(".parquet")) == 2


def test_the_list_says_languages_sizes_licences_terms_and_state(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = run("data", "list").stdout
    rows = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert (
        "106,332,152" in rows["miracl"] and "16.2 GB" in rows["miracl"] and "yes" in rows["miracl"] and "not" in rows["miracl"]
    )
    assert "in the package" in rows["mini"] and "--data" in rows["tydiqa"]
    assert rows["belebele"].split()[1:3] == ["122", "59,536"] and "CC BY-SA 4.0" in rows["belebele"]


@pytest.mark.parametrize("name", ["mimo", "mlaire", "miracl", "mmarco", "lareqa", "mini"])
def test_a_benchmark_says_what_it_needs(name):
    done = run("benchmarks", "show", name)
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "protocol: " in said and "source: " in said and "texts to encode: " in said
    expected = {
        "mimo": "texts to encode: at least 1,513,572",
        "mlaire": "licence CC BY-SA 4.0",
        "miracl": "gated: accept its terms, then set HF_TOKEN numbers of what is not here",
        "mmarco": "to download: 56.3 GB; texts to encode: 123,883,242",
        "lareqa": "texts to encode: 26,104",
        "mini": "to download: 0 B; texts to encode: 2,010",
    }
    assert expected[name] in said


def test_a_benchmark_counts_the_data_that_are_given(tmp_path, folders):
    folder = folders(tmp_path / "mine", {"de": {"a": "Haus"}, "en": {"a": "house"}}, {"en": {"q": "house?"}}, {"q": {"a": 1}})
    said = run("benchmarks", "show", str(folder)).stdout
    assert "texts to encode: 3" in " ".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("data", "fetch", "mini"), ConfigError, "'mini' is not downloaded"),
        (("data", "fetch", "xquad", "--languages", "fi"), DataError, "xquad has no texts in fi"),
        (("data", "fetch", "no-such"), ConfigError, "unknown collection 'no-such'"),
        (("data", "fetch", "xquad", "--languages", "en"), DataError, "HF_HUB_OFFLINE is set and google/xquad is not here"),
        (("run", "bm25", "-b", "mlaire"), DataError, "HF_HUB_OFFLINE is set and facebook/belebele is not here"),
        (("data", "show", "hf(org/x)"), DataError, "HF_HUB_OFFLINE is set and org/x is not here"),
    ],
)
def test_what_cannot_be_fetched_is_said(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert isinstance(done.exception, error) and message in str(done.exception)
