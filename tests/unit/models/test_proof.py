"""Wrong adoptions: every kind is stopped by the owner's own outputs, and five without them.

``KINDS`` is the table of docs/adoption.md. The network is trained here, in a second, to tell the
colour of a blob: half of the images are red, so that always naming the commonest label is right
for half of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from saliency_audit.errors import ModelError
from saliency_audit.labelling import Labelling
from saliency_audit.models.adoption import adopted_classifier
from saliency_audit.models.card import adoption
from saliency_audit.models.proof import prove
from saliency_audit.models.reference import SAID, read_reference, write_reference
from saliency_audit.models.specification import parse_specification
from saliency_audit.models.weights import save_weights
from tasks.check_models.adoption_facts import adoption_facts
from tasks.check_models.rules import _of_adoption
from tasks.gates.parameters import ModelBounds
from tasks.gates.rule import Facts
from tasks.gates.validation import judge

LABELS = ("red", "green", "blue")
SIDE, SEEN = 32, 24
COUNT = 200
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

CODE = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 3){last},
    )
"""


def drawn(seed, count):
    """Images (count, 3, SIDE, SIDE) with a blob, and its colour: red of every other one."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.tensor([0, 1, 0, 2]).repeat(count)[:count]
    images = 0.4 + 0.1 * torch.rand(count, 3, SIDE, SIDE, generator=generator)
    # Stripes of one pixel: what another interpolation sees otherwise.
    images[..., ::2] += 0.2 * torch.rand(count, 1, SIDE, SIDE // 2, generator=generator)
    for image, target in zip(images, targets, strict=True):
        top, left = torch.randint(4, SIDE - 14, (2,), generator=generator).tolist()
        image[target, top : top + 10, left : left + 10] += 0.3
    return images.clamp(0, 1), targets


def network_of(last=""):
    space = {}
    exec(CODE.format(last=last), space)
    return space["build"]()


def read(images, mean=MEAN, std=STD, size=SEEN, **scaling):
    """What the owner does: his own preprocessing, by torch alone."""
    options = {"mode": "bilinear", "align_corners": False, "antialias": True} | scaling
    small = nn.functional.interpolate(images, (size, size), **options)
    channels = torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)
    return (small - channels[0]) / channels[1]


def trained(mean=MEAN, std=STD, flipped=False):
    """The owner's network, and how he reads images."""

    def owners(images):
        return read(images.flip(1) if flipped else images, mean, std)

    images, targets = drawn(1, 256)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = network_of()
        optimiser = torch.optim.Adam(network.parameters(), lr=0.01 if std[0] > 0.01 else 0.003)
        inputs = owners(images)
        for _ in range(150):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs), targets).backward()
            optimiser.step()
    return network.eval(), owners


@pytest.fixture(scope="module")
def owner():
    network, owners = trained()
    images, targets = drawn(2, COUNT)
    with torch.no_grad():
        accuracy = (network(owners(images)).argmax(1) == targets).float().mean()
    assert accuracy > 0.95
    return network, owners


@dataclass(frozen=True)
class Kind:
    """A wrong adoption: ``wrong``: keys of model.yaml; ``mend``: the line that the message says.

    ``without``: whether it is stopped without a reference, too.
    """

    words: str
    wrong: dict = field(default_factory=dict)
    mend: str = ""
    without: bool = False
    last: str = ""
    labels: tuple[str, ...] = LABELS
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD


KINDS = (
    Kind("softmax twice", last=", nn.Softmax(1)", mend="outputs: probabilities", without=True),
    Kind("sigmoid twice", last=", nn.Sigmoid()", mend="outputs: probabilities", without=True),
    Kind("another mean and std", {"mean": [0.5] * 3, "std": [0.25] * 3}, "mean: [0.485, 0.456"),
    Kind("pixels of 0 to 1 in place of 0 to 255", {"mean": [0.0] * 3, "std": [1.0] * 3},
         "input_range: [0, 255]", mean=(0.0,) * 3, std=(1 / 255,) * 3),
    Kind("pixels of 0 to 255 in place of normalised ones",
         {"input_range": [0, 255], "mean": [0.5] * 3, "std": [0.25] * 3},
         "mean: [0.485, 0.456, 0.406]", without=True),
    Kind("channels in another order", {"channels": "BGR"}, "channels: RGB", without=True),
    Kind("another interpolation", {"interpolation": "nearest"}, "interpolation: bilinear"),
    Kind("another size", {"input_size": [SIDE, SIDE]}, f"input_size: [{SEEN}, {SEEN}]"),
    Kind("rotated labels", labels=("blue", "red", "green"), mend="labels: [red, green, blue]",
         without=True),
)  # fmt: skip


def folder_of(folder, network, last=""):
    (folder / "architecture.py").write_text(CODE.format(last=last), encoding="utf-8")
    save_weights(folder / "weights.safetensors", network.state_dict())


def adopted(folder, wrong=None, *, labels=LABELS, mean=MEAN, std=STD, **adopt):
    wrong = wrong or {}
    raw = {
        "architecture": "theirs",
        "input_size": [SEEN, SEEN],
        "mean": list(mean),
        "std": list(std),
        "adopt": {
            "labels": list(labels),
            "trusted_architecture": "architecture.py",
            "i_trust_this_code": True,
        }
        | adopt,
    } | wrong
    specification = parse_specification(raw, "model.yaml")
    sort = Labelling.MULTILABEL if adopt.get("labelling") == "multilabel" else Labelling.MULTICLASS
    return adopted_classifier(specification, folder, LABELS, sort, (SIDE, SIDE))


def of_kind(kind, owner):
    """The owner's network and preprocessing: of 0 to 255 there is one of its own."""
    if kind.mean == MEAN:
        return owner
    return trained(kind.mean, kind.std)


def broken_rules(classifier):
    """The rules of check_models that an adoption without proof breaks, on 200 images."""
    images, targets = drawn(2, COUNT)
    with torch.no_grad():
        scores = classifier(images)
    order = [LABELS.index(label) for label in classifier.labels]
    rows = [(n, i) for n in range(COUNT) for i in range(3)]
    predictions = Facts(
        "predictions",
        ("image_id",),
        {
            "image_id": [str(n) for n, _ in rows],
            "label_index": [i for _, i in rows],
            "split": ["test"] * len(rows),
            "score": [float(scores[n, i]) for n, i in rows],
            "target": [bool(targets[n] == order[i]) for n, i in rows],
        },
    )
    card = {
        "architecture": "theirs",
        "labels": list(classifier.labels),
        "labelling": classifier.labelling.value,
        "adoption": adoption(None, stated=False),
    }
    findings, _ = judge([adoption_facts(card, predictions)], _of_adoption(ModelBounds()))
    return {f.rule.name for f in findings if not f.met}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.words)
def test_a_wrong_adoption_is_stopped_by_a_reference_that_names_the_cause(tmp_path, kind, owner):
    network, owners = of_kind(kind, owner)
    folder_of(tmp_path, network, kind.last)
    images, _ = drawn(5, 12)
    images = (images * 255).round() / 255
    last = {", nn.Softmax(1)": nn.Softmax(1), ", nn.Sigmoid()": nn.Sigmoid()}.get(kind.last)
    with torch.no_grad():
        outputs = network(owners(images))
        outputs = outputs if last is None else last(outputs)
    write_reference(tmp_path / "reference.safetensors", images, outputs, LABELS)
    reference = read_reference(tmp_path / "reference.safetensors")
    # By a person who says that these are scores, so that adoption itself lets them pass.
    given = {"outputs": "scores"} if kind.last else {}
    sigmoid = {"labelling": "multilabel"} if "sigmoid" in kind.words else {}
    wrong = adopted(
        tmp_path, kind.wrong, labels=kind.labels, mean=kind.mean, std=kind.std, **given, **sigmoid
    )
    with pytest.raises(ModelError) as said:
        prove(wrong, reference, (SIDE, SIDE))
    assert kind.mend in str(said.value), str(said.value)
    mended = {"input_range": [0, 255]} if "range" in kind.mend else {}
    right = {"outputs": "probabilities"} if kind.last else {}
    plain = ((0.5,) * 3, (0.25,) * 3) if mended else (kind.mean, kind.std)
    found = adopted(tmp_path, mended, mean=plain[0], std=plain[1], **right, **sigmoid)
    proof = prove(found, reference, (SIDE, SIDE))
    assert proof.images == 12 and proof.difference < 1e-3


def test_five_kinds_are_stopped_without_a_reference(tmp_path, owner):
    stopped = set()
    for kind in KINDS:
        network, _ = of_kind(kind, owner)
        folder_of(tmp_path, network, kind.last)
        sigmoid = {"labelling": "multilabel"} if "sigmoid" in kind.words else {}
        try:
            found = adopted(
                tmp_path, kind.wrong, labels=kind.labels, mean=kind.mean, std=kind.std, **sigmoid
            )
        except ModelError as error:
            assert "outputs: probabilities" in str(error)
            stopped.add(kind.words)
            continue
        broken = broken_rules(found)
        assert "adopted_with_proof" in broken  # which warns
        if broken - {"adopted_with_proof"}:
            stopped.add(kind.words)
    assert stopped == {kind.words for kind in KINDS if kind.without}
    assert len(stopped) >= 5


def test_a_right_adoption_without_proof_is_warned_of_and_passes(tmp_path, owner):
    folder_of(tmp_path, owner[0])
    assert broken_rules(adopted(tmp_path)) == {"adopted_with_proof"}


def test_transform_input_is_named(tmp_path):
    """torchvision's ImageNet weights of GoogLeNet come with another input, and no file says so."""
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = models.googlenet(num_classes=2, aux_logits=False, init_weights=False).eval()
    torch.save(network.state_dict(), tmp_path / "w.pt")
    network.transform_input = True
    images = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images = (images * 255).round() / 255
    with torch.no_grad():
        outputs = network(
            (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        )
    path = tmp_path / "r.safetensors"
    reference = write_reference(path, images, outputs)
    raw = {"architecture": "googlenet", "mean": MEAN, "std": STD}
    raw |= {"adopt": {"labels": ["a", "b"], "weights": "w.pt"}}

    def built():
        given = parse_specification(raw, "model.yaml")
        return adopted_classifier(given, tmp_path, ("a", "b"), Labelling.MULTICLASS, (SIDE, SIDE))

    with pytest.raises(ModelError, match=r"(?s)transform_input.*mean: \[0\.5, 0\.5, 0\.5\]"):
        prove(built(), reference, (SIDE, SIDE))
    raw |= {"mean": [0.5] * 3, "std": [0.5] * 3}
    assert prove(built(), reference, (SIDE, SIDE)).difference < 1e-3


def test_another_order_of_outputs_and_another_model_are_told_apart(tmp_path, owner):
    network, owners = owner
    folder_of(tmp_path, network)
    images, _ = drawn(5, 12)
    images = (images * 255).round() / 255
    with torch.no_grad():
        outputs = network(owners(images))
    rotated = write_reference(tmp_path / "r.safetensors", images, outputs[:, [1, 2, 0]])
    with pytest.raises(ModelError, match="the outputs in the order 1, 2, 0"):
        prove(adopted(tmp_path), rotated, (SIDE, SIDE))
    other = write_reference(tmp_path / "o.safetensors", images, outputs.flip(0))
    with pytest.raises(ModelError, match="are of another model"):
        prove(adopted(tmp_path), other, (SIDE, SIDE))
    wide = write_reference(tmp_path / "w.safetensors", images, torch.cat([outputs, outputs], 1))
    with pytest.raises(ModelError, match="6 outputs for an image, and the classifier 3"):
        prove(adopted(tmp_path), wide, (SIDE, SIDE))
    small = write_reference(tmp_path / "s.safetensors", images[..., :20, :20], outputs)
    with pytest.raises(ModelError, match="images of 20x20, and the audit has 24x24 or 32x32"):
        prove(adopted(tmp_path), small, (SIDE, SIDE))


INPUTS = torch.randint(
    0, 256, (5, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
OUTPUTS = torch.rand(5, 2, generator=torch.Generator().manual_seed(1))
BAD = {
    "images": ({"inputs": INPUTS[:, 0]}, "inputs have shape"),
    "outputs": ({"outputs": OUTPUTS[:4]}, "outputs have shape"),
    "few": ({"inputs": INPUTS[:2], "outputs": OUTPUTS[:2]}, "there are 2 images"),
    "NaN": ({"outputs": OUTPUTS.where(OUTPUTS > 0.3, torch.nan)}, "outputs hold NaN"),
    "normalised": ({"inputs": INPUTS.float() / 128 - 1}, "inputs are -1"),
    "the same": ({"outputs": OUTPUTS[:1].repeat(5, 1)}, "outputs are the same for every image"),
    "no outputs": ({"outputs": None}, "lacks outputs"),
    "kind": ({"said": {"outputs": "logits"}}, "say scores or probabilities"),
    "labels": ({"said": {"labels": ["a", "b", "c"]}}, "3 labels and 2 outputs"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_reference_is_named(tmp_path, kind):
    given, said = BAD[kind]
    content = {"inputs": INPUTS, "outputs": OUTPUTS} | given
    words = content.pop("said", {})
    tensors = {n: t.contiguous() for n, t in content.items() if t is not None}
    save_file(tensors, tmp_path / "r.safetensors", metadata={SAID: json.dumps(words)})
    with pytest.raises(ModelError, match=rf"r\.safetensors: .*{said}"):
        read_reference(tmp_path / "r.safetensors")


def test_a_reference_is_read_as_it_was_written_and_twice_the_same(tmp_path):
    images = INPUTS.float() / 255
    write_reference(tmp_path / "a.safetensors", images, OUTPUTS, ("a", "b"), "scores")
    write_reference(tmp_path / "b.safetensors", images, OUTPUTS, ("a", "b"), "scores")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    found = read_reference(tmp_path / "a.safetensors")
    assert torch.equal(found.inputs, images) and torch.equal(found.outputs, OUTPUTS)
    assert found.labels == ("a", "b") and found.kind == "scores"
    save_file(
        {"inputs": INPUTS.permute(0, 2, 3, 1).contiguous(), "outputs": OUTPUTS},
        tmp_path / "c.safetensors",
    )
    assert torch.equal(read_reference(tmp_path / "c.safetensors").inputs, images)
    with pytest.raises(ModelError, match="is missing"):
        read_reference(tmp_path / "none.safetensors")
    (tmp_path / "d.safetensors").write_text("no")
    with pytest.raises(ModelError, match="no readable"):
        read_reference(tmp_path / "d.safetensors")
