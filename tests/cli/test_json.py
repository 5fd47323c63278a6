"""What lists and plans print for programs."""

from __future__ import annotations

import json

import pytest
from calling import call


def printed(*arguments, cwd, code=0):
    done = call(*arguments, "--format", "json", cwd=cwd)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_plan_adds_up(tmp_path):
    (plan,) = printed(
        "plan", "hashing(dim=8)", "--languages", "en,de", "--rate", "10", "--gpus", "2", "--price-per-hour", "3", cwd=tmp_path
    )
    queries, documents = plan["estimates"]
    assert (documents["role"], documents["texts"], documents["lacking"], documents["seconds"]) == ("document", 134, 134, 13.4)
    assert queries["texts"] == 268 and queries["stored"] == 0 and queries["tokens"] is None
    seconds = queries["seconds"] + documents["seconds"]
    assert plan["device_hours"] == pytest.approx(seconds / 3600) and plan["hours"] == plan["device_hours"] / 2
    assert plan["dollars"] == pytest.approx(seconds / 1200) and plan["complete"] and plan["devices"] == 2
    assert plan["bytes"] == queries["bytes"] + documents["bytes"] == 402 * (8 * 4 + 20)


def test_a_plan_of_what_is_not_counted_is_the_least(tmp_path):
    (plan,) = printed("plan", "hashing(dim=8)", "-b", "mimo", "--rate", "10", cwd=tmp_path)
    assert plan["complete"] is False and plan["dollars"] is None
    assert None in [row["texts"] for row in plan["estimates"]]


def test_benchmarks(tmp_path):
    assert "mini" in [benchmark["name"] for benchmark in printed("benchmarks", "list", cwd=tmp_path)]
    shown = printed("benchmarks", "show", "miracl", cwd=tmp_path)
    (need,) = {need["name"]: need for need in shown["needs"]}.values()
    assert shown["name"] == "miracl" and need["state"] == "not downloaded" and need["missing"] == need["size"] > 10**9
    assert need["repositories"][0]["gated"] in (True, False)
    both = call("benchmarks", "show", "mini", "--yaml", "--format", "json", cwd=tmp_path)
    assert both.returncode == 2 and "choose one" in both.stderr


def test_collections(tmp_path):
    states = {item["name"]: item["state"] for item in printed("data", "list", cwd=tmp_path)}
    assert states["mini"] == "in the package" and states["miracl"] == "not downloaded" and states["tydiqa"] == "needs --data"
    shown = printed("data", "show", "mini", "--languages", "en,de", cwd=tmp_path)
    assert (
        shown["counts"]["documents"] == {"de": 67, "en": 67} and len(shown["revision"]) > 12 and shown["licence"] == "CC0-1.0"
    )


def test_a_cache_in_which_nothing_was_kept_yet_is_empty(tmp_path, monkeypatch):
    monkeypatch.delenv("MIMO_EVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert printed("cache", "ls", cwd=tmp_path) == []
    assert printed("cache", "verify", cwd=tmp_path) == {"good": 0, "unchecked": 0, "damaged": []}


def test_the_cache(tmp_path, cache):
    line = ("run", "hashing(dim=8)", "--languages", "en,de", "--mix", "parallel")
    assert call(*line, "--format", "json", cwd=tmp_path).returncode == 0
    entries = printed("cache", "ls", cwd=tmp_path)
    vectors = [entry for entry in entries if entry["kind"] == "vectors"]
    assert {entry["name"] for entry in vectors} == {"hashing"} and all(entry["size"] > 0 for entry in entries)
    whole = printed("cache", "verify", cwd=tmp_path)
    assert whole["good"] > 0 and whole["damaged"] == []
    chunk = next(cache.rglob("*.safetensors"))
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\x00\x01")
    (damage,) = printed("cache", "verify", cwd=tmp_path, code=3)["damaged"]
    assert damage["path"] == str(chunk) and damage["what"] and damage["removed"] is False
    (repaired,) = printed("cache", "verify", "--repair", cwd=tmp_path)["damaged"]
    assert repaired["removed"] is True and not chunk.exists()
