"""Explanation methods against the model's own passes, and against the libraries people use.

Run from the root: ``python benchmarks/attribution.py [quick]``. Everything is
measured in one run and interleaved, so that its ratios hold on a busy
machine; ``quick`` takes ResNet-18 at 96 px only. Prints a table and writes
``benchmarks/results.json``.

The floor of a method is the passes that its samples stand for, made by the
given model as it is (eager, float32, batch 32, one thread) and nothing else.
Libraries explain the same model. Ours is made ready for it once, before the clock starts, as an
audit does before it explains thousands of images.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saliency_audit.attribution.method import Method
from saliency_audit.attribution.registry import method_from_parameters
from saliency_audit.compute import Compute
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier

LABELS = 7
BATCH = 32
#: The block that the libraries are given: the last, whatever its cells.
LAST = {"block": "last_block"}
#: Measured in turns, by pixels; the fastest of each counts. Libraries, the slowest, take two.
TURNS = {96: 3, 224: 2}
#: Samples per image of the floor and of all methods, so that only the cost of a sample counts.
SAMPLES = 512
#: Paths of SHAP, whose samples cost a backward pass too; with the image itself one batch.
PATHS = 31
#: Images that SHAP compares with.
BACKGROUND = 8
#: Images that methods of one image at a time explain in a row, by their pixels: of small ones
#: more, or what is done once per model and run would count as if it were done per image.
IMAGES = {96: 3, 224: 2}
QUICK = (("resnet18", 96),)
FULL = (("resnet18", 96), ("resnet18", 224), ("densenet121", 96), ("densenet121", 224))

Run = Callable[[], object]
#: One dictionary for each row, as ``results.json`` holds it.
Results = Iterator[dict[str, Any]]


@dataclass
class Row:
    """What is measured of one method on one model: ours, and what others make of it."""

    name: str
    ours: Run
    peers: dict[str, Run] = field(default_factory=dict)


def measured(floor: Run, rows: list[Row], turns: int) -> Iterator[dict[str, Any]]:
    """Run the rows, and the floor that they share, in turns; gives the fastest of each."""
    runs = {"floor": floor}
    for row in rows:
        runs[row.name] = row.ours
        runs.update({f"{row.name} {peer}": run for peer, run in row.peers.items()})
    fastest = dict.fromkeys(runs, float("inf"))
    peers = {f"{row.name} {peer}" for row in rows for peer in row.peers}
    for turn in range(turns):
        for name, run in runs.items():
            if turn >= 2 and name in peers:
                continue
            gc.collect()
            started = time.perf_counter()
            run()
            fastest[name] = min(fastest[name], time.perf_counter() - started)
    for row in rows:
        yield {
            "name": row.name,
            "floor_s": fastest["floor"],
            "ours_s": fastest[row.name],
            "ours_over_floor": fastest[row.name] / fastest["floor"],
            "peers": {peer: fastest[f"{row.name} {peer}"] for peer in row.peers},
        }


@dataclass(frozen=True)
class Subject:
    """A model with random weights, and images as a textured scene has them."""

    model: str
    pixels: int

    @property
    def name(self) -> str:
        """Model and pixels, as in the names of the benchmarks."""
        return f"{self.model}/{self.pixels}"

    def network(self) -> torch.nn.Module:
        """Build the model as a person has it."""
        return build(self.model, LABELS, (self.pixels, self.pixels)).eval()

    def classifier(self, compute: Compute) -> Classifier:
        """Build the model as the audit holds it."""
        labels = tuple(f"label {number}" for number in range(LABELS))
        found = Classifier(self.network(), labels, Labelling.MULTICLASS)
        compute.prepare(found).eval()
        return found

    def images(self, count: int) -> Tensor:
        """Smooth random images (count, 3, pixels, pixels) in [0, 1]."""
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand((count, 3, 12, 12), generator=generator)
        size = (self.pixels, self.pixels)
        return torch.nn.functional.interpolate(coarse, size, mode="bilinear").clamp(0, 1)


def forward(network: torch.nn.Module, images: Tensor, passes: int) -> None:
    """Make so many forward passes, a batch at a time."""
    with torch.no_grad():
        for _ in range(0, passes, BATCH):
            network(images[:BATCH])


def forward_and_backward(network: torch.nn.Module, images: Tensor, passes: int) -> None:
    """Make so many forward passes with the gradient of one label for the image."""
    batch = images[:BATCH].clone().requires_grad_()
    for _ in range(0, passes, BATCH):
        torch.autograd.grad(network(batch)[:, 0].sum(), batch)


def explain(
    method: Method, classifier: Classifier, images: Tensor, labels: int, compute: Compute
) -> Run:
    """Give a run of a method, for the first ``labels`` labels of each image."""
    asked = [list(range(labels))] * len(images)
    keys = [str(number) for number in range(len(images))]
    background = torch.rand((BACKGROUND, *images.shape[1:])) if method.needs_background else None
    explainer = method.explainer(classifier, compute=compute, background=background)
    return lambda: explainer.maps(images, asked, keys)


def class_activation(subject: Subject, compute: Compute) -> Results:
    """Grad-CAM and its kin: one label, and all; against one forward pass."""
    import captum.attr
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    network, classifier = subject.network(), subject.classifier(compute)
    images = subject.images(BATCH)
    layer = network.layer4 if subject.model.startswith("resnet") else network.features
    libraries = {
        "gradcam": pytorch_grad_cam.GradCAM,
        "gradcam_plus_plus": pytorch_grad_cam.GradCAMPlusPlus,
        "hirescam": pytorch_grad_cam.HiResCAM,
        "layercam": pytorch_grad_cam.LayerCAM,
        "xgradcam": pytorch_grad_cam.XGradCAM,
    }
    rows = []
    for name, library in libraries.items():
        method = method_from_parameters(name, LAST)
        for labels, suffix in ((1, ""), (LABELS, "/labels")):

            def theirs(labels: int = labels, library: Any = library) -> None:
                with library(model=network, target_layers=[layer]) as cam:
                    for label in range(labels):
                        cam(input_tensor=images, targets=[ClassifierOutputTarget(label)] * BATCH)

            def captums(labels: int = labels) -> None:
                method = captum.attr.LayerGradCam(network, layer)
                for label in range(labels):
                    method.attribute(images, target=label)

            rows.append(
                Row(
                    f"{name}/{subject.name}{suffix}",
                    explain(method, classifier, images, labels, compute),
                    {
                        "pytorch-grad-cam": theirs,
                        **({"captum": captums} if name == "gradcam" else {}),
                    },
                )
            )
    yield from measured(lambda: forward(network, images, BATCH), rows, TURNS[subject.pixels])


def score_cam(subject: Subject, compute: Compute) -> Results:
    """Score-CAM: against the forward passes of its channels and the one that finds them."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    network, classifier = subject.network(), subject.classifier(compute)
    batch = subject.images(BATCH)
    image = batch[:1]
    layer = network.layer4 if subject.model.startswith("resnet") else network.features
    found: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, _i, output: found.append(output))
    forward(network, image, BATCH)
    handle.remove()
    uneven = found[0][0].flatten(1).amax(dim=1) != found[0][0].flatten(1).amin(dim=1)
    # Ours asks of no channel of one value; rows of the batch that finds them are padding.
    passes = BATCH + int(uneven.sum())

    def theirs() -> None:
        with pytorch_grad_cam.ScoreCAM(model=network, target_layers=[layer]) as cam:
            cam.batch_size = BATCH
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
                cam(input_tensor=image, targets=[ClassifierOutputTarget(0)])

    method = method_from_parameters("scorecam", LAST)
    row = Row(
        f"scorecam/{subject.name}",
        explain(method, classifier, image, 1, compute),
        {"pytorch-grad-cam": theirs},
    )
    yield from measured(lambda: forward(network, batch, passes), [row], TURNS[subject.pixels])


def attention(compute: Compute) -> Results:
    """Rollout and relevance of ViT-tiny: all labels; against a pass and one back for each label."""
    subject = Subject("timm:vit_tiny_patch16_224", 224)
    network, classifier = subject.network(), subject.classifier(compute)
    images = subject.images(BATCH)

    def passes() -> None:
        batch = images.clone().requires_grad_()
        scores = network(batch)
        for label in range(LABELS):
            torch.autograd.grad(scores[:, label].sum(), batch, retain_graph=True)

    rows = [
        Row(
            f"{name}/vit_tiny/224/labels",
            explain(method_from_parameters(name, {}), classifier, images, LABELS, compute),
        )
        for name in ("attention_rollout", "attention_relevance")
    ]
    yield from measured(passes, rows, TURNS[subject.pixels])


def perturbation(subject: Subject, compute: Compute) -> Results:
    """RISE and LIME: against the forward passes of their samples."""
    network, classifier = subject.network(), subject.classifier(compute)
    batch = subject.images(BATCH)
    images = batch[: IMAGES[subject.pixels]]
    computes = {"": compute}
    if multiplies_bfloat16():
        computes["/bfloat16"] = replace(compute, precision="bfloat16")
    rows = [
        Row(
            f"{name}/{subject.name}{suffix}",
            explain(
                method_from_parameters(name, {"samples": SAMPLES}), classifier, images, 1, lowered
            ),
        )
        for name in ("rise", "lime")
        for suffix, lowered in computes.items()
    ]
    for row in rows:
        if row.name == f"lime/{subject.name}":
            row.peers["lime"] = lambda: lime_package(network, images)
    yield from measured(
        lambda: forward(network, batch, len(images) * SAMPLES), rows, TURNS[subject.pixels]
    )


def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; else it is slower than float32."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "amx_bf16" in flags or "avx512_bf16" in flags


def lime_package(network: torch.nn.Module, images: Tensor) -> None:
    """Explain a label of each image with the lime package, at our batch size."""
    from lime.lime_image import LimeImageExplainer

    def probabilities(points: Any) -> Any:
        pixels = torch.from_numpy(points).float().permute(0, 3, 1, 2).contiguous()
        with torch.no_grad():
            return network(pixels).softmax(dim=1).numpy()

    for image in images:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            LimeImageExplainer(random_state=0).explain_instance(
                image.permute(1, 2, 0).double().numpy(),
                probabilities,
                labels=(0,),
                top_labels=None,
                num_samples=SAMPLES,
                batch_size=BATCH,
            )


def expected_gradients(subject: Subject, compute: Compute) -> Results:
    """SHAP and Integrated Gradients, one label and all: against passes of one label's samples."""
    import captum.attr
    import shap

    network, classifier = subject.network(), subject.classifier(compute)
    batch = subject.images(BATCH)
    image, background = batch[:1], batch[BATCH - BACKGROUND :]
    method = method_from_parameters("shap", {"samples": PATHS})
    rows = []
    gradient_shap = captum.attr.GradientShap(network)
    for labels, suffix in ((1, ""), (LABELS, "/labels")):

        def theirs(labels: int = labels) -> None:
            explainer = shap.GradientExplainer(network, background, batch_size=BATCH)
            explainer.shap_values(image, nsamples=PATHS, ranked_outputs=labels)

        def captums(labels: int = labels) -> None:
            for label in range(labels):
                gradient_shap.attribute(image, baselines=background, n_samples=PATHS, target=label)

        rows.append(
            Row(
                f"shap/{subject.name}{suffix}",
                explain(method, classifier, image, labels, compute),
                {"shap": theirs, "captum": captums},
            )
        )
        integrated = method_from_parameters("integrated_gradients", {"steps": PATHS})

        def captums_integrated(labels: int = labels) -> None:
            for label in range(labels):
                captum.attr.IntegratedGradients(network).attribute(
                    image,
                    background.mean(dim=0, keepdim=True),
                    target=label,
                    n_steps=PATHS,
                    internal_batch_size=BATCH,
                )

        rows.append(
            Row(
                f"integrated_gradients/{subject.name}{suffix}",
                explain(integrated, classifier, image, labels, compute),
                {"captum": captums_integrated},
            )
        )
    yield from measured(
        lambda: forward_and_backward(network, batch, PATHS), rows, TURNS[subject.pixels]
    )


def measures() -> Results:
    """Give the exact AUITC against a loop over 100 thresholds, what ranks pixels against a pass."""
    from saliency_audit.measures.area_curve import rank, whole_curve
    from saliency_audit.measures.auitc import auitc
    from saliency_audit.measures.top_fraction import top_fraction

    rng = np.random.default_rng(0)
    maps = rng.random((16, 224, 224)).astype(np.float16)
    masks = np.zeros((16, 224, 224), bool)
    masks[:, 60:150, 80:170] = True

    def loop() -> list[float]:
        areas = []
        for saliency, mask in zip(maps, masks, strict=True):
            overlaps = []
            for threshold in np.linspace(0, 1, 100):
                kept = saliency >= threshold
                union = np.count_nonzero(kept | mask)
                overlaps.append(np.count_nonzero(kept & mask) / union if union else 0.0)
            areas.append(float(np.trapezoid(overlaps, dx=1 / 99)))
        return areas

    exact = Row(
        "auitc/224",
        lambda: [auitc(saliency, mask) for saliency, mask in zip(maps, masks, strict=True)],
    )
    yield from measured(loop, [exact], 3)
    subject = Subject("resnet18", 224)
    network, images = subject.network(), subject.images(16)
    rows = [
        Row("top_fraction/224", lambda: [top_fraction(saliency, 0.05) for saliency in maps]),
        Row(
            "rank/224",
            lambda: [
                whole_curve(rank(saliency), mask)
                for saliency, mask in zip(maps, masks, strict=True)
            ],
        ),
    ]
    yield from measured(lambda: forward(network, images, 16), rows, 3)


def benchmarks(quick: bool) -> Results:
    """Give all results, those of one model after those of another."""
    compute = Compute(threads=1, batch=BATCH)
    compute.start()
    for model, pixels in QUICK if quick else FULL:
        subject = Subject(model, pixels)
        yield from class_activation(subject, compute)
        yield from score_cam(subject, compute)
        yield from perturbation(subject, compute)
        yield from expected_gradients(subject, compute)
    if not quick:
        yield from attention(compute)
    yield from measures()


def main() -> None:
    """Measure, print, write."""
    found = []
    path = Path(__file__).with_name("results.json")
    print(
        f"{'benchmark':36} {'floor':>8} {'ours':>8} {'ratio':>7}  peers, as multiples of the floor"
    )
    for result in benchmarks("quick" in sys.argv[1:]):
        found.append(result)
        path.write_text(json.dumps({"benchmarks": found}, indent=2) + "\n")
        floor = result["floor_s"]
        peers = ", ".join(f"{name} {s / floor:.2f}" for name, s in result["peers"].items())
        print(
            f"{result['name']:36} {floor:8.3f} {result['ours_s']:8.3f} "
            f"{result['ours_over_floor']:7.2f}  {peers}",
            flush=True,
        )


if __name__ == "__main__":
    main()
