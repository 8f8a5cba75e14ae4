"""Artifacts and DVC's run-cache travel between clones through a bucket: a real S3 protocol."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.server
KEYS = {
    "AWS_ACCESS_KEY_ID": "the-key",
    "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-bucket",
    "AWS_DEFAULT_REGION": "eu-south-1",
}
#: Two stages that note each time they run.
PIPELINE = {
    "stages": {
        "first": {
            "cmd": "echo run >> ran.log; mkdir -p data/first; echo 1 > data/first/a.txt",
            "deps": ["source.txt"],
            "outs": ["data/first"],
        },
        "second": {
            "cmd": "echo run >> ran.log; cat data/first/a.txt > second.txt",
            "deps": ["data/first"],
            "outs": ["second.txt"],
        },
    }
}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """An S3 server on this machine; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log,
        stderr=log,
    )
    import boto3
    from botocore.exceptions import BotoCoreError

    address = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
    )
    until = time.monotonic() + 60
    while True:
        try:
            client.create_bucket(Bucket="audits")
            break
        except BotoCoreError:
            assert process.poll() is None
            assert time.monotonic() < until, "no S3 server"
            time.sleep(0.2)
    yield address, client
    process.terminate()
    process.wait(30)
    log.close()


def run(folder, *command):
    found = subprocess.run(
        command,
        cwd=folder,
        env={
            **os.environ,
            **KEYS,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def clones(bucket, tmp_path_factory):
    """A clone that has run its stages and pushed them, and the commit before it in another."""
    address, _ = bucket
    folder = tmp_path_factory.mktemp("clones")
    one = folder / "one"
    one.mkdir()
    run(one, "git", "init", "-q", "-b", "main")
    run(one, "dvc", "init", "-q")
    run(one, "dvc", "remote", "add", "-q", "--default", "store", "s3://audits/store")
    run(one, "dvc", "remote", "modify", "store", "endpointurl", address)
    (one / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    (one / "source.txt").write_text("source\n")
    (one / ".gitignore").write_text("/ran.log\n/data/\n/second.txt\n")
    run(one, "git", "add", "-A")
    run(one, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "base")
    two = folder / "two"
    run(folder, "git", "clone", "-q", str(one), str(two))
    run(one, "dvc", "repro", "-q")
    run(one, "dvc", "push", "-q", "--run-cache")
    return one, two


def test_a_clone_without_the_lock_file_runs_nothing_that_another_ran(clones):
    one, two = clones
    assert (one / "ran.log").read_text().splitlines() == ["run", "run"]
    assert not (two / "dvc.lock").exists()
    run(two, "dvc", "pull", "-q", "--run-cache", "--allow-missing")
    said = run(two, "dvc", "repro", "--pull")
    assert not (two / "ran.log").exists(), said
    assert (two / "second.txt").read_text() == "1\n"
    locks = [yaml.safe_load((clone / "dvc.lock").read_text()) for clone in clones]
    assert locks[0] == locks[1]


def test_the_keys_stand_in_no_file_and_no_object(clones, bucket):
    for clone in clones:
        for file in clone.rglob("*"):
            if file.is_file():
                for key in KEYS.values():
                    assert key.encode() not in file.read_bytes() or key == "eu-south-1"
    _, client = bucket
    objects = client.list_objects_v2(Bucket="audits")["Contents"]
    assert any("/runs/" in entry["Key"] for entry in objects)
    for entry in objects:
        body = client.get_object(Bucket="audits", Key=entry["Key"])["Body"].read()
        assert b"the-secret" not in body
