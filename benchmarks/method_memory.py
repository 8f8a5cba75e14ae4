"""Peak memory of each method at some samples and at eight times as many: the ratio should be 1.

Run from the root: ``python benchmarks/method_memory.py``. Each method explains
two images of 112 px by ResNet-18 in a process of its own; captum's
GradientShap stands beside, as libraries hold all samples at once. Prints a
table and writes ``benchmarks/method_memory.json``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SAMPLES = {"shap": 64, "lime": 128, "rise": 128, "captum:GradientShap": 32}
TIMES = 8
#: Side of the images.
PIXELS = 112


def explain(name: str, samples: int) -> None:
    """Explain two images by random paths or perturbations, so many each."""
    import torch

    from saliency_audit.attribution.registry import method_from_parameters
    from saliency_audit.compute import Compute
    from saliency_audit.labelling import Labelling
    from saliency_audit.models.architectures import build
    from saliency_audit.models.classifier import Classifier

    compute = Compute()
    compute.start()
    network = build("resnet18", 2, (PIXELS, PIXELS))
    classifier = Classifier(network, ("a", "b"), Labelling.MULTICLASS)
    compute.prepare(classifier)
    images = torch.rand((2, 3, PIXELS, PIXELS), generator=torch.Generator().manual_seed(0))
    parameters: dict[str, object] = {"samples": samples}
    if name.startswith("captum:"):
        parameters = {"arguments": {"n_samples": samples}}
    method = method_from_parameters("method", {"class": name, **parameters})
    background = images[:1] if method.needs_background else None
    method.explain(
        classifier, images, [[0]] * 2, ["a", "b"], compute=compute, background=background
    )


def peak(name: str, samples: int) -> float:
    """Give the peak resident memory of explaining, in MiB."""
    command = [sys.executable, __file__, name, str(samples)]
    process = subprocess.Popen(command, env=os.environ)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1024


def main() -> None:
    """Compare two numbers of samples."""
    found = {}
    print(f"{'method':22} {'samples':>14} {'MiB':>13}  ratio")
    for name, few in SAMPLES.items():
        many = TIMES * few
        peaks = [peak(name, samples) for samples in (few, many)]
        found[name] = {"samples": [few, many], "mib": [round(mib, 1) for mib in peaks]}
        numbers = f"{few:>6} {many:>7} {peaks[0]:6.0f} {peaks[1]:6.0f}"
        print(f"{name:22} {numbers}  {peaks[1] / peaks[0]:.2f}", flush=True)
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        explain(sys.argv[1], int(sys.argv[2]))
    else:
        main()
