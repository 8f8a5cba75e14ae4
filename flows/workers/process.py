"""Prefect's worker as a process that ends with the `saliency-audit worker` that started it.

Alone it would go on taking stages when that was killed, beside the one that is started next.
"""

from __future__ import annotations

import sys

from tasks.supervision import end_self, follow_run

if __name__ == "__main__":
    from prefect.cli import app

    follow_run(end_self)
    sys.argv = ["prefect", *sys.argv[1:]]
    app()
