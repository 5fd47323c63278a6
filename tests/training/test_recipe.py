"""Recipes: what is wrong is named with file and key, `--set` is typed by the schema, a plan needs no download."""

import pytest
import yaml
from small_recipe import content, write_data

from mimo_eval.benchmark import names
from mimo_eval.errors import ConfigError, DataError, ModelError
from mimo_eval.training.plan import plan
from mimo_eval.training.recipe import differing, load_recipe, parse_recipe, recipes
from mimo_eval.training.settings import interval


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


@pytest.fixture
def file(tmp_path, data):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content(data)), "utf-8")
    return path


def test_a_recipe_is_read(file):
    recipe = load_recipe(str(file))
    assert (recipe.name, recipe.student.vocabulary, recipe.stages["joint"].steps) == ("small", 400, 8)
    assert recipe.folder.as_posix() == "models/small"
    assert recipe.batch_sizes == {"distillation": 8, "joint": 8}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("seeds=3", "seeds: Extra inputs are not permitted"),
        ("student.dimension=wide", "student.dimension: Input should be a valid integer"),
        ("student.kind=lstm", "student: Input tag 'lstm'"),
        ("stages.joint.rate=1", "stages.joint.rate: Extra inputs"),
        ("method=mimmo", "did you mean mimo"),
        ("method=mimo(lambda=2)", "lambda must be from 0 to 1"),
        ("languages=[xx-nonsense-1]", "xx-nonsense-1"),
        ("data.parallel.7.reader=tsv", "7 is no place in a list of 1"),
        ("name.first=x", "name is a value, not a section"),
        ("seed", "expected key=value"),
        ("seed=[", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(file, change, told):
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(file), [change])
    assert told in str(caught.value)


def test_settings_of_the_command_line_are_typed_by_the_schema(file):
    recipe = load_recipe(
        str(file), ["stages.joint.lr=1e-3", "title=2024", "validation.every=4", "data.parallel.0.options.names=[toy]"]
    )
    assert recipe.stages["joint"].lr == 1e-3
    assert recipe.stages["joint"].steps == 8
    assert recipe.title == "2024"
    assert recipe.validation.every == 4
    assert recipe.data.parallel[0].options["names"] == ["toy"]


def test_one_source_or_several(data):
    plain = content(data)
    one = parse_recipe(plain)
    assert [source.reader for source in one.data.retrieval] == ["collection"]
    several = {**plain["data"], "retrieval": [plain["data"]["retrieval"]] * 2}
    assert len(parse_recipe({**plain, "data": several}).data.sources) == 3
    # the same collection twice is one collection
    made = plan(parse_recipe({**plain, "data": several}), data)
    assert [stage.rows for stage in made.stages] == [96, 16]


def test_files_of_every_reader_are_looked_for_in_the_folder_of_data(data, tmp_path):
    for lang in ("en", "de"):
        (data / f"x.{lang}").write_text(f"a longer sentence in {lang}\n", "utf-8")
    source = {"reader": "moses", "options": {"source": "x.en", "target": "x.de", "languages": "en,de"}, "download": "wget it"}
    recipe = parse_recipe({**content(data, method="distill", stages={}), "data": {"parallel": source}})
    assert plan(recipe, data).languages == {"en": 1, "de": 1}
    with pytest.raises(DataError, match="wget it"):
        plan(recipe, tmp_path)


def test_wrong_options_of_a_reader_are_named_with_the_key(data):
    plain = content(data)
    plain["data"]["parallel"][0]["options"]["folder"] = "x"
    with pytest.raises(ConfigError, match=r"data\.parallel\.0: unknown argument 'folder' of the reader packs; it takes path"):
        plan(parse_recipe(plain), data)


def test_evaluation_text_is_looked_for_unless_the_recipe_says_otherwise(data):
    plain = content(data)
    del plain["contamination"]
    assert parse_recipe(plain).contamination.against == ("mini",)
    assert parse_recipe(content(data)).contamination.against == ()


def test_a_file_that_is_no_recipe_is_refused(tmp_path):
    for text in ("- a\n- b\n", "name: [", ""):
        (tmp_path / "bad.yaml").write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=r"bad\.yaml"):
            load_recipe(str(tmp_path / "bad.yaml"))
    with pytest.raises(ConfigError, match="mimo-static-smoke"):
        load_recipe("no-such-recipe")


def test_differing_keys_are_dotted_and_free_ones_are_left_out(file):
    before, after = (
        load_recipe(str(file), changes).model_dump(mode="json")
        for changes in ([], ["title=other", "rhythm.log=9", "stages.joint.lr=0.5", "seed=4"])
    )
    assert differing(before, after) == {"seed": (3, 4), "stages.joint.lr": (0.01, 0.5)}
    assert differing(before, before) == {}


@pytest.mark.parametrize(("value", "steps", "every"), [(0.1, 50, 5), (0.01, 10, 1), (1, 50, 1), (7, 50, 7)])
def test_intervals_are_steps_or_shares(value, steps, every):
    assert interval(value, steps) == every


def test_the_plan_counts_rows_steps_and_teacher_texts(file, data):
    made = plan(load_recipe(str(file)), data)
    stages = {stage.name: stage for stage in made.stages}
    assert (stages["distillation"].rows, stages["distillation"].steps) == (96, 24)
    assert (stages["joint"].rows, stages["joint"].steps) == (16, 8)
    # 48 English lines, 16 English questions with the query prompt, 16 passages; none is in two roles
    assert made.teacher_texts == 80
    assert made.languages == {"de": 48, "en": 48}
    assert not made.missing and not made.estimated
    assert made.sources[0][0] == "toy"
    two = plan(load_recipe(str(file)), data, processes=2)
    assert [stage.batch for stage in two.stages] == [16, 16]


def test_a_collection_may_be_a_folder_of_the_data(file, data):
    """As in `validation` and `contamination`."""
    named = load_recipe(str(file), ["data.retrieval.options.name=asked"])
    assert plan(named, data).stages == plan(load_recipe(str(file)), data).stages


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        ("collection=nosuch", ConfigError, "unknown collection 'nosuch'"),
        ("measure=nDGC@20", ConfigError, "did you mean nDCG"),
        ("mix=paralel", ConfigError, "unknown mix"),
        ("languages=[en,ko]", DataError, "no texts in ko"),
    ],
)
def test_what_cannot_be_validated_is_found_out_before_the_work(file, data, change, error, why):
    with pytest.raises(error, match=f"^validation: .*{why}"):
        plan(load_recipe(str(file), [f"validation.{change}"]), data)


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        ("teacher.model=hashin", ConfigError, r"teacher.model: unknown model 'hashin'; did you mean hashing .* a hub id"),
        ("teacher.model=bm25", ConfigError, "teacher.model: 'bm25' cannot teach: it has no vectors"),
        ("teacher.model=hashing(dims=4)", ConfigError, "teacher.model: .*unknown argument 'dims' of hashing"),
        ("teacher.model={data}", ModelError, "no config.json or modules.json; this is not a model's folder"),
        (
            "student={{kind: pretrained, model: no/such/folder}}",
            ConfigError,
            "student.model: 'no/such/folder' is neither a folder nor a hub",
        ),
    ],
)
def test_models_that_cannot_be_are_found_out_before_the_work(file, data, change, error, why):
    with pytest.raises(error, match=why):
        plan(load_recipe(str(file), [change.format(data=data)]), data)


def test_a_model_that_may_be_on_the_hub_is_missing_and_no_error(file, data):
    student = "student={kind: pretrained, model: bert-base-uncased}"  # of the time before organisations
    made = plan(load_recipe(str(file), ["teacher.model=org/name", student]), data)
    assert made.missing == [(name, f"hf download {name}") for name in ("org/name", "bert-base-uncased")]


def test_missing_data_say_how_to_get_them(file, tmp_path):
    recipe = load_recipe(str(file), ["data.parallel.0.download=wget it"])
    with pytest.raises(DataError) as caught:
        plan(recipe, tmp_path)
    for told in (
        "missing: parallel (wget it)",
        "give --data FOLDER",
        "what to expect of parallel (expected.groups, languages)",
    ):
        assert told in str(caught.value)


def test_expected_sizes_that_cannot_be_planned_with_are_refused(data, tmp_path):
    plain = content(data)
    for expected in ({"positives": 5}, {"groups": 5}):
        plain["data"]["parallel"][0] |= {"expected": expected, "languages": ["en"]}
        with pytest.raises(DataError, match=r"expected\.groups, languages"):
            plan(parse_recipe(plain), tmp_path)


def test_missing_data_are_planned_by_what_the_recipe_expects(data, tmp_path):
    plain = content(data)
    plain["data"]["parallel"][0] |= {"expected": {"groups": 4_000_000}, "languages": ["en", "de", "fr"], "download": "wget it"}
    plain["data"]["retrieval"] |= {
        "options": {"name": "x", "data": "x"},
        "expected": {"positives": 500_000},
        "languages": ["en", "de", "fr"],
    }
    made = plan(parse_recipe(plain), tmp_path)
    assert made.estimated
    assert ("parallel", "wget it") in made.missing
    rows = {stage.name: stage.rows for stage in made.stages}
    assert rows["distillation"] == pytest.approx(8_000_000, rel=0.01)  # each pair, and the English text itself
    assert rows["joint"] == pytest.approx(500_000, rel=0.01)
    assert made.teacher_texts == pytest.approx(5_000_000, rel=0.01)


def test_shipped_recipes_are_valid_and_are_no_benchmarks():
    shipped = recipes()
    assert {"mimo-static-smoke", "mimo-static", "mimo-xlm-roberta-large", "mimo-mmbert-base"} <= set(shipped)
    assert not set(shipped) & set(names())
    for name, path in shipped.items():
        assert load_recipe(str(path)).name == name


def test_the_papers_recipes_are_planned_without_downloads(tmp_path):
    made = plan(load_recipe("mimo-xlm-roberta-large"), tmp_path, processes=2)
    stages = {stage.name: stage for stage in made.stages}
    assert (stages["distillation"].batch, stages["joint"].batch) == (256, 4096)
    assert stages["joint"].rows == pytest.approx(532_000, rel=0.01)
    missing = dict(made.missing)
    assert "FacebookAI/xlm-roberta-large" in missing and "Qwen/Qwen3-Embedding-8B" in missing
    assert all(missing.values())
