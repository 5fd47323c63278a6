from __future__ import annotations

import gc
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mimo_eval
from mimo_eval import evaluation
from mimo_eval.benchmark import of_folder
from mimo_eval.cache import KINDS, Damage, collect, entries, parse_age, parse_size, repair, verify
from mimo_eval.cli.cache import command
from mimo_eval.collections import Texts, load
from mimo_eval.embeddings import VectorStore
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.locks import USED, Use, unused
from mimo_eval.models.loading import load_model
from mimo_eval.models.pairs import Pairs
from mimo_eval.search.index_store import IndexStore


@pytest.fixture
def full(tmp_path: Path, folders: Callable[..., Path], cache: Path) -> Path:
    """A cache after a run of an encoder and a retriever; returns the collection's folder."""
    documents = {lang: {f"g{i}": f"{lang} passage {i}" for i in range(6)} for lang in ("de", "en")}
    queries = {lang: {f"q{i}": f"{lang} question {i}" for i in range(3)} for lang in ("de", "en")}
    folder = folders(tmp_path / "toy", documents, queries, {f"q{i}": {f"g{i}": 1} for i in range(3)})
    for model in ("hashing", "bm25"):
        evaluation.run(model, of_folder(folder))
    pairs = Pairs(cache / "pairs" / "model" / "collection")
    pairs.add(pairs.codes(["q"], np.array([[1, 2]]))[0], np.float32([0.5, 0.25]))
    return folder


@pytest.fixture
def named(full: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The name of that collection in a store that machines share; returns its record in the cache."""
    monkeypatch.setenv("MIMO_EVAL_STORE", str(tmp_path / "shared"))
    load(str(full), languages=("de",))
    return next(cache.glob("names/*.json"))


def damages() -> list[Damage]:
    return [checked.damage for checked in verify() if checked.damage]


def flip(path: Path, at: int = -3) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x20
    path.write_bytes(data)


def test_what_lies_there(full: Path) -> None:
    found = {(e.kind, e.name, e.detail) for e in entries()}
    assert found == {
        ("vectors", "hashing", "query, 6 vectors in 2 languages"),
        ("vectors", "hashing", "document, 12 vectors in 2 languages"),
        ("indexes", "bm25", "2 indexes of 12 documents"),
        ("collections", "toy", "12 documents, 6 queries"),
        ("pairs", "model", "1 file"),
    }
    assert all(e.size > 0 and time.time() - e.used < 600 for e in entries())


def test_what_was_written_is_whole_and_nothing_is_left_out(full: Path, cache: Path) -> None:
    looked_at = [checked.path.relative_to(cache).parts[0] for checked in verify()]
    assert {kind: looked_at.count(kind) for kind in looked_at} == {"vectors": 6, "indexes": 3, "collections": 16, "pairs": 1}
    assert damages() == []


@pytest.mark.parametrize(
    "pattern",
    [
        "vectors/**/*.safetensors",
        "vectors/*/encoder.json",
        "indexes/**/manifest.json",
        "indexes/*/retriever.json",
        "indexes/*/*/*/*/*.npy",
        "collections/*/documents.arrow",
        "collections/*/queries.arrow",
        "collections/*/documents.id_order.bin",
        "collections/*/documents.text_hash.bin",
        "collections/*/qrels.parquet",
        "collections/*/collection.json",
        "collections/*/checksums.json",
        "pairs/**/*.npz",
    ],
)
def test_a_flipped_bit_is_found_named_and_its_part_alone_removed_and_made_again(full: Path, cache: Path, pattern: str) -> None:
    victim = sorted(cache.glob(pattern))[0]
    others = {p: p.read_bytes() for kind in ("vectors", "collections") for p in (cache / kind).rglob("*") if p.is_file()}
    flip(victim, victim.stat().st_size // 3)
    found = damages()
    assert found
    assert all(victim == d.path or victim.is_relative_to(d.path) or victim.is_relative_to(d.remove) for d in found)
    result = CliRunner().invoke(command, ["verify"])
    assert result.exit_code == 3
    assert str(found[0].path) in result.output
    tried = repair(found)
    assert list(tried.values()) == [None]
    removed = list(tried)
    assert (victim == removed[0]) or victim.is_relative_to(removed[0])
    left = {p: p.read_bytes() for kind in ("vectors", "collections") for p in (cache / kind).rglob("*") if p.is_file()}
    assert left == {p: data for p, data in others.items() if p != removed[0] and not p.is_relative_to(removed[0])}
    for model in ("hashing", "bm25"):
        evaluation.run(model, of_folder(full))
    assert damages() == []


def flip_letter(path: Path, letters: bytes) -> None:
    flip(path, path.read_bytes().index(letters))


def test_a_damaged_text_is_named_and_neither_encoded_nor_indexed(full: Path, cache: Path) -> None:
    """Before vectors are made of it, and whatever else reads it."""
    victim = next(cache.glob("collections/*/documents.arrow"))
    flip_letter(victim, b"en passage 3")
    for kind in ("vectors", "indexes"):
        shutil.rmtree(cache / kind)
    for model in ("hashing", "bm25"):
        with pytest.raises(DataError, match=rf"{victim}: damaged, the text of 'en:g3' is not .*cache verify --repair"):
            evaluation.run(model, of_folder(full))
    assert CliRunner().invoke(command, ["verify", "--repair"]).exit_code == 0
    assert evaluation.run("hashing", of_folder(full)).result.encoded["encoded"] == 6  # the rest was done before


def test_vectors_of_a_damaged_text_are_never_taken_for_those_of_the_right_one(
    full: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a version that did not compare texts has left them: its checksums are right."""
    right = {path: path.read_bytes() for path in cache.glob("vectors/**/*.safetensors")}
    victim = next(cache.glob("collections/*/documents.arrow"))
    whole = victim.read_bytes()
    shutil.rmtree(cache / "vectors")
    flip_letter(victim, b"en passage 3")
    with monkeypatch.context() as older:
        older.setattr(
            VectorStore,
            "_offsets",
            lambda self, lang, rows, claimed=False: self.shards[lang].missing(self.texts.positions(rows), claimed),
        )
        older.setattr("mimo_eval.collections.collection.leading", lambda hashes: 0)
        older.setattr(Texts, "text_hash", np.zeros(100))
        evaluation.run("hashing", of_folder(full))
    victim.write_bytes(whole)
    (wrong,) = (path for path, content in right.items() if path.read_bytes() != content)
    assert [(damage.path, damage.what.partition(" of the ")[0]) for damage in damages()] == [
        (wrong, "vectors of other texts than those")
    ]
    assert damages()[0].what.endswith(": 1")
    shutil.copy(wrong, wrong.with_name("000007.safetensors"))
    assert damages()[1].what.endswith(": 6")
    assert repair(damages()[1:]) == {wrong.with_name("000007.safetensors"): None}
    assert evaluation.run("hashing", of_folder(full)).result.encoded == {"encoded": 1, "read": 17}
    assert f"{wrong.parent}: vectors of other texts than those of the collection, encoded again: en:g3" in caplog.text
    assert {path: path.read_bytes() for path in cache.glob("vectors/**/*.safetensors")} == right
    assert damages() == []


def test_a_release_of_this_package_builds_no_collection_anew(full: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "mimo_eval"]:
        if hasattr(module, "__version__"):
            monkeypatch.setattr(module, "__version__", "99.0")
    before = {path for kind in ("collections", "indexes", "vectors") for path in (cache / kind).iterdir()}
    for model in ("hashing", "bm25"):
        assert evaluation.run(model, of_folder(full)).result.encoded["encoded"] == 0
    assert {path for kind in ("collections", "indexes", "vectors") for path in (cache / kind).iterdir()} == before


def test_the_commands_exit_codes(full: Path, cache: Path) -> None:
    run = CliRunner().invoke
    assert run(command, ["verify"]).exit_code == 0
    flip(sorted(cache.glob("vectors/**/*.safetensors"))[0])
    assert run(command, ["verify"]).exit_code == 3
    assert run(command, ["verify", "--repair"]).exit_code == 0
    assert run(command, ["verify"]).exit_code == 0
    assert run(command, ["path"]).output.strip() == str(cache)
    shown = run(command, ["ls"]).output
    assert "hashing" in shown and "12 vectors in 2 languages" in shown


def test_names_in_a_shared_store_are_listed_verified_and_collected(named: Path, full: Path) -> None:
    (entry,) = (e for e in entries() if e.kind == "names")
    assert (entry.path, entry.name) == (named, "folder toy")
    assert re.fullmatch(r"the collection toy-[0-9a-f]+ in de, of the store that machines share", entry.detail)
    assert any(checked.path == named for checked in verify())
    named.write_text("{")
    assert [(damage.path, damage.remove) for damage in damages()] == [(named, named)]
    repair(damages())
    assert not named.exists()
    load(str(full), languages=("de",))
    age(named, 40)
    assert [e.path for e in collect(parse_age("30d"))[0]] == [named]
    assert load(str(full), languages=("de",)).languages == ("de",) and named.exists()


def test_every_folder_that_the_package_keeps_in_the_cache_is_of_a_kind() -> None:
    source = "".join(path.read_text("utf-8") for path in Path(mimo_eval.__file__).parent.rglob("*.py"))
    assert set(re.findall(r'cache_dir\(\) / "(\w+)"', source)) == set(KINDS)


def test_a_half_copied_collection_is_made_again(full: Path, cache: Path) -> None:
    victim = next(cache.glob("collections/*/documents.arrow"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    evaluation.run("hashing", of_folder(full))
    assert victim.read_bytes() == whole
    next(cache.glob("collections/*/qrels.parquet")).unlink()
    evaluation.run("hashing", of_folder(full))
    assert damages() == []


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for file in [path, *path.rglob("*")]:
        os.utime(file, (then, then))


def test_what_was_not_used_for_long_goes(full: Path) -> None:
    old = next(e for e in entries() if e.kind == "indexes")
    age(old.path, 40)
    assert [e.path for e in collect(parse_age("30d"), dry_run=True)[0]] == [old.path]
    assert old.path.exists()
    assert [e.path for e in collect(parse_age("30d"))[0]] == [old.path]
    assert not old.path.exists()
    assert len(entries()) == 4


def test_a_use_makes_young(full: Path) -> None:
    for entry in entries():
        age(entry.path, 40)
    evaluation.run("hashing", of_folder(full))
    assert {e.kind for e in collect(parse_age("30d"))[0]} == {"indexes", "pairs"}


def test_the_longest_unused_go_until_the_rest_fits(full: Path) -> None:
    found = entries()
    for number, entry in enumerate(found):
        age(entry.path, number + 1)
    size = sum(e.size for e in found)
    removed, _ = collect(max_size=size - 1)
    assert [e.path for e in removed] == [found[-1].path]
    assert [e.path for e in collect(max_size=0)[0]] == [e.path for e in reversed(found[:-1])]


def test_what_a_process_uses_stays(full: Path) -> None:
    entry = next(e for e in entries() if e.kind == "vectors")
    use = Use(entry.path)
    age(entry.path, 40)
    removed, left = collect(parse_age("30d"))
    assert (removed, [(kept.entry.path, kept.why) for kept in left]) == ([], [(entry.path, "in use")])
    assert CliRunner().invoke(command, ["gc", "--older-than", "30d"]).exit_code == 0
    del use
    assert [e.path for e in collect(parse_age("30d"))[0]] == [entry.path]


USER = """
import os, sys
from pathlib import Path
from mimo_eval.locks import Use
if os.getuid() == 0:  # everything may be written by root
    os.setuid(65534)
use = Use(Path(sys.argv[1]))
print("holds it", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="users are POSIX")
def test_what_a_process_of_another_user_uses_stays() -> None:
    """The file that is locked is the owner's; others may read it and not write it."""
    folder = Path(tempfile.mkdtemp())  # pytest's own are closed to other users
    try:
        folder.chmod(0o755)
        (folder / USED).touch()
        (folder / USED).chmod(0o444)
        command = [sys.executable, "-c", USER, str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "holds it\n"
            (folder / USED).chmod(0o644)
            with unused(folder) as free:
                assert not free
            process.communicate()
        with unused(folder) as free:
            assert free
    finally:
        shutil.rmtree(folder)


def test_what_a_run_uses_stays(full: Path) -> None:
    collection, entry = load(str(full)), {e.kind: e for e in entries()}
    index = IndexStore(load_model("bm25"))
    index.get("de", collection.documents, collection.documents.rows("de"), lambda: pytest.fail("it is there"))
    for kind in ("collections", "indexes"):
        age(entry[kind].path, 40)
    assert collect(parse_age("30d"))[0] == []
    assert pickle.loads(pickle.dumps(collection.use)) is not None
    del collection, index
    gc.collect()
    age(entry["collections"].path, 40)
    assert {e.kind for e in collect(parse_age("30d"))[0]} == {"collections", "indexes"}


def test_an_index_that_was_just_built_stays(full: Path, cache: Path) -> None:
    shutil.rmtree(cache / "indexes")
    collection, index = load(str(full)), IndexStore(load_model("bm25"))
    rows = collection.documents.rows("de")
    index.get("de", collection.documents, rows, lambda: index.retriever.index(["eins"] * len(rows), langs=["de"] * len(rows)))
    (entry,) = (e for e in entries() if e.kind == "indexes")
    age(entry.path, 40)
    assert collect(parse_age("30d"))[0] == []


def test_unfinished_things_go_when_they_are_old(full: Path, cache: Path) -> None:
    left = cache / "collections" / ".build-x"
    shutil.copytree(next(cache.glob("collections/toy*")), left)
    assert collect() == ([], [])
    age(left, 1)
    assert [e.path for e in collect()[0]] == [left]


def test_a_clock_that_jumps_back_removes_nothing(full: Path) -> None:
    for entry in entries():
        age(entry.path, -400)  # used in the future
    assert collect(parse_age("30d")) == ([], [])


def test_ages_and_sizes() -> None:
    assert [parse_age(text) for text in ("90m", "12h", "1.5d", "2 w")] == [5400, 43_200, 129_600, 1_209_600]
    sizes = [parse_size(text) for text in ("50GB", "800M", "1.5TiB", "12", "3 kb")]
    assert sizes == [50 * 10**9, 8 * 10**8, 3 * 2**39, 12, 3000]
    for text in ("", "30", "d", "-1d", "30 days"):
        with pytest.raises(ConfigError, match="is no age"):
            parse_age(text)
    for text in ("", "GB", "-1GB", "1PB"):
        with pytest.raises(ConfigError, match="is no size"):
            parse_size(text)


def test_an_empty_cache(cache: Path) -> None:
    cache.mkdir()
    assert entries() == [] and list(verify()) == [] and collect(0, 0) == ([], [])
    assert CliRunner().invoke(command, ["ls"]).exit_code == 0
    assert not (cache / USED).exists()


@pytest.mark.parametrize("name", ["ls", "verify", "gc"])
def test_a_cache_that_is_not_there_is_not_said_to_be_whole(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for what in ("no such folder", "a file, not a folder"):
        with pytest.raises(ConfigError, match=f"MIMO_EVAL_CACHE {cache}: {what}; set MIMO_EVAL_CACHE to where the cache lies"):
            CliRunner().invoke(command, [name], catch_exceptions=False)
        cache.write_text("")
    monkeypatch.delenv("MIMO_EVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(command, [name])
    assert (done.exit_code, "nothing was kept yet" in done.output) == (0, True)


def test_repair_leaves_what_a_process_uses(full: Path, cache: Path) -> None:
    victims = [next(cache.glob("collections/*/documents.arrow")), min(cache.glob("vectors/**/*.safetensors"))]
    for victim in victims:
        flip(victim, victim.stat().st_size // 3)
    uses = [Use(victims[0].parent), Use(cache / "vectors" / victims[1].relative_to(cache / "vectors").parts[0])]
    done = CliRunner().invoke(command, ["verify", "--repair"])
    assert done.exit_code == 3
    assert done.stderr.count("not removed, in use: ") == 2
    assert all(victim.exists() for victim in victims)
    del uses
    assert CliRunner().invoke(command, ["verify", "--repair"]).exit_code == 0
    assert not any(victim.exists() for victim in victims)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="users are POSIX")
def test_gc_says_why_something_stays() -> None:
    code = """
    import os, sys
    from pathlib import Path
    import mimo_eval.cache
    from click.testing import CliRunner
    from mimo_eval.cli.cache import command
    cache = Path(os.environ["MIMO_EVAL_CACHE"])
    (cache / "studies" / "one").mkdir(parents=True)
    os.utime(cache / "studies" / "one", (1, 1))
    for path in (cache / "studies" / "one", cache / "studies"):
        path.chmod(0o555)
    if os.getuid() == 0:  # nothing is read-only to root
        os.setuid(65534)
    done = CliRunner().invoke(command, ["gc", "--older-than", "1d"])
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    print(done.exit_code, done.stderr)
    """
    folder = Path(tempfile.mkdtemp())  # pytest's own are closed to others
    try:
        folder.chmod(0o755)
        env = {**os.environ, "MIMO_EVAL_CACHE": str(folder)}
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=env, capture_output=True, text=True)
    finally:
        shutil.rmtree(folder)
    assert done.stdout.strip() == "3 Permission denied, kept: studies: one, 0 files", done.stderr
