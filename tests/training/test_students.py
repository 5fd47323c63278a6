"""Students: reproducible tokenizers without unknown characters, models that load without this package."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from small_recipe import WORDS, sentences
from tiny import save_plain
from tokenizers import Tokenizer

from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.training.data import Parallel
from mimo_eval.training.students import PretrainedStudent, StaticStudent, TransplantedStudent
from mimo_eval.training.students.static import from_teacher, token_ids
from mimo_eval.training.students.tokenizing import balanced, train_tokenizer
from mimo_eval.training.teacher import Teacher


@pytest.fixture
def parallel():
    return Parallel.of([(f"g{i}", lang, text) for lang in WORDS for i, text in enumerate(sentences(lang))])


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_tokenizers_are_reproducible_and_know_every_character(parallel, kind):
    texts = balanced(parallel, 2.0, 1000, 1)
    first, second = (train_tokenizer(texts, kind, 420) for _ in range(2))
    assert first.to_str() == second.to_str()
    assert first.get_vocab_size() <= 420
    unknown = first.token_to_id("<unk>")
    for text in ("日本語 ไทย", "WATER", "ﬁ", "\N{GRINNING FACE}", "a\x00b"):
        encoded = first.encode(text)
        assert encoded.ids and unknown not in encoded.ids
    assert first.encode("WATER Ｆｌｕｓｓ").ids == first.encode("water Fluss").ids  # NFKC, lower case
    assert first.encode("日").tokens[-3:] == ["<0xE6>", "<0x97>", "<0xA5>"]
    assert Tokenizer.from_str(first.to_str()).encode("river stone").ids == first.encode("river stone").ids


def test_frequent_words_become_pieces(parallel):
    for kind in ("bpe", "unigram"):
        tokens = train_tokenizer(parallel.texts(), kind, 600).encode("Wasser").tokens
        assert tokens == ["▁wasser"]


def test_languages_are_balanced_by_the_temperature():
    lines = Parallel.of([(f"a{i}", "en", f"e{i}") for i in range(900)] + [(f"b{i}", "sw", f"s{i}") for i in range(100)])

    def share(temperature):
        drawn = balanced(lines, temperature, 1000, 0)
        return sum(text.startswith("s") for text in drawn) / len(drawn)

    assert share(1) == pytest.approx(0.1)
    assert share(2) == pytest.approx(0.25)  # 10 : 30
    assert share(1e6) == pytest.approx(0.5, abs=0.01)
    assert balanced(lines, 2, 1000, 0) == balanced(lines, 2, 1000, 0) != balanced(lines, 2, 1000, 1)


def test_a_vocabulary_too_small_for_bytes_is_refused(parallel):
    with pytest.raises(ConfigError, match="300"):
        train_tokenizer(parallel.texts(), "bpe", 299)


def test_a_static_student_is_seeded_and_loads_without_this_package(parallel, tmp_path):
    student = StaticStudent(vocabulary=400, dimension=6)
    first, second, other = (student.build(parallel, None, seed) for seed in (1, 1, 2))
    assert torch.equal(first[0].embedding.weight, second[0].embedding.weight)
    assert not torch.equal(first[0].embedding.weight[:400], other[0].embedding.weight[:400])
    first.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    texts = ["river stone", "", "日本"]
    assert np.array_equal(loaded.encode(texts), first.encode(texts))
    assert first[0].embedding.weight.std().item() == pytest.approx(0.1, rel=0.1)


def test_tokens_are_those_that_the_model_sees(parallel):
    student = StaticStudent(vocabulary=400, dimension=4).build(parallel, None, 0)
    texts = ["river stone garden", "", "Haus am Fluss"]
    ids, starts = token_ids(student.tokenizer, texts)
    features = student.preprocess(texts)
    assert ids.tolist() == features["input_ids"].tolist()
    assert starts[:-1].tolist() == features["offsets"].tolist() and starts[-1] == len(ids)
    cut, starts = token_ids(student.tokenizer, texts, 2)
    assert np.diff(starts).tolist() == [2, 0, 2] and len(cut) == 4


class Axes:
    """Teaches a direction per first letter."""

    name, similarity = "axes", "dot"

    def encode(self, texts, *, role, lang):
        directions = {"r": [4, 0, 0], "s": [-4, 0, 0], "g": [0, 1, 0]}
        return np.array([directions[text[0]] for text in texts], np.float32)


def test_tokens_start_at_the_mean_of_what_their_lines_mean():
    lines = Parallel.of(
        [("1", "en", "r"), ("1", "de", "fluss"), ("2", "en", "s"), ("2", "de", "stein"), ("3", "en", "g"), ("3", "de", "fluss")]
    )
    tokenizer = train_tokenizer(["r s g fluss stein"] * 3, "bpe", 340)
    weights = from_teacher(tokenizer, lines, Teacher(Axes()), np.full((tokenizer.get_vocab_size(), 2), 9, np.float32))

    def row(word):
        encoded = tokenizer.encode(word).ids
        assert len(encoded) == 1
        return weights[encoded[0]]

    # centred by their mean (0, 1/3); the widest axis is the first; "fluss" stands in lines 1 and 3
    assert row("fluss") == pytest.approx((row("r") + row("g")) / 2, abs=1e-5)
    assert row("stein") == pytest.approx(row("s"))
    assert abs(row("r")[0]) > 3 * abs(row("r")[1])
    assert (weights[tokenizer.token_to_id("<0x41>")] == 9).all()
    with pytest.raises(ConfigError, match=r"student\.dimension: 4"):
        from_teacher(tokenizer, lines, Teacher(Axes()), np.zeros((tokenizer.get_vocab_size(), 4), np.float32))


def test_frequent_tokens_are_weighted_down(parallel):
    plain, weighted = (StaticStudent(vocabulary=400, dimension=4, sif=sif).build(parallel, None, 0) for sif in (None, 1e-3))
    ids, _ = token_ids(plain.tokenizer, balanced(parallel, 2.0, 200_000, 0))
    share = np.bincount(ids, minlength=len(plain[0].embedding.weight)) / len(ids)
    ratio = (weighted[0].embedding.weight / plain[0].embedding.weight)[:, 0].detach().numpy()
    assert ratio == pytest.approx(1e-3 / (1e-3 + share), rel=1e-4)


def test_what_a_static_student_needs_is_named(parallel):
    with pytest.raises(ConfigError, match=r"data\.parallel"):
        StaticStudent().build(None, None, 0)
    with pytest.raises(ConfigError, match="needs a teacher"):
        StaticStudent(vocabulary=400, init="teacher").build(parallel, None, 0)


@pytest.fixture
def body(tmp_path):
    """A tiny transformer with a vocabulary of single letters."""
    return save_plain(tmp_path / "body")


def test_any_model_is_a_student_and_its_pooling_can_be_set(body, tmp_path):
    student = PretrainedStudent(model=str(body), pooling="cls").build(None, None, 0)
    assert student[1].pooling_mode == "cls"
    assert student.encode(["abc"]).shape == (1, 16)
    with pytest.raises(ModelError, match="nor a folder"):
        PretrainedStudent(model=str(tmp_path / "nothing")).build(None, None, 0)


def test_a_student_is_trained_with_the_prompts_with_which_it_will_be_asked(tmp_path):
    """A model of a known family has its prompts; what the recipe says wins; the trained folder, of any name, keeps them."""
    from datasets import Dataset

    from mimo_eval.training.batches import collate_for
    from mimo_eval.training.validation import Student

    folder = save_plain(tmp_path / "multilingual-e5-small")
    student = PretrainedStudent(model=str(folder), document_prompt="d: ").build(None, None, 0)
    student.save_pretrained(str(tmp_path / "trained"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "trained"), device="cpu")
    assert again.prompts == {"query": "query: ", "document": "d: "}
    rows = Dataset.from_dict({"query_a": ["ab", "c"], "passage": ["de", "f"], "label": [[0], [1]]})
    batch = collate_for(again, rows, None)([1, 0])
    for name, texts in (("query_a", ["query: c", "query: ab"]), ("passage", ["d: f", "d: de"])):
        assert torch.equal(batch[f"{name}_input_ids"], again.preprocess(texts)["input_ids"])
    asked = Student(again).encode(["ab"], role="query", lang="en")
    np.testing.assert_allclose(asked, again.encode(["query: ab"]), atol=1e-6)
    none = PretrainedStudent(model=str(folder), query_prompt="", document_prompt="").build(None, None, 0)
    assert "query_a_prompt_length" not in collate_for(none, rows, None)([0])


def test_a_static_student_with_prompts_has_them_in_its_tokens(parallel):
    from datasets import Dataset

    from mimo_eval.training.batches import collate_for

    student = StaticStudent(vocabulary=400, dimension=4).build(parallel, None, 0)
    student.prompts = {"query": "river ", "document": ""}
    rows = Dataset.from_dict({"query": ["stone"], "passage": ["stone"], "label": [[0]]})
    batch = collate_for(student, rows, None)([0])
    for name, text in (("query", "river stone"), ("passage", "stone")):
        assert torch.equal(batch[f"{name}_input_ids"], student.preprocess([text])["input_ids"])


def test_a_body_gets_a_new_vocabulary(body, parallel, tmp_path):
    student = TransplantedStudent(model=str(body), vocabulary=400).build(parallel, None, 0)
    tokenizer = student.tokenizer
    ids = tokenizer("Fluss 日")["input_ids"]
    assert tokenizer.convert_ids_to_tokens([ids[0], ids[-1]]) == ["[CLS]", "[SEP]"]
    weights = student[0].auto_model.get_input_embeddings().weight
    assert len(weights) == len(tokenizer) == student[0].auto_model.config.vocab_size
    old = SentenceTransformer(str(body), device="cpu")
    before = old[0].auto_model.get_input_embeddings().weight
    # special tokens keep their vectors; a piece of one known letter has that letter's
    for token in ("[CLS]", "[SEP]", "[PAD]"):
        assert torch.equal(weights[tokenizer.convert_tokens_to_ids(token)], before[old.tokenizer.convert_tokens_to_ids(token)])
    assert torch.equal(weights[tokenizer.convert_tokens_to_ids("a")], before[old.tokenizer.convert_tokens_to_ids("a")])
    # all layers but the token embeddings are the body's
    kept, was = student[0].auto_model.state_dict(), old[0].auto_model.state_dict()
    assert all(torch.equal(kept[name], was[name]) for name in was if "word_embeddings" not in name)
    student.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    texts = ["river stone", "ein langer Satz mit Wasser und Brot", "日本"]
    assert loaded.encode(texts) == pytest.approx(student.to("cpu").encode(texts), abs=1e-6)
    assert loaded.max_seq_length == student.max_seq_length == 48


def test_only_a_transformer_has_a_body(parallel, tmp_path):
    StaticStudent(vocabulary=400, dimension=4).build(parallel, None, 0).save_pretrained(
        str(tmp_path / "s"), create_model_card=False
    )
    with pytest.raises(ModelError, match="no transformer"):
        TransplantedStudent(model=str(tmp_path / "s"), vocabulary=400).build(parallel, None, 0)
    with pytest.raises(ConfigError, match=r"data\.parallel"):
        TransplantedStudent(model="x").build(None, None, 0)
