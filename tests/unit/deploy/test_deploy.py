"""What deploys audits: each file is what its reader takes, refers to what is there, and is safe."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from flows.serving.alerts import Alerts, letter, plain, said
from flows.serving.automations import mail_address, take_addresses
from flows.serving.schedule import read_schedule
from saliency_audit.errors import ParameterError
from tasks.params import read_tree

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
PINNED = dict(
    re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
)


def documents(name):
    return [tree for tree in yaml.safe_load_all((DEPLOY / name).read_text()) if tree]


@pytest.fixture(scope="module")
def compose():
    return documents("compose.yaml")[0]


@pytest.fixture(scope="module")
def instructions():
    """The instructions of the Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [tuple(line.split(None, 1)) for line in text.replace("\\\n", " ").splitlines() if line]


#: Writes each requirement of a call to pip, after its last argument.
PIP = """#!/bin/bash
while [ $# -gt 1 ]; do
  if [ "$1" = --requirement ]; then files="$2"; fi
  shift
done
grep -E '^[a-z].*==' "$files" | sed "s|^|$1 |" >> "$INSTALLED"
"""


class TestImage:
    def test_what_it_copies_is_there_and_in_its_context(self, instructions):
        ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        copied = [
            [part for part in text.split() if not part.startswith("--")]
            for verb, text in instructions
            if verb == "COPY"
        ]
        assert copied
        for *sources, _ in copied:
            for source in sources:
                assert (ROOT / source).is_file()
                assert f"!{source}" in ignored
        # Nothing else of a checkout can get into it: neither data nor passwords.
        assert [line for line in ignored if line and line[0] not in "#!"] == ["*"]

    def test_who_runs_is_not_root(self, instructions):
        users = [text for verb, text in instructions if verb == "USER"]
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
        last = max(n for n, (verb, _) in enumerate(instructions) if verb == "USER")
        assert not [verb for verb, _ in instructions[last:] if verb in ("RUN", "COPY", "ADD")]

    def test_telemetry_is_off(self, instructions):
        from flows.ground.environment import TELEMETRY_OFF

        environment = dict(
            pair.split("=", 1)
            for verb, text in instructions
            if verb == "ENV"
            for pair in text.split()
        )
        assert TELEMETRY_OFF.items() <= environment.items()
        assert not [name for name in environment if re.search("SECRET|PASSWORD|TOKEN|KEY", name)]

    def test_the_base_is_pinned(self, instructions):
        base = next(text for verb, text in instructions if verb == "FROM")
        assert re.fullmatch(r"python:3\.1[1-9]-slim-\w+", base)

    @pytest.fixture
    def installed(self, instructions, tmp_path):
        """What the image would install, and from where: a stand-in for pip writes it down."""
        command = next(text for verb, text in instructions if verb == "RUN" and "COMPUTE" in text)
        # A checkout, too, may lie in /tmp.
        command = command.replace("/tmp", str(tmp_path)).replace("/opt/saliency-audit", str(ROOT))
        (tmp_path / "pip").write_text(PIP)
        (tmp_path / "pip").chmod(0o755)

        def install(kind):
            path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
            file = tmp_path / kind
            found = subprocess.run(
                ["bash", "-eu", "-o", "pipefail", "-c", command],
                env={**os.environ, "PATH": path, "COMPUTE": kind, "INSTALLED": str(file)},
                capture_output=True,
                text=True,
                check=False,
            )
            return found, file.read_text().splitlines() if file.exists() else []

        return install

    def test_it_installs_what_is_pinned(self, installed):
        found, lines = installed("gpu")
        assert found.returncode == 0, found.stderr
        names = {line.split()[1].split("==")[0] for line in lines}
        assert names == set(PINNED)

    def test_without_a_gpu_it_installs_the_same_but_cuda(self, installed):
        found, lines = installed("cpu")
        assert found.returncode == 0, found.stderr
        places = {line.split()[1]: line.split()[0] for line in lines}
        names = {name.split("==")[0] for name in places}
        assert all(re.match("nvidia-|cuda-|triton", name) for name in set(PINNED) - names)
        assert {"torch", "torchvision", "prefect", "dvc", "dvc-s3"} <= names
        assert places[f"torch=={PINNED['torch']}"] == "https://download.pytorch.org/whl/cpu"
        assert places[f"dvc=={PINNED['dvc']}"] != "https://download.pytorch.org/whl/cpu"

    def test_any_other_kind_is_refused(self, installed):
        found, lines = installed("tpu")
        assert (found.returncode, lines) == (2, [])
        assert "COMPUTE is tpu: give cpu or gpu" in found.stderr


class TestStart:
    """deploy/start, run for real: in a folder for /work, with this Python's dvc."""

    @pytest.fixture
    def repository(self, tmp_path):
        folder = tmp_path / "repository"
        (folder / "flows").mkdir(parents=True)
        (folder / "flows" / "__main__.py").write_text(
            "import sys, pathlib; print(pathlib.Path.cwd(), *sys.argv[1:])"
        )
        (folder / "requirements.lock").write_text("a==1\n")
        for command in (
            ["git", "init", "-q", "-b", "main"],
            ["dvc", "init", "-q"],
            ["git", "add", "-A"],
            ["git", "-c", "user.name=t", "-c", "user.email=t@x", "commit", "-qm", "base"],
        ):
            subprocess.run(command, cwd=folder, env=self.environment(tmp_path), check=True)
        return folder

    def environment(self, tmp_path, **more):
        import sys

        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        home = tmp_path / "work"
        home.mkdir(exist_ok=True)
        lock = tmp_path / "requirements.lock"
        lock.write_text("a==1\n")
        return {
            **os.environ,
            "PATH": path,
            "HOME": str(home),
            "SALIENCY_LOCK": str(lock),
            "DVC_NO_ANALYTICS": "1",
            **more,
        }

    def start(self, tmp_path, *arguments, **more):
        return subprocess.run(
            [str(DEPLOY / "start"), *arguments],
            env=self.environment(tmp_path, **more),
            capture_output=True,
            text=True,
            check=False,
        )

    def test_it_clones_once_and_runs_the_command_there(self, repository, tmp_path):
        store = {"SALIENCY_REPOSITORY": str(repository), "SALIENCY_DVC_REMOTE": "/store"}
        for _ in range(2):
            found = self.start(tmp_path, "worker", "--pool", "gpu", **store)
            assert found.returncode == 0, found.stderr
            assert found.stdout.split() == [str(tmp_path / "work/clone"), "worker", "--pool", "gpu"]
        clone = tmp_path / "work" / "clone"
        assert "/store" in (clone / ".dvc" / "config.local").read_text()
        # `serve` refuses a clone with changes.
        command = ["git", "status", "--porcelain", "--untracked-files=no"]
        assert subprocess.check_output(command, cwd=clone, text=True) == ""

    def test_it_says_what_is_missing(self, tmp_path):
        found = self.start(tmp_path, "serve", SALIENCY_REPOSITORY="")
        assert found.returncode == 2
        assert "SALIENCY_REPOSITORY is not set" in found.stderr

    def test_an_image_of_another_lock_is_refused(self, repository, tmp_path):
        other = tmp_path / "other.lock"
        other.write_text("a==2\n")
        found = self.start(
            tmp_path, "serve", SALIENCY_REPOSITORY=str(repository), SALIENCY_LOCK=str(other)
        )
        assert found.returncode == 2
        assert "build the image again" in found.stderr

    def test_it_may_be_executed(self):
        assert (DEPLOY / "start").stat().st_mode & stat.S_IXUSR


class TestCompose:
    def test_ports_are_heard_on_this_machine_alone(self, compose):
        ports = [p for service in compose["services"].values() for p in service.get("ports", [])]
        assert ports
        assert all(port.startswith("127.0.0.1:") for port in ports)

    def test_no_secret_stands_in_it(self, compose):
        for service in compose["services"].values():
            for name, value in service.get("environment", {}).items():
                if re.search("PASSWORD|SECRET|AUTH|KEY|SLACK|WEBHOOK|SMTP|CONNECTION", name):
                    assert "${" in value, name

    def test_each_secret_has_its_line_in_the_example_and_that_is_empty(self):
        example = dict(
            line.split("=", 1)
            for line in (DEPLOY / "secrets.env.example").read_text().splitlines()
            if line and not line.startswith("#")
        )
        used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
        assert used == set(example)
        assert {name for name, value in example.items() if value} == {
            "SALIENCY_REVISION",
            "SALIENCY_DVC_REMOTE",
        }

    def test_git_does_not_see_the_filled_in_file(self):
        command = ["git", "check-ignore", "-q", "deploy/secrets.env"]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0

    def test_the_server_is_the_pinned_prefect_with_a_password_and_no_telemetry(self, compose):
        server = compose["services"]["server"]
        assert server["image"].startswith(f"prefecthq/prefect:{PINNED['prefect']}-")
        environment = server["environment"]
        assert environment["PREFECT_SERVER_API_AUTH_STRING"].startswith("${PREFECT_API_AUTH_STRING")
        assert environment["PREFECT_API_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg:")
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"

    def test_what_it_refers_to_is_there(self, compose):
        services, volumes = compose["services"], set(compose["volumes"])
        for service in services.values():
            for volume in service.get("volumes", []):
                assert volume.split(":")[0] in volumes
            for other, condition in service.get("depends_on", {}).items():
                assert other in services
                if condition["condition"] == "service_healthy":
                    assert "healthcheck" in services[other]
            if "build" in service:
                assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
                assert (ROOT / service["build"]["dockerfile"]).is_file()

    def test_no_two_share_a_clone(self, compose):
        works = [
            volume
            for service in compose["services"].values()
            for volume in service.get("volumes", [])
            if volume.endswith(":/work")
        ]
        assert len(works) == len(set(works)) == 3

    def test_the_gpu_worker_has_the_gpus_and_no_other_has(self, compose):
        for name, service in compose["services"].items():
            devices = (
                service.get("deploy", {})
                .get("resources", {})
                .get("reservations", {})
                .get("devices", [])
            )
            kind = service.get("build", {}).get("args", {}).get("COMPUTE")
            assert bool(devices) == (kind == "gpu") == (name == "worker-gpu")
            for device in devices:
                assert device["capabilities"] == ["gpu"]

    def test_its_commands_are_ones_of_the_command_line(self, compose):
        for service in compose["services"].values():
            if "build" in service:
                understood(service["command"])


def understood(arguments):
    """Have the command line parse arguments, as far as before it does anything."""
    from flows.cli.app import load

    load(arguments[0]).make_context(arguments[0], list(arguments[1:]))


MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
class TestKubernetes:
    def pods(self, file):
        for tree in documents(f"kubernetes/{file.name}"):
            if tree["kind"] == "StatefulSet":
                yield tree, tree["spec"]["template"]["spec"]

    def test_each_pod_is_unprivileged_and_a_clone_of_its_own(self, file):
        for tree, pod in self.pods(file):
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["runAsUser"] == 10001
            assert pod["automountServiceAccountToken"] is False
            (claim,) = tree["spec"]["volumeClaimTemplates"]
            for container in pod["containers"]:
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
                assert mounts["/work"] == claim["metadata"]["name"]

    def test_names_agree(self, file):
        services = {
            tree["metadata"]["name"]: tree["spec"]["selector"]
            for tree in documents(f"kubernetes/{file.name}")
            if tree["kind"] == "Service"
        }
        for tree, _ in self.pods(file):
            labels = tree["spec"]["template"]["metadata"]["labels"]
            assert tree["spec"]["selector"]["matchLabels"] == labels
            assert services[tree["spec"]["serviceName"]] == labels

    def test_its_commands_are_ones_of_the_command_line(self, file):
        for _, pod in self.pods(file):
            for container in pod["containers"]:
                understood(container["args"])

    def test_only_the_gpu_pool_asks_for_gpus(self, file):
        for _, pod in self.pods(file):
            for container in pod["containers"]:
                gpus = container["resources"]["limits"].get("nvidia.com/gpu", 0)
                assert bool(gpus) == container["image"].endswith(":gpu") == ("gpu" in file.name)

    def test_no_secret_stands_in_it(self, file):
        for tree in documents(f"kubernetes/{file.name}"):
            assert tree["kind"] != "Secret"
            for name in tree.get("data", {}):
                assert not re.search("PASSWORD|SECRET|AUTH|KEY|SLACK|WEBHOOK|SMTP", name)


def test_one_pod_serves():
    (tree,) = [t for t in documents("kubernetes/serve.yaml") if t["kind"] == "StatefulSet"]
    assert tree["spec"]["replicas"] == 1


def test_pools_of_the_templates_are_ones_that_a_stage_may_name():
    from flows.execution.placement import Need

    assert Need.of("explain", {"pool": "gpu"}).pool == "gpu"
    assert read_tree(ROOT / "params.yaml")


class TestAlerts:
    """What deploy/serve.yaml may say under alerts; that messages arrive is tried elsewhere."""

    def test_the_projects_own_tells_nobody_and_lists_every_key(self):
        schedule = read_schedule(ROOT)
        assert said(schedule.alerts) == "nobody"
        raw = yaml.safe_load((DEPLOY / "serve.yaml").read_text())
        assert set(raw["alerts"]) == set(vars(Alerts()))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("{slak: SLACK}", "unknown key alerts.slak: did you mean slack?"),
            ("{about: [faild]}", "about: faild: did you mean failed?"),
            ("{late_minutes: 0}", "late_minutes is 0"),
            ("{silent_minutes: .nan}", "silent_minutes is nan"),
            ("{slack: https://hooks.slack.com/services/T/B/word}", "slack: give the NAME"),
            ("{webhook: 3}", "alerts.webhook"),
            ("{email: {to: [a@b.c], sender: a@b.c, server: 'smtps://u:word@h'}}", "give the NAME"),
            ("{email: {to: [], sender: a@b.c, server: SMTP}}", "email.to is empty"),
            ("{email: {to: [a], sender: a@b.c, server: SMTP}}", "'a' is no e-mail address"),
            ("{email: {to: ['a@b?cc=c@d'], sender: a@b.c, server: SMTP}}", "no e-mail address"),
            ("{email: {to: [a@b.c]}}", "alerts.email.sender"),
        ],
    )
    def test_what_is_wrong_is_named_and_no_secret_shown(self, tmp_path, text, expected):
        (tmp_path / "deploy").mkdir()
        (tmp_path / "deploy" / "serve.yaml").write_text(f"alerts: {text}")
        with pytest.raises(ParameterError) as error:
            read_schedule(tmp_path)
        assert expected in str(error.value)
        assert "word" not in str(error.value).replace("password", "")

    @pytest.mark.parametrize(
        ("held", "expected"),
        [
            (None, "variable MY_SLACK is not set"),
            (" ", "variable MY_SLACK is not set"),
            ("hooks.slack.com/word", "MY_SLACK holds no address"),
            ("https://[word", "MY_SLACK holds no address"),
        ],
    )
    def test_a_variable_without_an_address_is_named(self, monkeypatch, held, expected):
        if held is None:
            monkeypatch.delenv("MY_SLACK", raising=False)
        else:
            monkeypatch.setenv("MY_SLACK", held)
        with pytest.raises(ParameterError) as error:
            take_addresses(Alerts(slack="MY_SLACK"))
        assert expected in str(error.value)
        assert "word" not in str(error.value)

    @pytest.mark.parametrize(
        ("server", "secure", "mode", "user", "port"),
        [
            ("smtps://me%40here:w%2Ford@mail.example:465", True, "ssl", "me@here", 465),
            ("smtp://me:w%2Ford@mail.example:587", True, "starttls", "me", 587),
            ("smtp+plain://127.0.0.1:25", False, "insecure", None, 25),
        ],
    )
    def test_a_mail_server_is_reached_as_its_address_says(self, server, secure, mode, user, port):
        from apprise import Apprise

        from flows.serving.alerts import Email

        box = Email(("a@x.org", "b@x.org"), "from@x.org", "SMTP")
        sender = Apprise.instantiate(mail_address(server, box, "SMTP"))
        assert sender.secure is secure
        assert (sender.user, sender.port) == (user, port)
        if secure:
            assert sender.secure_mode == mode
            assert sender.password == "w/ord"
        assert {address for _, address in sender.targets} == {"a@x.org", "b@x.org"}
        assert sender.from_addr[1] == "from@x.org"
        assert sender.smtp_host in ("mail.example", "127.0.0.1")

    @pytest.mark.parametrize(
        ("server", "expected"),
        [
            ("mail.example", "holds no mail server"),
            ("smtps://:465", "holds no mail server"),
            ("smtps://me:word@h:port", "holds no mail server"),
            ("smtp+plain://me:word@mail.example", "password without encryption"),
        ],
    )
    def test_what_is_no_mail_server_is_refused_without_showing_it(self, server, expected):
        from flows.serving.alerts import Email

        box = Email(("a@x.org",), "from@x.org", "SMTP")
        with pytest.raises(ParameterError) as error:
            mail_address(server, box, "SMTP")
        assert expected in str(error.value)
        assert "word" not in str(error.value).replace("password", "")

    @pytest.mark.parametrize(
        "text",
        [
            "fatal: https://me:word@host/x",
            "s3://word@bucket/x",
            "GET https://host/x?sig=word&a=b failed",
            "'https://host/?token=word'",
        ],
    )
    def test_a_message_shows_no_name_password_or_query(self, text):
        assert "word" not in plain(text)
        assert "word" not in letter("failed", Path("/x"), {"error": text})["text"]

    def test_plain_text_stays_as_it_is(self):
        text = "is a.csv there? row 3: f(x)=y, me@example.org, https://host/a/b"
        assert plain(text) == text


@pytest.mark.parametrize("way", ["email", "slack", "webhook"])
def test_a_template_is_an_automation_of_this_prefect(way):
    """The server's own model, which is stricter than the client's, takes it."""
    from prefect.server.events.schemas.automations import AutomationCore

    (tree,) = documents(f"alerts/{way}.yaml")
    block = "00000000-0000-4000-8000-000000000000"
    actions = [{**action, "block_document_id": block} for action in tree["actions"]]
    found = AutomationCore.model_validate({**tree, "actions": actions})
    assert found.trigger.expect >= {"audit.failed", "audit.finished", "worker.silent"}
