"""The model card of a real run: licences, filters, contamination, scores, versions; and the folder it lies in."""

import json

import numpy as np
import pytest
import yaml
from sentence_transformers import SentenceTransformer
from small_recipe import content, write_data

from mimo_eval import __version__, evaluate
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.training.recipe import load_recipe, parse_recipe
from mimo_eval.training.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    data = write_data(folder / "data")
    changes = {
        "validation": {"collection": "mini", "every": 0.5, "languages": ["en", "de"]},
        "contamination": {"against": ["mini"]},
    }
    return train(parse_recipe(content(data, **changes)), folder / "model", data=data)


def test_the_card_tells_what_a_reader_must_know(trained):
    card = (trained.folder / "README.md").read_text("utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "cc0-1.0" and front["language"] == ["de", "en"]
    assert front["library_name"] == "sentence-transformers"
    for told in (
        "# small",
        "A small recipe",
        "| toy | 96 | 48 | CC0, invented |",
        "CC0, invented too",
        "Filters took away: no translation 0",
        "| mini |",
        "Method: `mimo(lambda=0.5)`. Teacher: `hashing` (en), 80 texts encoded once.",
        "| distillation | 96 | 24 | 192 |",
        "nDCG@20 on mini (parallel)",
        f"mimo-eval {__version__}",
        "  vocabulary: 400",
    ):
        assert told in card, told


def test_the_folder_is_loaded_by_both_libraries(trained):
    model = SentenceTransformer(str(trained.folder), device="cpu")
    vectors = model.encode(["river stone", "Fluss"])
    assert vectors.shape == (2, 8) and np.isfinite(vectors).all()
    frame = evaluate(str(trained.folder), "mini", languages="en,de", mixes="parallel", measures="nDCG@20")
    best = trained.stages[-1].best
    assert frame["nDCG@20"].iloc[0] == pytest.approx(best["nDCG@20 on mini (parallel)"], abs=1e-6)
    assert not list(trained.folder.glob("*.pt")) and not list(trained.folder.glob("*.bin"))


def test_the_recipe_beside_the_model_is_the_one_that_made_it(trained):
    again = load_recipe(str(trained.folder / "recipe.yaml"))
    assert again.model_dump(mode="json") == json.loads((trained.folder / "training.json").read_text("utf-8"))["recipe"]


def test_evaluation_text_in_the_data_stops_the_run_unless_it_is_removed_or_allowed(tmp_path):
    data = write_data(tmp_path / "data")
    (data / "parallel-asked").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
        text = (data / "asked" / name).read_text("utf-8").replace(" !", "").replace(" ?", "")
        (data / "parallel-asked" / name).write_text(text, "utf-8")

    def recipe(**how):
        stages = {"distillation": {"batch_size": 8, "steps": 2, "lr": 0.01}}
        against = {"against": ["parallel-asked"], **how}
        plain = content(data, method="distill", stages=stages, contamination=against)
        del plain["data"]["retrieval"]
        return parse_recipe(plain)

    with pytest.raises(DataError, match=r"hold evaluation text(.|\n)*contamination\.allow: true"):
        train(recipe(), tmp_path / "m", data=data)
    assert not (tmp_path / "m").exists()
    kept = train(recipe(remove=True), tmp_path / "removed", data=data)
    assert kept.record["data"]["parallel"]["lines"] == 64
    assert "were taken out before training" in (tmp_path / "removed" / "README.md").read_text("utf-8")
    loose = train(recipe(allow=True), tmp_path / "allowed", data=data)
    assert loose.record["data"]["parallel"]["lines"] == 96
    assert "**Lines that match were trained on**" in (tmp_path / "allowed" / "README.md").read_text("utf-8")


def test_foreign_folders_are_not_touched(tmp_path):
    data = write_data(tmp_path / "data")
    recipe = parse_recipe(content(data))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    (tmp_path / "m.partial").mkdir()
    (tmp_path / "m.partial" / "notes").write_text("")
    for name, told in (("mine", "holds something else"), ("file", "is a file"), ("m", "in the way")):
        with pytest.raises(ConfigError, match=told):
            train(recipe, tmp_path / name, data=data)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
