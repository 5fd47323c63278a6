"""The pages do what they say: their Python runs and gives their numbers, their tables and links are true."""

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

import mimo_eval
from mimo_eval.geometry import DIAGNOSTICS
from mimo_eval.measures import registry
from mimo_eval.mixing import SETTINGS, Mix
from mimo_eval.models.describing import listed as listed_models
from mimo_eval.reference import listed
from mimo_eval.results import read_queries

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def text(name):
    return (ROOT / "docs" / name).read_text("utf-8")


def blocks(page, language):
    """Return (line, code) of every fenced block of a language."""
    return [(page[: m.start(2)].count("\n"), m[2]) for m in FENCE.finditer(page) if m[1] == language]


def sections():
    """Return the level-three sections of the page on measures by the measures they name."""
    parts = re.split(r"^### (.+)$", text("measures.md"), flags=re.M)
    bodies = [re.split(r"^## ", body, flags=re.M)[0] for body in parts[2::2]]
    return {name: body for title, body in zip(parts[1::2], bodies, strict=True) for name in title.split(", ")}


def slug(heading):
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ["measures.md", "python.md", "traps.md"])
def test_python_of_a_page_gives_the_numbers_it_shows(name, tmp_path, monkeypatch):
    """All blocks of a page share one namespace, as for a reader who goes through it from the top."""
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    space, report = {}, []
    runner = doctest.DocTestRunner(verbose=False)
    for line, code in blocks(text(name), "python"):
        if ">>>" in code:
            examples = doctest.DocTestParser().get_doctest(code, space, name, name, line)
            runner.run(examples, out=report.append, clear_globs=False)
            space.update(examples.globs)
        else:
            exec(compile(code, name, "exec"), space)
    assert runner.tries > 5
    assert not report, "".join(report)


def test_every_measure_has_a_section():
    named = sections()
    assert set(registry) | set(DIAGNOSTICS) <= set(named)


@pytest.mark.parametrize("name", sorted({*registry, *DIAGNOSTICS}))
def test_a_section_says_all_that_is_promised(name):
    body = sections()[name]
    direction = r"[Bb]etter|\*\*(higher|lower|near)"
    for part in (r"\*\*Answers\.", r"\*\*Range", direction, r"\*\*Needs", r"\*\*Misleads", r"\*\*Source\."):
        assert re.search(part, body), f"{name} lacks {part}"
    assert ">>>" in body, f"{name} lacks an example"


def test_the_table_of_measures_is_that_of_the_command():
    rows = re.findall(r"^\| \[`(.+?)`\]\(#(.+?)\) \| (.+?) \| (.+?) \| (.+?) \| (.*?) ?\|$", text("measures.md"), re.M)
    written = {name: (answers, better, needs) for name, _, answers, _, better, needs in rows}
    assert written == {entry.name: (entry.answers, entry.better, ", ".join(entry.needs)) for entry in listed()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    content = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", found.read_text("utf-8")), re.M)
            assert anchor in map(slug, headings), f"{page.name}: {target}"


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["models.md", "results.md"])
def test_tables_are_made_of_the_declarations(tables, name):
    assert tables.filled(text(name)) == text(name), "python docs/tables.py writes them anew"
    emptied = tables.MARK.sub(lambda match: f"{match[0].splitlines()[0]}\n<!-- end -->", text(name))
    assert tables.filled(emptied) == text(name) != emptied


def test_the_schema_is_that_of_the_code(tables):
    assert tables.SCHEMA.read_text("utf-8") == tables.schema(), "python docs/tables.py writes it anew"


def test_every_field_of_a_result_and_every_part_of_it_is_described(tables):
    described = [getattr(tables.results, name) for what, name, _ in tables.MARK.findall(text("results.md")) if what == "fields"]
    assert len(described) == 5
    assert all(field.description for model in described for field in model.model_fields.values())


def test_every_model_with_arguments_has_a_table(tables):
    shown = {name for what, name, _ in tables.MARK.findall(text("models.md")) if what == "arguments"}
    for entry in listed_models():
        names = {argument.name for argument in tables.found(entry.name).arguments} - {"options"}
        assert entry.name in shown or (not names and f"`{entry.name}`" in text("models.md")), entry.name


MINE = {
    "my_encoder": "my_encoder:MyEncoder",
    "my_retriever": "my_retriever:MyRetriever",
    "my_translator": "translate(my_retriever:MyRetriever, my_translator:MyTranslator)",
}


def test_models_of_one_s_own_are_evaluated(tmp_path, monkeypatch):
    """The examples are short, are written as they stand into modules, and find what shares words with a question."""
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for _, code in blocks(text("models.md"), "python"):
        name = re.match(r"# (\w+)\.py\n", code)[1]
        body = code[code.index("class ") :].strip()
        assert len(body.splitlines()) <= 15, name
        (tmp_path / f"{name}.py").write_text(code, "utf-8")
    assert {path.stem for path in tmp_path.glob("*.py")} == set(MINE)
    for model in MINE.values():
        table = mimo_eval.evaluate(model, "mini", languages="de,en", mixes="monolingual", measures="nDCG@10")
        assert table["nDCG@10"].between(0.3, 1).all(), model


def test_a_result_is_read_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    benchmark = mimo_eval.load_benchmark("mini", languages="de,en", mixes="parallel", measures="nDCG@20")
    outcome = mimo_eval.run("bm25", benchmark, output=tmp_path / "results", save_runs=True)
    space = {}
    for _, code in blocks(text("results.md"), "python"):
        exec(compile(code, "results.md", "exec"), space)
    columns = re.findall(r"^\| `(\w+)` \|", text("results.md").split("## queries.parquet")[1], re.M)
    assert [*columns, "nDCG@20"] == list(read_queries(outcome.folder).columns) == list(space["scores"].columns)
    runs = sorted(path.name for path in (outcome.folder / "runs").iterdir())
    assert runs == ["mini.parallel.qrels.gz", "mini.parallel.trec.gz"]


def test_the_mixes_of_the_page_are_those_there_are():
    mixes, options = text("data.md").split("## Mixes")[1].split("## Your own")[0].split("| option |")
    assert dict(re.findall(r"^\| `([\w-]+)` \| ([\w-]+) \|", mixes, re.M)) == SETTINGS
    settings = (ROOT / "README.md").read_text("utf-8").split("## What the settings mean")[1]
    written = re.findall(r"^\| ([\w-]+) \| (`.+?`) \|", settings, re.M)
    for setting, mixes in written:
        assert {Mix.parse(mix).setting for mix in re.findall(r"`(.+?)`", mixes)} == {setting}
    assert {setting for setting, _ in written} == set(SETTINGS.values())
    for option, of in re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", options, re.M):
        for kind in SETTINGS if of.strip() == "all" else re.findall(r"`([\w-]+)`", of):
            Mix.parse(f"{kind}({option})")


def test_every_extra_is_in_the_readme():
    tomllib = pytest.importorskip("tomllib")
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    table = (ROOT / "README.md").read_text("utf-8").split("| extra | what for |")[1].split("\n\n")[0]
    named = {name for cell in re.findall(r"^\| (`.+?) \|", table, re.M) for name in re.findall(r"`([\w-]+)`", cell)}
    assert named == extras - {"all", "browser", "dev", "speed"}  # the last three are for work on mimo-eval


def test_the_size_of_the_board_is_as_said():
    said = int(re.search(r"One file, (\d+) kB for the board of `mini`", text("leaderboard.md"))[1])
    assert (ROOT / "leaderboards" / "mini" / "index.html").stat().st_size == pytest.approx(said * 1000, rel=0.1)
