"""The threads of a stage do not come from the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

FOUND = """
import json
import tasks.stage
import numpy
from threadpoolctl import threadpool_info
print(json.dumps([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]))
"""


def test_a_stages_sums_take_one_thread_whatever_the_machine_says():
    found = subprocess.run(
        [sys.executable, "-c", FOUND],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(json.loads(found.stdout)) == {1}
