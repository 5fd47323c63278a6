"""The command line as a user meets it: help, exit codes, interruption."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mimo_eval.cli import main
from mimo_eval.cli.main import COMMANDS

HEAVY = ("numpy", "pandas", "torch", "faiss", "datasets", "pyarrow", "pydantic", "ir_measures", "sentence_transformers", "rich")


def call(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "mimo_eval.cli.main", *arguments], capture_output=True, text=True, timeout=120, **options
    )


def test_help_imports_nothing_heavy():
    """What `--help` may import decides how fast it answers."""
    code = (
        "import sys; sys.argv = ['mimo-eval', '--help']\n"
        "from mimo_eval.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"found = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "ours = sorted(m for m in sys.modules if m.startswith('mimo_eval'))\n"
        "print('FOUND', found, ours, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    allowed = ["mimo_eval", "mimo_eval.cli", "mimo_eval.cli.main", "mimo_eval.errors"]
    assert done.stderr.strip() == f"FOUND [] {allowed}"
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command):
    done = call(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["compare"], 2, "Missing argument"),
        (["run", "bm52"], 2, "did you mean bm25"),
        (["run", "bm25", "-b", "minni"], 2, "unknown benchmark 'minni'"),
        (["run", "bm25", "--mix", "paralel"], 2, "unknown mix 'paralel'"),
        (["run", "bm25", "--measures", "nDGC@10"], 2, "did you mean nDCG"),
        (["run", "bm25", "--languages", "en,klingon"], 3, "klingon"),
        (["run", "bm25", "--languages", "en,ko"], 3, "mini has no texts in ko; it has ar, de, en, es, fr, hi"),
        (["run", "bm25", "--languages", "ko"], 3, "mini has no texts in ko; it has ar, de, en, es, fr, hi"),
        (["run", "bm25(k2=1)"], 2, "unknown argument 'k2' of bm25; it takes k1, b, merge, analyzers"),
        (["run", "bm25", "-b", "xquad-r"], 3, "--data"),
        (["data", "validate", "nowhere/at/all"], 3, "no such folder"),
        (["no-such-command"], 2, "No such command"),
        (["leaderbord", "build"], 2, "did you mean leaderboard?"),
        (["analyze", "hashing", "--seed", "-1"], 2, "-1 is not in the range"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(arguments, code, message, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "MIMO_EVAL_DATA"}
    done = call(*arguments, cwd=tmp_path, env=environment)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_broken_off_training_is_told_to_resume(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mimo-eval", "train", "recipe"])
    monkeypatch.setattr(main.cli, "main", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(SystemExit) as done:
        main.main()
    assert done.value.code == 130
    assert "run the same command with --resume" in capsys.readouterr().err


SLOW = """
import time
import numpy as np
class Slow:
    name = "slow"
    def fingerprint(self, role):
        return {"model": "slow"}
    def encode(self, texts, *, role, lang):
        open("encoded.log", "a").write(f"{len(texts)}\\n")
        time.sleep(0.3)
        return np.random.default_rng(0).standard_normal((len(texts), 8)).astype(np.float32)
"""


def test_interrupt_keeps_what_was_encoded_and_exits_130(tmp_path):
    (tmp_path / "slow_model.py").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "mimo_eval.cli.main", "run", "slow_model:Slow", "--format", "json"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "encoded.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("result.json"))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)[0]
    assert result["encoded"]["read"] > 0
    assert sum(result["encoded"].values()) == 2010
