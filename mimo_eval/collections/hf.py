"""Any data set in MTEB's retrieval layout, on the hub or in a folder: `corpus`, `queries`, `qrels`, one set per subset.

Which files a part has is read from the `configs:` of README.md, or told from their names. Nothing of the repository is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mimo_eval.collections.jsonl import read_relevance
from mimo_eval.collections.records import Info, Judgement, Problems, Text, lacking
from mimo_eval.collections.remote import Layout, Remote, Repo
from mimo_eval.collections.tables import need_fields, read_records
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.languages import normalise
from mimo_eval.safe_yaml import parse_yaml

README = "README.md"
README_BYTES = 5_000_000
PARTS = {"corpus": ("corpus",), "queries": ("queries", "query"), "qrels": ("qrels", "default")}
"""Part to the names of its configuration."""
SPLITS = ("test", "dev", "validation", "train")
LAYOUT = "configurations corpus, queries and qrels (or default), or {subset}-corpus and so on"


@dataclass(frozen=True)
class Subset:
    """The patterns of one subset's files."""

    name: str
    """Empty where a data set has no subsets."""
    corpus: tuple[str, ...]
    queries: tuple[str, ...]
    qrels: tuple[str, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns, each once."""
        return tuple(dict.fromkeys((*self.corpus, *self.queries, *self.qrels)))


class HubRetrieval:
    """A data set in MTEB's layout.

    The language of a subset is its name (`de`, `zho`; of `eng-deu`, first the documents', then the queries'), or a column
    `lang`, or the option.

    :param data: folder of downloads, or a copy of the repository.
    :param wanted: languages to read; None for all.
    :param repo: name on the hub.
    :param subset: read this one only.
    :param split: of the judgements; by default the only one, else test, dev, validation or train.
    :param revision: branch, tag or commit.
    :param lang: language of all texts, where neither subsets nor a column say it.
    :param parallel: whether equal ids in several subsets are translations of one text.
    :param licence: what tables and results say; by default what the README says.
    """

    def __init__(
        self,
        data: Path,
        wanted: tuple[str, ...] | None = None,
        repo: str = "",
        subset: str | None = None,
        split: str | None = None,
        revision: str = "main",
        lang: str | None = None,
        parallel: bool = False,
        licence: str = "",
    ) -> None:
        self.repo = _repo(repo, revision, licence)
        self.wanted, self.lang, self.grouped_judgements = wanted, normalise(lang) if lang else None, parallel
        layout = Layout(data, f"hf({repo})")
        readme = layout.files(self.repo, README)
        self.parts = {
            sub: {part: _files(layout, self.repo, getattr(sub, part)) for part in PARTS}
            for sub in _pick(_subsets(readme, _names(layout, self.repo), split), subset, wanted, self.repo)
        }
        tail = f"-{subset}" if subset else ""
        self.info = Info(
            name=repo.rpartition("/")[2] + tail + (f"-{split}" if split else ""),
            title=f"{repo}{f', {subset}' if subset else ''}",
            licence=licence or _licence(readme),
            provenance=repo,
            judged_within_language=not parallel and len(self.parts) > 1,
        )

    positional: tuple[str, ...] = ("repo",)
    """Options that may be written without their name."""

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None, **options: Any) -> Remote:
        """Say what is downloaded; the repository's README, if it has one, is fetched first: it says which files there are."""
        from mimo_eval.collections import downloads

        repo = _repo(str(options.get("repo", "")), str(options.get("revision", "main")), str(options.get("licence", "")))
        bare = Remote((replace(repo, files=()),))
        record = (downloads.known(bare) or downloads.plan(bare))[0].record
        repo = replace(repo, files=tuple(name for name in repo.files if name in record.listed))
        parts = downloads.known(Remote((repo,))) or []
        if any(part.missing for part in parts):
            downloads.fetch(parts)
        readme = [record.folder / README]
        found = _subsets(readme, sorted(record.listed), options.get("split"))
        picked = _pick(found, options.get("subset"), wanted, repo)
        patterns = dict.fromkeys(pattern for sub in picked for pattern in sub.patterns)
        return Remote((replace(repo, files=(*repo.files, *patterns), licence=repo.licence or _licence(readme)),))

    def files(self) -> list[Path]:
        """Return the files of every part."""
        return list(dict.fromkeys(path for parts in self.parts.values() for paths in parts.values() for path in paths))

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the documents."""
        for sub, parts in self.parts.items():
            for path in parts["corpus"]:
                for record, where in read_records(path, ("_id", "id", "title", "text", "lang", "language"), problems):
                    text = self._text(record, where, problems, _language(sub.name, 0))
                    if text is not None:
                        yield text._replace(title=str(record.get("title") or ""))

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the queries that are judged, as MTEB does: files may hold those of other splits too."""
        for sub, parts in self.parts.items():
            judged = {record.get("query-id") for record, _ in _judged(parts["qrels"], Problems())}
            judged = {str(name) for name in judged}
            for path in parts["queries"]:
                for record, where in read_records(path, ("_id", "id", "text", "query", "lang", "language"), problems):
                    text = self._text(record, where, problems, _language(sub.name, 1))
                    if text is not None and str(record.get("_id", record.get("id"))) in judged:
                        yield text

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield the judgements."""
        for sub, parts in self.parts.items():
            stored, asked = (self.lang or _language(sub.name, side) for side in (0, 1))
            for record, where in _judged(parts["qrels"], problems):
                values = need_fields(record, ("query-id", "corpus-id"), where, problems)
                gain = read_relevance(str(record.get("score")).removesuffix(".0"), problems, where)
                if values is not None and gain is not None:
                    query, document = values
                    if not self.grouped_judgements:
                        query, document = (
                            (f"{asked}:{query}" if asked else query),
                            (f"{stored}:{document}" if stored else document),
                        )
                    yield Judgement(query, document, gain, where)

    def _text(self, record: dict[str, Any], where: str, problems: Problems, named: str) -> Text | None:
        """Return a text; its id has the language before it unless the language stands in a column."""
        own = record.get("lang") or record.get("language") or ""
        lang = self.lang or named or str(own)
        body = record.get("text") if record.get("text") is not None else record.get("query")
        values = need_fields({"id": record.get("_id", record.get("id")), "text": body}, ("id", "text"), where, problems)
        if values is None or (self.wanted is not None and lang and _known(lang) not in (None, *self.wanted)):
            return None
        name = f"{lang}:{values[0]}" if self.lang or named else values[0]
        return Text(name, values[1], lang, values[0] if self.grouped_judgements else None, where=where)


def _repo(name: str, revision: str, licence: str) -> Repo:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ConfigError(f"'{name}' is not the name of a data set on the hub; write hf(org/name)")
    return Repo(name, str(revision), (README,), licence)


def _subsets(readme: list[Path], names: list[str], split: str | None) -> list[Subset]:
    """Return the subsets of a data set, from the configurations in its README or, without any, from its files' names."""
    declared = _configs(readme)
    configs = {name: _split(splits, names, split if _part(name) == "qrels" else None) for name, splits in declared.items()}
    if not configs:
        configs = _guessed(names, split)
    subsets = []
    prefixes = {name.removesuffix("corpus").rstrip("-") for name in configs if name == "corpus" or name.endswith("-corpus")}
    for prefix in sorted(prefixes):
        found = {}
        for part, options in PARTS.items():
            keys = [f"{prefix}-{option}" if prefix else option for option in options]
            found[part] = next((configs[key] for key in keys if configs.get(key)), ())
        if all(found.values()):
            subsets.append(Subset(prefix, **found))
    return subsets


def _licence(readme: list[Path]) -> str:
    said = _front_matter(readme).get("license")
    names = [name for name in (said if isinstance(said, list) else [said]) if isinstance(name, str)]
    return ", ".join(names) or "not stated"


def _part(config: str) -> str:
    return next((part for part, options in PARTS.items() if config.rpartition("-")[2] in options), "")


def _front_matter(readme: list[Path]) -> dict[str, Any]:
    """Return what stands between the first lines `---` of a README; nothing if there is none."""
    if not readme or not readme[0].is_file():
        return {}
    path = readme[0]
    if path.stat().st_size > README_BYTES:
        raise DataError(f"{path}: larger than {README_BYTES:,} bytes")
    match = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", path.read_text("utf-8", errors="replace"), re.S)
    try:
        content = parse_yaml(match[1]) if match else {}
    except ValueError as error:
        raise DataError(f"{path}: its first lines are not YAML ({error})") from error
    return content if isinstance(content, dict) else {}


def _configs(readme: list[Path]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return configuration to split to patterns, as the README says."""
    try:
        entries = _front_matter(readme).get("configs") or []
        return {_scalar(entry["config_name"]): _by_split(entry.get("data_files")) for entry in entries}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{readme[0]}: its configurations cannot be read ({type(error).__name__}: {error})") from error


def _by_split(files: Any) -> dict[str, tuple[str, ...]]:
    if isinstance(files, str):
        return {"": (files,)}
    if isinstance(files, list) and all(isinstance(item, str) for item in files):
        return {"": tuple(files)}
    found = {}
    for item in files or []:
        path = item["path"]
        found[_scalar(item.get("split", ""))] = (path,) if isinstance(path, str) else tuple(map(_scalar, path))
    return found


def _scalar(value: Any) -> str:
    """Return a value as text; never that of a list, which aliases in YAML can make to expand without bound."""
    if isinstance(value, (list, dict)):
        raise TypeError("a list where a name is expected")
    return str(value)


def _split(splits: dict[str, tuple[str, ...]], names: list[str], wanted: str | None) -> tuple[str, ...]:
    """Return the patterns of one split: the one asked for, the only one, or the first usual one."""
    if wanted is not None and wanted in splits:
        return splits[wanted]
    if len(splits) == 1:
        return next(iter(splits.values()))
    return next((splits[name] for name in SPLITS if name in splits), ())


def _guessed(names: list[str], split: str | None) -> dict[str, tuple[str, ...]]:
    """Return configurations told from files' names: `de-corpus/…`, `corpus.jsonl`, `qrels/test.tsv`."""
    found: dict[str, list[str]] = {}
    for name in names:
        first, _, rest = name.partition("/")
        config = first if rest else re.sub(r"\.(jsonl|parquet|tsv|csv)(\.gz|\.zst)?$", "", first)
        if _part(config) and re.search(r"\.(jsonl|parquet|tsv|csv)(\.gz|\.zst)?$", name):
            found.setdefault(config, []).append(name)
    for config, paths in found.items():
        splits = [s for s in ((split,) if split else SPLITS) if any(re.search(rf"(^|/){s}\b", p) for p in paths)]
        if _part(config) == "qrels" and splits:
            found[config] = [p for p in paths if re.search(rf"(^|/){splits[0]}\b", p)]
    return {config: tuple(paths) for config, paths in found.items()}


def _pick(subsets: list[Subset], subset: str | None, wanted: tuple[str, ...] | None, repo: Repo) -> list[Subset]:
    if not subsets:
        raise DataError(f"{repo.name} is not in MTEB's retrieval layout: {LAYOUT} ({repo.page})")
    if subset is not None:
        found = [sub for sub in subsets if sub.name == str(subset)]
        if not found:
            raise ConfigError(
                f"{repo.name} has no subset '{subset}'; it has {', '.join(sub.name or '(none)' for sub in subsets)}"
            )
        return found
    langs = {sub.name: {_language(sub.name, side) for side in (0, 1)} - {""} for sub in subsets}
    found = [sub for sub in subsets if wanted is None or not langs[sub.name] or langs[sub.name] <= set(wanted)]
    there = set().union(*langs.values())
    if all(langs.values()) and (absent := set(wanted or ()) - there):
        raise lacking(repo.name, absent, there)
    if not found:
        subsets_of = ", ".join("-".join(sorted(some)) for some in langs.values())
        raise DataError(f"{repo.name} has no texts in {', '.join(wanted or ())} alone; it has {subsets_of}")
    return found


def _language(subset: str, side: int) -> str:
    """Return the language that a subset's name says of its documents (0) or queries (1); empty if it says none."""
    whole = _known(subset)
    if whole:
        return whole
    parts = subset.split("-")
    return (_known(parts[side]) or "") if len(parts) == 2 else ""


def _known(code: str) -> str | None:
    try:
        return normalise(code) if code else None
    except DataError:
        return None


def _names(layout: Layout, repo: Repo) -> list[str]:
    """Return the paths of all files in the first place of the layout that has any."""
    for root in layout.roots(repo):
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        if names:
            return sorted(name for name in names if not name.startswith("."))
    return []


def _files(layout: Layout, repo: Repo, patterns: tuple[str, ...]) -> list[Path]:
    """Return the files of some patterns; a pattern's `*` also stands for slashes, as on the hub."""
    roots = layout.roots(repo)
    for root in roots:
        found = [p for p in sorted(root.rglob("*")) if p.is_file() and _any(p.relative_to(root).as_posix(), patterns)]
        if found:
            return found
    raise DataError(f"{layout.data}: no {', '.join(patterns)} of {repo.name} here ({repo.page})")


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _judged(paths: list[Path], problems: Problems) -> Iterator[tuple[dict[str, Any], str]]:
    for path in paths:
        yield from read_records(path, ("query-id", "corpus-id", "score"), problems)
