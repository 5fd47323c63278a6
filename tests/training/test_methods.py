"""Methods: their options, the rows and labels of their stages, and a step of each on a static student."""

import json

import numpy as np
import pytest
import torch
from toy_students import features, static_student

from mimo_eval.errors import ConfigError
from mimo_eval.training.data import Parallel, Retrieval
from mimo_eval.training.data.lines import Lines
from mimo_eval.training.methods import METHODS, load_method
from mimo_eval.training.methods.rows import negatives, relevant
from mimo_eval.training.stage import Material, Method
from mimo_eval.training.teacher import Teacher

LANGUAGES = ("de", "el", "en", "zh")
SETTINGS = {"maml-align": "maml-align(tasks=4, support=2, query=1, languages=2)", "hu2023": "hu2023(negatives=1)"}


def lines(prefix, count, kind=Lines, languages=LANGUAGES):
    return kind.of((f"{prefix}{i}", lang, f"{lang}{i} {prefix}{lang}") for i in range(count) for lang in languages)


@pytest.fixture
def parallel():
    return lines("s", 7, Parallel)


@pytest.fixture
def retrieval():
    """Query q0 is answered by p0 and p5, the others by one passage; q1 and q2 by the same one."""
    pairs = [("q0", "p0"), ("q0", "p5"), ("q1", "p1"), ("q2", "p1"), ("q3", "p3"), ("q4", "p4")]
    return Retrieval.of(lines("q", 5), lines("p", 6), pairs, [("q3", "p2")])


@pytest.fixture
def material(parallel, retrieval):
    return Material(parallel, retrieval, Teacher("hashing", query_prompt="Q: "), LANGUAGES, 1, {"hybrid": 4, "maml-align": 30})


def test_every_method_says_what_it_is():
    for name in METHODS:
        method = load_method(name)
        assert isinstance(method, Method)
        assert method.name == name
        assert json.loads(json.dumps(method.describe()))["method"] == name


def test_options_change_the_name_and_the_description():
    method = load_method("mimo(lambda=0.5, balance=gradient, warmup=false)")
    assert method.name == "mimo(warmup=False, lambda=0.5, balance=gradient)"
    assert load_method(method.name) == method
    described = method.describe()
    assert (described["lambda"], described["balance"], described["warmup"]) == (0.5, "gradient", False)
    assert load_method("mimo(lambda=1)").name == "mimo(lambda=1)"  # a whole number is a number


@pytest.mark.parametrize(
    "text, message",
    [
        ("mimmo", "unknown training method 'mimmo'; did you mean mimo"),
        (
            "mimo(lamda=0.2)",
            r"unknown argument 'lamda' of mimo \(did you mean 'lambda'\?\); it takes distance, .*, scale, lambda, balance$",
        ),
        ("mimo(0.2)", "given by name, as in mimo"),
        ("mimo(lambda=1.5)", "mimo: lambda must be from 0 to 1, not 1.5"),
        ("mimo(lambda=high)", "mimo: lambda must be a number, not 'high'"),
        ("mimo(balance=magic)", "balance must be one of constant, gradient, uncertainty"),
        ("xlco(warmup=1)", "xlco: warmup must be true or false, not 1"),
        ("xlco(passes=0)", "passes must be at least 1, not 0"),
        ("xlco(passes=1.5)", "passes must be a whole number"),
        ("distill(distance=far)", "distance must be one of cosine, mse, l2"),
    ],
)
def test_what_cannot_be_understood_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        load_method(text)


def test_a_method_of_another_package_that_fails_is_one_line(monkeypatch):
    def broken(rate=1.0):
        raise RuntimeError("no such luck")

    monkeypatch.setitem(METHODS._loaded, "theirs", broken)
    with pytest.raises(ConfigError, match=r"^unknown argument 'rat' of theirs \(did you mean 'rate'\?\); it takes rate$"):
        load_method("theirs(rat=2)")
    with pytest.raises(ConfigError, match=r"^'theirs' cannot be made: RuntimeError: no such luck$"):
        load_method("theirs")


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("sparse", [False, True])
def test_each_method_learns_from_its_rows(material, name, sparse):
    student = static_student(sparse, width=8)
    for stage in load_method(SETTINGS.get(name, name)).stages(material):
        loss = stage.loss(student)
        columns = [c for c in stage.rows.column_names if c != "label"]
        batch = stage.rows[: len(stage.rows)]
        labels = torch.tensor(batch["label"])
        assert (labels.ndim, labels.dtype) == (2, torch.int64)
        parts = loss(features(student, *(list(batch[c]) for c in columns)), labels)
        total = torch.stack(list(parts.values())).sum()
        assert total.isfinite() and total > 0
        total.backward()
        gradient = student[0].embedding.weight.grad
        assert gradient.is_sparse == sparse
        assert gradient.to_dense().abs().sum() > 0
        assert json.dumps(loss.get_config_dict())
        student.zero_grad()


@pytest.mark.parametrize(
    "text, stages",
    [
        ("mimo", ["distillation", "joint"]),
        ("mimo(warmup=false)", ["joint"]),
        ("distill", ["distillation"]),
        ("xlco", ["xlco"]),
        ("xlco(warmup=true)", ["distillation", "xlco"]),
        ("infonce(warmup=true)", ["distillation", "infonce"]),
        ("lakda(warmup=true)", ["distillation", "lakda"]),
        ("hybrid(warmup=true)", ["distillation", "hybrid"]),
        ("jsd-nce(warmup=true)", ["distillation", "jsd-nce"]),
        ("hu2023(warmup=true)", ["distillation", "hu2023"]),
        ("maml-align(warmup=true, tasks=2, support=2, query=1)", ["distillation", "maml-align"]),
    ],
)
def test_any_method_starts_raw_or_after_stage_1(material, text, stages):
    assert [stage.name for stage in load_method(text).stages(material)] == stages


def test_methods_without_a_teacher_ask_for_none(retrieval, parallel):
    bare = Material(None, retrieval, None, LANGUAGES, 1, {"hybrid": 4, "maml-align": 30})
    for name in ("infonce", "xlco", "lakda", "hybrid", "jsd-nce", "maml-align(tasks=2, support=2, query=1)"):
        assert len(load_method(name).stages(bare)) == 1
    for name, key in [
        ("distill", "teacher"),
        ("mimo", "teacher"),
        ("hu2023", "data.parallel"),
        ("lakda(warmup=true)", "teacher"),
    ]:
        with pytest.raises(ConfigError, match=rf"needs '{key}', which the recipe does not have"):
            load_method(name).stages(bare)
    with pytest.raises(ConfigError, match=r"xlco needs 'data\.retrieval'"):
        load_method("xlco").stages(Material(parallel, None, None, LANGUAGES, 1))


def test_stage_1_pairs_every_text_with_the_teachers_vector_of_its_english(material):
    (stage,) = load_method("distill").stages(material)
    teacher = material.teacher
    assert len(stage.rows) == 28  # English texts too
    rows = np.array(stage.rows["label"])[:, 0]
    expected = teacher.rows([f"en{text.split()[0][2:]} sen" for text in stage.rows["text"]])
    assert rows.tolist() == expected.tolist()
    without = load_method("distill(identity=false)").stages(material)[0]
    assert not any(text.startswith("en") for text in without.rows["text"])


def test_the_teachers_language_is_a_parameter(parallel, retrieval):
    material = Material(parallel, retrieval, Teacher("hashing", anchor="el"), LANGUAGES, 1)
    first, joint = load_method("mimo").stages(material)
    texts, rows = first.rows["text"], np.array(first.rows["label"])[:, 0]
    assert rows.tolist() == material.teacher.rows([f"el{text.split()[0][2:]} sel" for text in texts]).tolist()
    passages, rows = joint.rows["passage"], np.array(joint.rows["label"])[:, 1]
    assert rows.tolist() == material.teacher.rows([f"el{text.split()[0][2:]} pel" for text in passages]).tolist()


def test_stage_2_never_has_one_language_twice_and_instructs_the_teacher_on_queries_alone(material):
    stage = load_method("mimo(passes=12)").stages(material)[1]
    label = np.array(stage.rows["label"])
    queries, passages = list(stage.rows["query"]), list(stage.rows["passage"])
    assert len(queries) == 6 * 12
    pairs = {(q[:2], p[:2]) for q, p in zip(queries, passages, strict=True)}
    assert pairs == {(a, b) for a in LANGUAGES for b in LANGUAGES if a != b}
    teacher = material.teacher
    english = [f"en{text.split()[0][2:]} qen" for text in queries]
    assert label[:, 0].tolist() == teacher.rows(english, role="query").tolist()
    plain = teacher.rows([f"Q: {text}" for text in english])
    np.testing.assert_array_equal(teacher.vectors[label[:, 0]], teacher.vectors[plain])
    assert label[:, 1].tolist() == teacher.rows([f"en{text.split()[0][2:]} pen" for text in passages]).tolist()


def test_both_stages_share_one_head(material):
    student = static_student(width=8)
    first, second = (stage.loss(student) for stage in load_method("mimo").stages(material))
    assert first.projection is second.projection


def test_infonce_stays_in_one_language_and_hybrid_batches_are_of_one_kind(material):
    (stage,) = load_method("infonce(passes=4)").stages(material)
    assert all(q[:2] == p[:2] for q, p in zip(stage.rows["query"], stage.rows["passage"], strict=True))
    (stage,) = load_method("hybrid(passes=10)").stages(material)
    same = np.array([q[:2] == p[:2] for q, p in zip(stage.rows["query"], stage.rows["passage"], strict=True)]).reshape(-1, 4)
    assert not stage.shuffle
    assert (same.all(axis=1) | ~same.any(axis=1)).all()
    assert 0 < same.all(axis=1).sum() < len(same)
    with pytest.raises(ConfigError, match=r"hybrid needs 'stages\.hybrid\.batch_size'"):
        load_method("hybrid").stages(Material(None, material.retrieval, None, LANGUAGES, 1))


def test_labels_know_all_that_answers_a_query(material):
    (stage,) = load_method("xlco").stages(material)
    found = {tuple(row) for row in stage.rows["label"]}
    group = {name: number for number, name in enumerate(material.retrieval.passages.group_names())}
    p0, p5 = group["p0"], group["p5"]
    assert {(p0, -1, p5), (p5, p0, -1)} <= found
    assert {row[0] for row in found} == {group[name] for name in ("p0", "p5", "p1", "p3", "p4")}


def test_labels_are_one_number_where_every_query_has_one_answer(retrieval):
    one = Retrieval(retrieval.queries, retrieval.passages, retrieval.positives[1:])
    (stage,) = load_method("xlco").stages(Material(None, one, None, LANGUAGES, 1))
    assert {len(row) for row in stage.rows["label"]} == {1}


def test_relevant_groups_are_what_a_loop_finds():
    import datasets

    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 9, (40, 2)), axis=0)
    data = Retrieval(lines("q", 9), lines("p", 9), rng.permutation(pairs))
    rows = datasets.Dataset.from_dict({"query_group": data.positives[:, 0], "passage_group": data.positives[:, 1]})
    own, others = relevant(data, rows)
    for (query, passage), mine, rest in zip(data.positives, own, others, strict=True):
        assert mine.tolist() == [passage]
        assert sorted(rest[rest >= 0]) == sorted(p for q, p in pairs if q == query and p != passage)


def test_negatives_are_known_ones_first_in_the_passages_language(material):
    (stage,) = load_method("xlco(negatives=2, passes=8)").stages(material)
    assert stage.rows.column_names == ["query", "passage", "negative_1", "negative_2", "label"]
    group = {name: number for number, name in enumerate(material.retrieval.passages.group_names())}
    for row in stage.rows:
        for column, place in (("negative_1", 1), ("negative_2", 2)):
            assert row[column][:2] == row["passage"][:2]
            assert group[f"p{row[column].split()[0][2:]}"] == row["label"][place]
        if "q3" in row["query"] or row["query"].split()[0][2:] == "3":
            assert row["label"][1] == group["p2"]


def test_negatives_are_the_same_for_equal_seeds(material):
    from mimo_eval.training.data.pairing import ordered_pairs

    rows = ordered_pairs(material.retrieval, seed=0, rows=30)
    first, second, third = (negatives(material.retrieval, rows, 1, seed)[1].tolist() for seed in (3, 3, 4))
    assert first == second != third


def test_hu_has_english_pairs_and_text_in_every_language(material):
    (stage,) = load_method("hu2023(passes=6)").stages(material)
    assert stage.rows.column_names == ["query", "passage", "sentence", "translation", "text", "label"]
    assert {t[:2] for c in ("query", "passage", "sentence") for t in stage.rows[c]} == {"en"}
    assert "en" not in {t[:2] for t in stage.rows["translation"]}
    assert {t[:2] for t in stage.rows["text"]} == set(LANGUAGES)
    for row in stage.rows:
        pair, third = row["label"][1:3]
        assert (pair == third) == (row["sentence"].split()[0][2:] == row["text"].split()[0][2:])
    every = load_method("hu2023(language=every, passes=6)").stages(material)[0]
    assert len({t[:2] for t in every.rows["query"]}) > 1


def test_meta_tasks_come_in_whole_batches(material):
    method = load_method("maml-align(tasks=3, support=2, query=1, languages=2)")
    (stage,) = method.stages(material)
    assert (len(stage.rows), stage.shuffle, stage.loss(static_student()).sizes) == (15, False, (2, 1, 2))
    with pytest.raises(ConfigError, match=r"maml-align needs 'stages\.maml-align\.batch_size'"):
        method.stages(Material(None, material.retrieval, None, LANGUAGES, 1))
    odd = Material(None, material.retrieval, None, LANGUAGES, 1, {"maml-align": 7})
    with pytest.raises(ConfigError, match="a meta-task is 5 rows, so the batch size must be a multiple of it, not 7"):
        method.stages(odd)


def test_equal_seeds_give_equal_rows(parallel, retrieval):
    for name in METHODS:
        one, two = (
            [s.rows.to_dict() for s in load_method(SETTINGS.get(name, name)).stages(
                Material(parallel, retrieval, Teacher("hashing"), LANGUAGES, 5, {"hybrid": 4, "maml-align": 30})
            )]
            for _ in range(2)
        )  # fmt: skip
        assert one == two


def test_a_package_can_bring_its_own_method(monkeypatch):
    class Own:
        name = "own"

        def __init__(self, depth=1):
            self.depth = depth

        def stages(self, material):
            return []

        def describe(self):
            return {"method": "own", "depth": self.depth}

    monkeypatch.setitem(METHODS._loaded, "own", Own)
    assert load_method("own(depth=3)").describe()["depth"] == 3
    with pytest.raises(ConfigError, match=r"unknown argument 'width' of own .*; it takes depth"):
        load_method("own(width=3)")
    monkeypatch.setitem(METHODS._loaded, "nothing", lambda: 3)
    with pytest.raises(ConfigError, match="'nothing' is not a training method"):
        load_method("nothing")
