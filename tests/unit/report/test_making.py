"""The page says its parameters in words, and keeps digests folded."""

from __future__ import annotations

import re

from tasks import places


def test_parameters_are_said_and_digests_are_folded(skin):
    page = (skin.folder / places.REPORTS / skin.name / "index.html").read_text("utf-8")
    plain = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    split = skin.params()["split"]
    for words in (
        "512 orthogonal masks of 7×7 cells",  # noqa: RUF001
        "333 orthogonal samples",
        "95 balanced paths per image",
        f"{split['train']} % train, {split['validation']} % tune and calibrate",
        "U-Net with encoder tu-regnetx_002",
        "training of cnn",
        "100 bootstrap replicates",
    ):
        assert words in plain
    assert ">weights<" in page and ">weights<" not in plain
