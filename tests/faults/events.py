"""Events that arrive twice, or during an audit, at a `saliency-audit serve` that runs for real."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from flows.ground.git import show
from flows.history.past_audits import PastAudit, past_audits
from flows.history.reaudit import reaudit
from flows.history.releases import Release, sha256_of

from . import judgement
from .miniature import AUDIT, IDENTITY, call
from .trial import Started, Trial

#: Seconds that audits may take.
LIMIT = 300.0


def event_twice(trial: Trial) -> None:
    """The same weights are announced twice: they are audited once."""
    main, models = _prepare(trial)
    truth = _undisturbed(trial, main, models, ["v1"])
    serve = _serve(trial, main)
    release = _release(models, "v1")
    pause = trial.random.uniform(0, 20)
    trial.point = f"{pause:.1f} s apart"
    _announce(trial, main, release)
    time.sleep(pause)
    _announce(trial, main, release)
    _judge(trial, main, serve, truth, runs=3)


def event_during(trial: Trial) -> None:
    """Newer weights are announced while an audit is in progress: both are audited, each once."""
    main, models = _prepare(trial)
    truth = _undisturbed(trial, main, models, ["v1", "v2"])
    serve = _serve(trial, main)
    _announce(trial, main, _release(models, "v1"))
    until = time.monotonic() + LIMIT
    folder = main / ".saliency" / "worktrees"
    while serve.running and time.monotonic() < until:
        if list(folder.glob("*/**/dvc.yaml")):
            break
        time.sleep(0.1)
    moment = trial.random.uniform(0, 15)
    trial.point = f"{moment:.1f} s after the audit began"
    time.sleep(moment)
    during = len(_audits_of(main)) < 2
    _announce(trial, main, _release(models, "v2"))
    trial.need(during, "the first audit was over before the second event")
    _judge(trial, main, serve, truth, runs=3)


def _release(models: Path, name: str) -> Release:
    path = models / f"{name}.safetensors"
    return Release("given", str(path), sha256_of(path))


def _prepare(trial: Trial) -> tuple[Path, Path]:
    """Give a clone whose classifier was adopted, all committed, and a folder of newer weights."""
    from safetensors.torch import load_file, save_file

    main, models = trial.folder / "project", trial.folder / "models"
    trial.miniature.copy("done", main)
    models.mkdir()
    trained = main / "data" / "train_classifier" / AUDIT
    weights = load_file(trained / "weights.safetensors")
    first = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    for number in (1, 2):
        factor = 1 + number / 10 + trial.random.random() / 10
        changed = {**weights, first: weights[first] * factor}
        save_file(changed, models / f"v{number}.safetensors")
    folder = main / "classifiers" / "given"
    folder.mkdir()
    shutil.copy(trained / "weights.safetensors", folder)
    labels = json.loads((trained / "model.json").read_text())["labels"]
    adopt = {"weights": "weights.safetensors", "labels": labels}
    (folder / "model.yaml").write_text(yaml.safe_dump({"architecture": "cnn", "adopt": adopt}))
    tree = yaml.safe_load((main / "params.yaml").read_text())
    tree["audits"] = {"skin-given": {"dataset": "phantom_skin", "classifier": "given", "images": 4}}
    (main / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    call(main, "dvc", "add", "-q", "classifiers/given/weights.safetensors")
    (main / "deploy").mkdir()
    served = {"revision": "HEAD", "models": [str(models)], "cron": None}
    (main / "deploy" / "serve.yaml").write_text(yaml.safe_dump(served))
    call(main, "git", "add", "-A")
    call(main, "git", *IDENTITY, "commit", "-q", "-m", "adopted")
    return main, models


def _undisturbed(
    trial: Trial, main: Path, models: Path, names: list[str]
) -> dict[str, dict[str, Any]]:
    """Give what each audit records, by its subject: made in another clone, one after another."""
    other = trial.folder / "undisturbed"
    shutil.copytree(main, other, symlinks=True)
    found = {}
    for releases in ([], *([_release(models, name)] for name in names)):
        # By the server that is there: one of its own would take its time to start.
        with patch.dict(os.environ, trial.server.environment):
            finding = reaudit(other, "HEAD", releases, [str(models)], tell=lambda _line: None)
        if finding.branch is None:
            raise RuntimeError(f"the undisturbed audit failed: {finding.error}")
        found[finding.subject] = _recorded(other, finding.branch)
    shutil.rmtree(other)
    return found


def _recorded(main: Path, branch: str) -> dict[str, Any]:
    stages = yaml.safe_load(show(main, branch, "dvc.lock"))["stages"]
    return {n: e for n, e in stages.items() if AUDIT not in n}


def _serve(trial: Trial, main: Path) -> Started:
    """Start to serve; gives it when it has audited what is there."""
    _forget_deployments(trial)
    serve = trial.start(main, sys.executable, "-m", "flows", "serve")
    until = time.monotonic() + LIMIT
    while serve.running and not _audits_of(main):
        if time.monotonic() > until:
            break
        time.sleep(0.5)
    trial.need(bool(_audits_of(main)), f"nothing was served: {serve.errors()[-300:]}")
    return serve


def _forget_deployments(trial: Trial) -> None:
    """Remove what a former trial left at the server: its runs would come due here."""
    for deployment in trial.server.ask("POST", "/deployments/filter", {}):
        if deployment["name"] in ("audits", "newer"):
            trial.server.ask("DELETE", f"/deployments/{deployment['id']}")


def _announce(trial: Trial, main: Path, release: Release) -> None:
    found = call(
        main,
        *[sys.executable, "-m", "flows", "retrained", "given", release.reference, "--no-update"],
        extra=trial.server.environment,
        check=False,
    )
    trial.need(found.returncode == 0, f"the event was not sent: {found.stderr}")


def _audits_of(main: Path) -> list[PastAudit]:
    return past_audits(main)


def _judge(
    trial: Trial, main: Path, serve: Started, truth: dict[str, dict[str, Any]], runs: int
) -> None:
    """Wait until all is audited and nothing more comes; each once, with the same bytes."""
    until = time.monotonic() + LIMIT
    while serve.running and time.monotonic() < until:
        known = {audit.subject for audit in _audits_of(main)}
        if known >= set(truth) and _ended(trial) >= runs:
            break
        time.sleep(0.5)
    trial.need(_ended(trial) >= runs, f"{_ended(trial)} of {runs} runs have ended")
    subjects = [audit.subject for audit in _audits_of(main)]
    trial.need(sorted(subjects) == sorted(truth), f"audited {subjects}, not {sorted(truth)}")
    for audit in _audits_of(main):
        same = _recorded(main, audit.branch) == truth.get(audit.subject)
        trial.need(same, f"{audit.branch} has other bytes than undisturbed")
    for folder in (main / ".saliency" / "worktrees").glob("*"):
        logs = sorted(folder.rglob(".saliency/logs/*/*.log"))
        counted = judgement.executions([], logs)
        twice = [name for name, number in counted.items() if number > 1]
        trial.need(not twice, f"ran twice in {folder.name}: {twice}")
    serve.process.terminate()
    trial.need(serve.wait(60) is not None, "serve did not end when it was asked to")
    trial.problems += judgement.left_behind(trial.mark)
    status = call(main, "git", "status", "--porcelain").stdout
    trial.need(status == "", f"the clone was changed: {status}")


def _ended(trial: Trial) -> int:
    """Give how many runs of the deployment have ended."""
    chosen = {
        "deployments": {"name": {"any_": ["audits"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}},
    }
    return int(trial.server.ask("POST", "/flow_runs/count", chosen))
