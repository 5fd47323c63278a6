"""A study that runs in seconds: two languages, sixteen questions, the hashing encoder as teacher."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "training"))
from small_recipe import content as recipe
from small_recipe import write_data

RECIPE_KEYS = ("student", "teacher", "data", "seed")


def write_study(folder: Path, **changes: Any) -> Path:
    """Write data and a study with two methods on two folds; return the study's file."""
    data = folder / "data"
    if not data.exists():
        write_data(data)
    whole = recipe(data)
    whole["data"]["folders"] = [str(data)]
    study = {
        "name": "small",
        "recipe": {key: whole[key] for key in RECIPE_KEYS},
        "stages": {
            "distillation": {"batch_size": 8, "epochs": 1, "lr": 0.02},
            "second": {"batch_size": 8, "steps": 3, "lr": 0.01},
        },
        "runs": {"stage-1": "distill", "xlco": "xlco(passes=2)", "mimo": "mimo(passes=2)"},
        "folds": {"count": 2, "unit": r"^(\d+)$"},
        "against": ["mimo"],
        "path": ["mimo", "xlco"],
        "contrasts": [{"text": "Does stage 1 matter?", "plus": ["mimo"], "minus": ["xlco"]}],
        "claims": [
            {"text": "it aligns", "source": "a paper", "plus": ["mimo"], "minus": ["xlco"], "measure": "alignment"},
        ],
        "smoke": {"trained": 1, "runs": ["mimo", "xlco"], "stages": {"second": {"steps": 1}}},
        **changes,
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False, allow_unicode=True), "utf-8")
    return path
