"""A recipe that trains in seconds: two languages, a dozen sentences, the hashing encoder as teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = {
    "en": ["water", "house", "river", "stone", "garden", "winter", "music", "bread", "letter", "window", "forest", "summer"],
    "de": ["Wasser", "Haus", "Fluss", "Stein", "Garten", "Winter", "Musik", "Brot", "Brief", "Fenster", "Wald", "Sommer"],
}
GROUPS = 48


def sentences(lang: str) -> list[str]:
    words = WORDS[lang]
    return [f"{words[i % 12]} {words[i // 4 % 12]} {words[(5 * i + 1) % 12]} {i}" for i in range(GROUPS)]


def write_data(folder: Path) -> Path:
    """Write one pack of parallel text and one collection, which share no text."""
    (folder / "parallel").mkdir(parents=True)
    pack = [
        json.dumps({"group": f"g{i}", "lang": lang, "text": text}, ensure_ascii=False)
        for lang in WORDS
        for i, text in enumerate(sentences(lang))
    ]
    (folder / "parallel" / "toy.jsonl").write_text("\n".join(pack) + "\n", "utf-8")
    collection = folder / "asked"
    collection.mkdir()
    for name, ending in (("corpus", "!"), ("queries", "?")):
        lines = [
            json.dumps({"_id": f"{lang}:{i}", "text": f"{text} {ending}", "lang": lang, "group": str(i)}, ensure_ascii=False)
            for lang in WORDS
            for i, text in enumerate(sentences(lang)[:16])
        ]
        (collection / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    rows = ["query_group\tdoc_group\tscore", *(f"{i}\t{i}\t1" for i in range(16))]
    (collection / "qrels.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def content(data: Path, **changes: Any) -> dict[str, Any]:
    """Return a recipe as plain data."""
    return {
        "name": "small",
        "title": "A small recipe",
        "licence": "cc0-1.0",
        "student": {"kind": "static", "vocabulary": 400, "dimension": 8},
        "teacher": {"model": "hashing"},
        "data": {
            "parallel": [{"reader": "packs", "options": {"path": "parallel"}, "licence": {"toy": "CC0, invented"}}],
            "retrieval": {"reader": "collection", "options": {"name": str(data / "asked")}, "licence": "CC0, invented too"},
            "filters": {"shortest": 1},
        },
        "method": "mimo(lambda=0.5)",
        "stages": {
            "distillation": {"batch_size": 8, "epochs": 2, "lr": 0.02},
            "joint": {"batch_size": 8, "steps": 8, "lr": 0.01},
        },
        "contamination": {"against": []},
        "rhythm": {"checkpoints": 5, "log": 1},
        "seed": 3,
        **changes,
    }
