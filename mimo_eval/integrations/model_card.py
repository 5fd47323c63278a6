"""A result in a model card of the Hugging Face hub: `model-index` metadata, a section with a table, `.eval_results` files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import MAX_LINE, atomic_write
from mimo_eval.integrations.mteb.definitions import revision
from mimo_eval.integrations.mteb.names import mteb_measure
from mimo_eval.markdown import escaped
from mimo_eval.results import Result, SettingScores, require_exact
from mimo_eval.safe_yaml import parse_yaml

SOURCE = {"name": "mimo-eval", "url": "https://github.com/mimo-eval/mimo-eval"}
"""By this entry results of this package are known from those of others."""
BEGIN, END = "<!-- mimo-eval: begin -->", "<!-- mimo-eval: end -->"
SECTION = re.compile(rf"{re.escape(BEGIN)}.*?{re.escape(END)}", re.S)
FRONT = re.compile(r"\A(?:\ufeff)?---[ \t]*\n(?P<yaml>.*?)^---[ \t]*(?:\n|\Z)", re.S | re.M)
INDEX = re.compile(r"^model-index:.*?(?=(?:^#[^\n]*\n|^[ \t]*\n)*(?:^[^\s#-]|\Z))", re.S | re.M)
"""The key `model-index` of the metadata with all that belongs to it; comments before the next key are that key's."""


class Section(NamedTuple):
    """What a card gets."""

    entries: list[dict[str, Any]]
    """Entries of `model-index`'s results."""
    markdown: str
    """The section between the markers."""


def section(results: list[Result]) -> Section:
    """Return what results are in a model card.

    :param results: of one model.
    :return: metadata and text.
    :raises ConfigError: if they are of several models.
    :raises DataError: if they hold no score.
    """
    rows = _rows(results)
    return Section([_entry(*row) for row in rows], _markdown(rows))


def _rows(results: list[Result]) -> list[tuple[Result, SettingScores]]:
    """Return the mixes of one model's results that have scores."""
    for result in results:
        require_exact(result, "a model card")
    names = dict.fromkeys(result.model["name"] for result in results)
    if len(names) > 1:
        raise ConfigError(f"a model card is of one model; these results are of {', '.join(names)}")
    rows = [(result, setting) for result in results for setting in result.settings if setting.scores]
    if not rows:
        raise DataError("the results hold no score")
    return rows


def _entry(result: Result, setting: SettingScores) -> dict[str, Any]:
    """Return one mix as an entry of `model-index`."""
    collection = next(c for c in result.collections if c["name"] == setting.collection)
    measured = {name: value for name, value in setting.scores.items() if value is not None}
    order = sorted(measured, key=lambda name: name != setting.main)
    return {
        "task": {"type": "text-retrieval", "name": f"Retrieval ({setting.setting})"},
        "dataset": {
            "type": setting.collection,
            "name": f"{collection['title']}, {setting.mix}",
            "config": setting.mix,
            "split": "test",
            "revision": revision(collection["revision"], setting.mix),
        },
        "metrics": [{"type": _kind(name), "value": measured[name], "name": name} for name in order],
        "source": dict(SOURCE),
    }


def _kind(name: str) -> str:
    """Return a measure's name as the hub writes types: `R@100` becomes `recall_at_100`."""
    return re.sub(r"[^a-z0-9]+", "_", mteb_measure(name).lower().replace("@", "_at_")).strip("_")


def _markdown(rows: list[tuple[Result, SettingScores]]) -> str:
    mains = list(dict.fromkeys([setting.main for _, setting in rows] + ["LPR"]))
    shown = [m for m in mains if any(setting.scores.get(m) is not None for _, setting in rows)]
    head = ["collection", "setting", "mix", *shown]
    lines = [BEGIN, "## Retrieval in corpora of many languages", ""]
    lines += ["| " + " | ".join(map(escaped, head)) + " |", "|:--|:--|:--|" + "--:|" * len(shown)]
    for _, setting in rows:
        values = (setting.scores.get(measure) for measure in shown)
        cells = [escaped(setting.collection), escaped(setting.setting), escaped(setting.mix)]
        lines.append("| " + " | ".join([*cells, *("" if v is None else f"{v:.4f}" for v in values)]) + " |")
    versions = dict.fromkeys(str(result.environment.get("versions", {}).get("mimo-eval", "")) for result, _ in rows)
    lines += ["", f"Evaluated with [mimo-eval]({SOURCE['url']}) {', '.join(filter(None, versions))}".rstrip() + "."]
    prompts = rows[0][0].model.get("prompts")
    if isinstance(prompts, dict) and any(prompts.values()):
        said = "; ".join(f"{role}: {_code(str(text))}" for role, text in prompts.items() if text)
        lines += ["", f"Prompts: {said}."]
    return "\n".join([*lines, END])


def _code(text: str) -> str:
    """Return a text as inline code, fenced by more backticks than stand in it."""
    flat = re.sub(r"\s", " ", text).replace("<!--", "<! --")
    fence = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    return f"{fence} {flat} {fence}"


def updated(text: str, name: str, new: Section, where: str = "the card") -> str:
    """Put results into a model card; what others wrote stays as it is, byte for byte.

    Of the metadata only `model-index` is written anew; entries of the same data set, configuration and split that came from
    this package are replaced, all others are kept. The section stands between its markers, at the end if there are none yet.

    :param text: the card, perhaps empty.
    :param name: the model's name, for a card without `model-index`.
    :param new: what to put in.
    :param where: what the card is called in messages.
    :return: the card.
    :raises DataError: if its metadata cannot be read, or a marker stands without the other.
    """
    front = FRONT.match(text)
    if front is None:
        content, body = _metadata("", name, new.entries, where), text.removeprefix("\ufeff")
        if re.match(r"---[ \t]*\n", body):
            raise DataError(f"{where}: metadata begin with --- and do not end; add a line with --- after them")
        body = f"\n{body}" if body else body
    else:
        content, body = _metadata(front["yaml"], name, new.entries, where), text[front.end() :]
    return f"---\n{content}---\n{_body(body, new.markdown, where)}"


def _body(body: str, markdown: str, where: str) -> str:
    if body.count(BEGIN) != body.count(END) or body.count(BEGIN) > 1 or (BEGIN in body and not SECTION.search(body)):
        raise DataError(f"{where}: the markers {BEGIN} and {END} do not stand once each, in this order; remove them")
    if BEGIN in body:
        return SECTION.sub(lambda _: markdown, body)
    gap = "" if not body else "\n" if body.endswith("\n") else "\n\n"
    return f"{body}{gap}{markdown}\n"


def _metadata(block: str, name: str, entries: list[dict[str, Any]], where: str) -> str:
    """Return the card's metadata with `model-index` brought up to date."""
    try:
        known = parse_yaml(block) or {}
    except ValueError as error:
        raise DataError(f"{where}: its metadata are not YAML ({error})") from error
    if not isinstance(known, dict):
        raise DataError(f"{where}: its metadata are not a list of keys and values")
    index = known.get("model-index") or [{"name": name, "results": []}]
    try:
        old = list(index[0]["results"] or ())
        replaced = {_same(entry) for entry in entries}
        kept = [
            entry for entry in old if (entry.get("source") or {}).get("name") != SOURCE["name"] or _same(entry) not in replaced
        ]
        index[0]["results"] = [*kept, *entries]
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(f"{where}: its model-index is not [{{name, results: [{{task, dataset, metrics}}]}}]") from error
    made = yaml.safe_dump({"model-index": index}, sort_keys=False, allow_unicode=True, width=MAX_LINE)
    if "model-index" not in known:
        return f"{block}{made}" if block.endswith("\n") or not block else f"{block}\n{made}"
    changed = INDEX.sub(lambda _: made, block, count=1)
    if parse_yaml(changed) != {**known, "model-index": index}:
        raise DataError(
            f"{where}: its metadata have model-index in a way that cannot be replaced; write it as a block of its own"
        )
    return changed


def _same(entry: dict[str, Any]) -> tuple[Any, ...]:
    dataset = entry.get("dataset") or {}
    return tuple(dataset.get(key) for key in ("type", "config", "split"))


def update_card(path: Path, results: list[Result]) -> bool:
    """Write results into a model card on disk.

    :param path: the `README.md`, made if it is not there.
    :param results: of one model.
    :return: whether anything changed.
    :raises DataError: if the file cannot be read or changed.
    """
    try:
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    if "\r\n" in text:
        raise DataError(f"{path}: has CR-LF line ends; save it with LF")
    new = updated(text, str(results[0].model["name"]), section(results), str(path))
    if new != text:
        with atomic_write(path, "w") as stream:
            stream.write(new)
    return new != text


def eval_results(results: list[Result], dataset: str) -> str:
    """Return results as a file for a model's `.eval_results/` folder.

    :param results: of one model.
    :param dataset: id of the data set on the hub that declares the benchmark; its tasks are named `COLLECTION:MIX`.
    :return: YAML, one entry per mix, the value of its main measure.
    :raises ConfigError: if `dataset` is no hub id, or the results are of several models.
    :raises DataError: if they hold no score.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset):
        raise ConfigError(f"'{dataset}' is not the id of a data set on the hub, such as org/name")
    entries = []
    for result, setting in _rows(results):
        value = setting.scores.get(setting.main)
        if value is None:
            continue
        collection = next(c for c in result.collections if c["name"] == setting.collection)
        entries.append(
            {
                "dataset": {
                    "id": dataset,
                    "task_id": f"{setting.collection}:{setting.mix}",
                    "revision": revision(collection["revision"], setting.mix),
                },
                "value": value,
                "date": result.created[:10],
                "notes": f"{setting.main}, {setting.setting}; mimo-eval, key {result.key[:12]}",
                "source": dict(SOURCE),
            }
        )
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=MAX_LINE)
