"""The model card that a trained model carries: data with licences, what was filtered and checked, recipe, scores, versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from mimo_eval.models.loading import HUB_ID
from mimo_eval.training.material import licences
from mimo_eval.training.recipe import Recipe


def model_card(recipe: Recipe, record: dict[str, Any]) -> str:
    """Write a model card.

    :param recipe: what was done.
    :param record: what came of it, as in `training.json`.
    :return: Markdown with the metadata that Hugging Face reads.
    """
    parts = [_metadata(recipe, record), f"# {recipe.name}", recipe.title, _use(recipe, record), _data(recipe, record)]
    parts += [_contamination(recipe, record), _training(recipe, record), _validation(record)]
    parts += [_recipe(recipe), _versions(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _metadata(recipe: Recipe, record: dict[str, Any]) -> str:
    content: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "retrieval", "multilingual", "mimo-eval"],
        "language": record["languages"],
    }
    if recipe.licence:
        content["license"] = recipe.licence
    base = getattr(recipe.student, "model", "")
    if HUB_ID.fullmatch(base) and not Path(base).is_dir():
        content["base_model"] = base
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def _use(recipe: Recipe, record: dict[str, Any]) -> str:
    student = record["student"]
    return (
        f"{len(record['languages'])} languages, {student['dimension']} dimensions, {student['parameters']:,} weights, compared "
        "by cosine. Trained with [mimo-eval](https://github.com/mimo-eval/mimo-eval).\n\n"
        "```python\nfrom sentence_transformers import SentenceTransformer\n\n"
        'model = SentenceTransformer("path/to/this/folder")\nvectors = model.encode(["Where is the station?"])\n```\n\n'
        "```\nmimo-eval run path/to/this/folder -b mini\n```"
    )


def _data(recipe: Recipe, record: dict[str, Any]) -> str:
    sections = ["## Data"]
    parallel, retrieval = record["data"].get("parallel"), record["data"].get("retrieval")
    if parallel:
        stated = licences(recipe.data.parallel, parallel["sources"])
        rows = [(name, f"{n['lines']:,}", f"{n['groups']:,}", stated[name]) for name, n in parallel["sources"].items()]
        sections.append(f"Parallel text, {parallel['lines']:,} lines in {parallel['groups']:,} groups of translations:")
        sections.append(table(("source", "lines", "groups", "licence and attribution"), rows))
        sections.append(_counts(parallel["languages"]))
        sections += _filters(parallel["history"])
    if retrieval and recipe.data.retrieval:
        names = [*retrieval["queries"]["sources"], *retrieval["passages"]["sources"]]
        stated = licences(recipe.data.retrieval, dict.fromkeys(names))
        told = "; ".join(f"{name}: {text or 'no licence stated'}" for name, text in stated.items())
        sections.append(
            f"Retrieval, {retrieval['positives']:,} positive pairs of {retrieval['query_groups']:,} queries and "
            f"{retrieval['passage_groups']:,} passages ({told})."
        )
    sections.append(f"Revision of the data: {', '.join(_revisions(record['data']))}.")
    return "\n\n".join(sections)


def _revisions(data: dict[str, Any]) -> Iterable[str]:
    if "parallel" in data:
        yield f"`{data['parallel']['revision']}`"
    if "retrieval" in data:
        yield from (f"`{data['retrieval'][side]['revision']}`" for side in ("queries", "passages"))


def _counts(counts: dict[str, int]) -> str:
    return "Lines per language: " + " · ".join(f"{lang} {count:,}" for lang, count in counts.items()) + "."


def _filters(history: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    for step in history:
        if isinstance(step.get("removed"), dict):
            removed = ", ".join(f"{name} {count:,}" for name, count in step["removed"].items())
            found.append(f"Filters took away: {removed}.")
    return found


def _contamination(recipe: Recipe, record: dict[str, Any]) -> str:
    found = record["data"].get("contamination")
    title = "## Evaluation text in the training data"
    if not found:
        return f"{title}\n\nNot checked: the recipe names no evaluation collection."
    rows = [
        (name, f"{found['evaluation_texts'].get(name, 0):,}", *(f"{count:,}" for count in kinds.values()))
        for name, kinds in found["matching_lines"].items()
    ]
    kinds: dict[str, int] = next(iter(found["matching_lines"].values()), {})
    text = f"{title}\n\n{table(('evaluation', 'texts', *(f'matching lines, {kind}' for kind in kinds)), rows)}"
    if any(count for kinds in found["matching_lines"].values() for count in kinds.values()):
        if recipe.contamination.remove:
            text += "\n\nLines that match were taken out before training."
        else:
            text += "\n\n**Lines that match were trained on**: scores on these collections are not those of unseen text."
    return f"{text}\n\nCompared: {found['method']}."


def _training(recipe: Recipe, record: dict[str, Any]) -> str:
    teacher = record["teacher"]
    told = f"Method: `{recipe.method}`."
    if teacher:
        told += f" Teacher: `{teacher['name']}` ({teacher['anchor']}), {record['teacher_texts']:,} texts encoded once."
    rows = [
        (
            stage["name"],
            f"{stage['rows']:,}",
            f"{stage['steps']:,}" + (f" of {stage['planned']:,}" if stage["steps"] < stage["planned"] else ""),
            f"{stage['seen']:,}",
            f"{stage['rate']:,.0f}",
            ", ".join(f"{name} {value:.4f}" for name, value in stage["last"].items()),
        )
        for stage in record["stages"]
    ]
    head = ("stage", "rows", "steps", "rows seen", "rows per second", "last loss")
    return f"## Training\n\n{told}\n\n{table(head, rows)}"


def _validation(record: dict[str, Any]) -> str:
    scored = [stage for stage in record["stages"] if stage["validation"]]
    if not scored:
        return ""
    measure = next(key for key in scored[0]["validation"][0] if key != "step")
    rows = [
        (
            stage["name"],
            f"{stage['best'][measure]:.4f}",
            f"{stage['best']['step']:,}",
            f"{stage['validation'][-1][measure]:.4f}",
        )
        for stage in scored
    ]
    return (
        f"## Validation\n\n{measure}. The best weights of each stage were kept, so this is not the score of an unseen test.\n\n"
        f"{table(('stage', 'best', 'at step', 'at the end'), rows)}"
    )


def _recipe(recipe: Recipe) -> str:
    content = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return f"## Recipe\n\n`mimo-eval train recipe.yaml` with this file, which lies beside:\n\n```yaml\n{content}```"


def _versions(record: dict[str, Any]) -> str:
    found = record["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        f"## Made with\n\n{versions}, Python {found['python']}, {found['platform']}. "
        f"{record['seconds']:,.0f} seconds, {record['peak_memory'] / 2**30:.1f} GiB."
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    :param head: the columns.
    :param rows: their cells.
    :return: lines without a last line end.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
