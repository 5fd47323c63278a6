from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mimo_eval import measures
from mimo_eval.benchmark import DEFAULT_MEASURES, Benchmark, Task, data_folder, load_benchmark, names, read_benchmark
from mimo_eval.collections import remote_of
from mimo_eval.errors import ConfigError
from mimo_eval.mixing import SETTINGS

SMALL = "name: small\ntasks:\n- collection: mini\n"


def refused(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "b.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_benchmark(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_the_package_brings_its_benchmarks_and_each_covers_every_setting() -> None:
    assert {"mini", "xquad-r"} <= set(names())
    for name in ("mini", "xquad-r"):
        benchmark = load_benchmark(name)
        assert benchmark.name == name and benchmark.protocol and benchmark.source
        kinds = {mix.split("(")[0] for task in benchmark.tasks for mix in task.mixes}
        assert kinds >= set(SETTINGS) - {"union"}
        for measure in benchmark.measures:
            measures.parse(measure)


@pytest.mark.parametrize("name", ["lareqa", "miracl", "mimo", "mlaire", "mmarco"])
def test_published_benchmarks_name_their_source_protocol_and_collections(name: str) -> None:
    benchmark = load_benchmark(name)
    assert benchmark.name == name and benchmark.source and benchmark.protocol
    for measure in benchmark.measures:
        measures.parse(measure)
    for task in benchmark.tasks:
        assert remote_of(task.collection, task.languages) is not None  # the name, the options and the languages are known


def test_mimos_suite_is_that_of_its_paper() -> None:
    tasks = {task.collection: task for task in load_benchmark("mimo").tasks}
    assert tasks["belebele"].languages and len(tasks["belebele"].languages) == 14 and "acm" in tasks["belebele"].languages
    assert len(tasks["xquad"].languages or ()) == 8 and len(tasks["miracl-hn"].languages or ()) == 10
    assert {name for name, task in tasks.items() if task.main == "nDCG@20"} == set(tasks) - {"miracl-hn"}
    assert tasks["miracl-hn"].main == "nDCG@10" and tasks["miracl-hn"].mixes == ("monolingual",)


def test_a_folder_never_hides_a_benchmark_of_its_name_nor_a_collection_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stands in a folder of data has `xquad-r/` beside them."""
    monkeypatch.chdir(tmp_path)
    for name in ("xquad-r", "shop"):
        Path(name).mkdir()
    assert load_benchmark("xquad-r").tasks[0].languages  # the packaged one; a folder's has all languages there are
    assert load_benchmark("./xquad-r").tasks[0].collection == "./xquad-r"
    assert load_benchmark("shop").tasks[0].collection == load_benchmark("./shop").tasks[0].collection == "shop"


def test_what_is_written_twice_is_evaluated_once() -> None:
    task = Task(collection="mini", mixes=("parallel", "mlir", "partition(de=1)"), languages=("en", "EN", "de"))
    assert task.mixes == ("parallel", "partition(de=1)") and task.languages == ("en", "de")


def test_what_is_not_written_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(SMALL)
    benchmark = load_benchmark(str(tmp_path / "b.yaml"))
    assert benchmark == Benchmark(name="small", tasks=(Task(collection="mini"),))
    assert benchmark.measures == DEFAULT_MEASURES and benchmark.depth == 100
    assert benchmark.tasks[0].mixes == ("parallel",) and benchmark.tasks[0].languages is None


def test_mixes_and_languages_take_one_spelling(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(
        SMALL + "  mixes: [mlir, 'partition( en=0.5, de=0.5 )', multi-monolingual]\n  languages: [eng, de-DE]\n"
    )
    task = read_benchmark(tmp_path / "b.yaml").tasks[0]
    assert task.mixes == ("parallel", "partition(de=0.5,en=0.5)", "monolingual")
    assert task.languages == ("en", "de")


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"unknown benchmark 'minni'; known: .*mini, .*a YAML file, or a collection's folder"):
        load_benchmark("minni")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + "depht: 5\n", "depht: Extra inputs are not permitted"),
        (SMALL + "  mix: parallel\n", "tasks.0.mix: Extra inputs are not permitted"),
        (SMALL + "depth: 0\n", "depth: Input should be greater than or equal to 1"),
        (SMALL + "depth: 1000000\n", "depth: Input should be less than"),
        (SMALL.replace("small", "../evil"), "name: String should match pattern"),
        (SMALL.replace("small", "''"), "name: String should match pattern"),
        ("name: x\ntasks: []\n", "tasks: Tuple should have at least 1 item"),
        ("name: x\n", "tasks: Field required"),
        ("", "the file: Input should be"),
        ("- 1\n", "the file: Input should be"),
        ("just words", "the file: Input should be"),
        (SMALL + "  mixes: [paralel]\n", "unknown mix 'paralel'; "),
        (SMALL + "  mixes: ['bilingual(en)']\n", "unknown argument 'en' of bilingual; it takes a pair"),
        (SMALL + "  languages: [klingonese]\n", "'klingonese' is not a"),
        (SMALL + "measures: nDCG@10\n", "measures: Input should be a valid tuple"),
        ("a: [1, 2\n", "not YAML ("),
        ("a: &x [1]\nb: *x\n", "not YAML (aliases are not allowed (line 2))"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "not YAML (aliases are not allowed (line 2))"),
        ("a: !!python/object/apply:os.system ['true']\n", "not YAML (could not determine a constructor"),
        (b"\xff\xfe\x00", "not YAML ("),
        ("[" * 3000, "not YAML ("),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refused(tmp_path, text).startswith(message)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    assert refused(tmp_path, "#" * 1_000_001) == "larger than 1,000,000 bytes; this is nothing that a person wrote"


def test_where_the_files_of_a_task_lie(tmp_path: Path) -> None:
    task = Task(collection="xquad-r(level=sentence)")
    assert data_folder(task, None, 1) is None
    assert data_folder(task, tmp_path, 1) == tmp_path
    assert data_folder(task, tmp_path, 2) is None
    (tmp_path / "xquad-r").mkdir()
    assert data_folder(task, tmp_path, 2) == tmp_path / "xquad-r"


def test_listing_benchmarks_needs_no_torch() -> None:
    code = "import sys; from mimo_eval.benchmark import names; names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=240).returncode == 0
