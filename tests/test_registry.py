"""The registry: lazy, with near names, no duplicates, and safe beside broken plugins."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import EntryPoint

import pytest

from mimo_eval.errors import ConfigError, DataError, MimoEvalError, MissingExtraError, require
from mimo_eval.registry import Registry, load_attribute

GROUP = "mimo_eval.things"


@pytest.fixture
def plugins(monkeypatch):
    """Pretend that packages with some entry points are installed."""

    def install(**targets):
        points = [EntryPoint(name.replace("_", "-"), target, GROUP) for name, target in targets.items()]
        monkeypatch.setattr("mimo_eval.registry.entry_points", lambda group: points if group == GROUP else [])

    install()
    return install


def things(**builtin):
    return Registry("thing", GROUP, builtin)


def test_a_builtin_is_imported_only_when_asked_for(plugins):
    sys.modules.pop("this_module_is_not_there", None)
    registry = things(path="os:path.join", broken="this_module_is_not_there:x")
    assert registry.names() == list(registry) == ["broken", "path"]
    assert registry.get("path")("a", "b") == "a/b"
    with pytest.raises(ConfigError, match=r"thing 'broken' cannot be imported from this_module.*No module named"):
        registry.get("broken")


def test_a_registered_value_is_found_and_kept(plugins):
    registry = things()
    value = object()
    assert registry.register("mine", value) is value
    assert registry.get("mine") is value
    assert "mine" in registry
    assert "other" not in registry


def test_a_name_that_is_taken_is_refused(plugins):
    plugins(plug="os:path")
    registry = things(builtin="os:path")
    registry.register("mine", 1)
    for name in ("mine", "builtin", "plug"):
        with pytest.raises(ConfigError, match=f"thing '{name}' is registered already"):
            registry.register(name, 2)


def test_an_unknown_name_gets_near_names_or_all(plugins):
    registry = things(monolingual="os:path", parallel="os:path")
    with pytest.raises(ConfigError, match=r"unknown thing 'paralel'; did you mean parallel\?"):
        registry.get("paralel")
    with pytest.raises(ConfigError, match="known: monolingual, parallel"):
        registry.get("zzz")


def test_entry_points_of_other_packages_are_found(plugins):
    plugins(their_thing="os:path")
    registry = things(own="os:sep")
    assert registry.names() == ["own", "their-thing"]
    assert registry.get("their-thing").join("a", "b") == "a/b"


def test_a_builtin_wins_over_a_plugin_of_its_name_with_a_warning(plugins, caplog):
    plugins(own="os:path")
    registry = things(own="os:sep")
    with caplog.at_level(logging.WARNING):
        assert registry.get("own") == "/"
    assert "thing 'own' of os:path is ignored" in caplog.text


@pytest.mark.parametrize("target", ["no_such_module_here:x", "os:no_such_attribute", "os:path.no.such"])
def test_a_broken_plugin_breaks_only_itself(plugins, target):
    plugins(broken=target, good="os:path")
    registry = things()
    assert registry.get("good")
    with pytest.raises(ConfigError, match="thing 'broken' cannot be imported"):
        registry.get("broken")
    assert registry.names() == ["broken", "good"]


def test_a_plugins_own_error_is_passed_on(plugins, tmp_path, monkeypatch):
    (tmp_path / "needs_extra.py").write_text("from mimo_eval.errors import require\nrequire('no_such', 'gpu')\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins(one="needs_extra:x")
    with pytest.raises(MissingExtraError, match=r"pip install 'mimo-eval\[gpu\]'"):
        things().get("one")


def test_attributes_may_be_nested():
    assert load_attribute("os:path.join")("a", "b") == "a/b"


def test_every_error_has_an_exit_code_and_one_root():
    assert [e.exit_code for e in (MimoEvalError, ConfigError, MissingExtraError, DataError)] == [1, 2, 2, 3]
    assert all(issubclass(e, MimoEvalError) for e in (ConfigError, MissingExtraError, DataError))


def test_require_returns_the_module():
    assert require("json", "none").loads("1") == 1
