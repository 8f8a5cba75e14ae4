"""Networks that cannot be explained: each is a ModelError that says which and what to do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from saliency_audit.errors import ModelError
from saliency_audit.labelling import Labelling
from saliency_audit.models.adoption import adopted_classifier
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.outputs import CLAMP, Reading, last_activation, looks_like
from saliency_audit.models.specification import parse_specification

HEAD = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"
BODY = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4{norm})
        self.fc = nn.Linear(4, {outputs})
        self.last = {last}
    def forward(self, x):
        z = self.fc(self.bn(self.conv(x)).relu().mean((2, 3)))
        return {end}
"""
IMAGES = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def folder_of(folder, end="z", *, outputs=2, norm="", last="nn.Identity()", after=""):
    from saliency_audit.models.trusted import trusted_network

    code = HEAD + BODY.format(end=end, outputs=outputs, norm=norm, last=last) + after
    (folder / "architecture.py").write_text(code, encoding="utf-8")
    network = trusted_network(folder / "architecture.py", True)
    torch.save(network.state_dict(), folder / "w.pt")
    return network.eval()


def adopted(folder, labelling=Labelling.MULTICLASS, **adopt):
    keys = {
        "labels": ["a", "b"],
        "weights": "w.pt",
        "trusted_architecture": "architecture.py",
        "i_trust_this_code": True,
    } | adopt
    specification = parse_specification(
        {"architecture": "theirs", "mean": [0] * 3, "std": [1] * 3, "adopt": keys}, "model.yaml"
    )
    return adopted_classifier(specification, folder, ("a", "b"), labelling, (12, 12))


UNSOUND = {
    "dictionary": ({"end": "{'logits': z, 'aux': z}"}, r"dictionary \(logits, aux\).*'logits'"),
    "tuple": ({"end": "(z, x)"}, "a tuple of 2.*first part"),
    "5 outputs": ({"outputs": 5}, r"\(4, 5\).*\(4, 2\) is wanted.*outputs: \[indices\]"),
    "a map": ({"end": "z[:, :, None, None]"}, "pool and flatten"),
    "half outputs": ({"end": "z.half()"}, "gives float16"),
    "half weights": ({"after": "\ndef build(): return Net().half()"}, "are float16: call float"),
    "double": ({"after": "\ndef build(): return Net().double()"}, "float64 and the images float32"),
    "no statistics": (
        {"norm": ", track_running_stats=False"},
        "the batch norm bn keeps no running",
    ),
    "live dropout": ({"end": "F.dropout(z)"}, "draws random numbers"),
    "neighbours": ({"end": "z - z.mean(0)"}, "depend on the images beside it"),
}


@pytest.mark.parametrize("kind", UNSOUND)
def test_a_network_that_cannot_be_explained_is_refused_on_adoption(tmp_path, kind):
    made, said = UNSOUND[kind]
    folder_of(tmp_path, **made)
    with pytest.raises(ModelError, match=f"(?s){said}"):
        adopted(tmp_path)


@pytest.mark.parametrize("kind", [k for k in UNSOUND if k != "neighbours"])
def test_and_in_a_call_of_the_library(tmp_path, kind):
    made, said = UNSOUND[kind]
    network = folder_of(tmp_path, **made)
    with pytest.raises(ModelError, match=f"(?s){said}".replace(r"\(4", r"\(3")):
        Classifier(network, ("a", "b"), Labelling.MULTICLASS).eval()(IMAGES)


def test_a_trusted_file_leaves_its_folder_as_it_is(tmp_path):
    folder_of(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    adopted(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "imports",
    [
        "import parts_beside",
        "from . import parts_beside",
        "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nimport parts_beside\n",
    ],
)
def test_a_file_beside_is_not_imported(tmp_path, imports, monkeypatch):
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "parts_beside.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(ModelError, match="lies beside it"):
        folder_of(tmp_path, after=f"\n{imports}")
    assert not (tmp_path / "__pycache__").exists()


def test_a_package_that_is_missing_is_named(tmp_path):
    with pytest.raises(ModelError, match="imports no_such_package, which is not installed"):
        folder_of(tmp_path, after="\nimport no_such_package.layers")


ENDS = {
    "a softmax module": ("self.last(z)", "nn.Softmax(dim=1)", 2, Labelling.MULTICLASS, None),
    "a softmax function": ("z.softmax(1)", "nn.Identity()", 2, Labelling.MULTICLASS, "softmax"),
    "a sigmoid module": ("self.last(z)", "nn.Sigmoid()", 2, Labelling.MULTILABEL, None),
    "a sigmoid function": ("torch.sigmoid(z)", "nn.Identity()", 2, Labelling.MULTILABEL, "sigmoid"),
    "one sigmoid": ("self.last(z)", "nn.Sigmoid()", 1, Labelling.BINARY, None),
    "a module used twice": (
        "self.last(z + self.last(z))", "nn.Sigmoid()", 2, Labelling.MULTILABEL, "sigmoid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDS)
def test_a_network_that_ends_in_probabilities_is_noticed_and_explained_by_its_scores(
    tmp_path, kind
):
    end, last, outputs, labelling, inverted = ENDS[kind]
    network = folder_of(tmp_path, end, last=last, outputs=outputs)
    with pytest.raises(ModelError, match="outputs: probabilities"):
        adopted(tmp_path, labelling)
    found = adopted(tmp_path, labelling, outputs="probabilities")
    assert found.reading.inverted == inverted
    with torch.no_grad():
        given = network(IMAGES)
        probabilities = found.probabilities(found(IMAGES))
    expected = torch.cat([1 - given, given], 1) if labelling is Labelling.BINARY else given
    torch.testing.assert_close(probabilities, expected, rtol=1e-4, atol=1e-5)
    if kind != "a module used twice":
        z = network.fc(network.bn(network.conv(IMAGES)).relu().mean((2, 3)))
        scores = found(IMAGES)[:, -outputs:]
        if inverted == "softmax":
            z = z.log_softmax(1)
        torch.testing.assert_close(scores, z, rtol=1e-3, atol=1e-4)


def test_scores_that_are_called_probabilities_are_refused(tmp_path):
    folder_of(tmp_path, "9 * z")
    with pytest.raises(ModelError, match="outputs is probabilities, but"):
        adopted(tmp_path, outputs="probabilities")


def test_the_clamp_is_as_is_said():
    given = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    scores = Reading(None, "sigmoid")(given, Labelling.MULTILABEL)
    wanted = torch.log(torch.tensor([CLAMP / (1 - CLAMP), (1 - CLAMP) / CLAMP])).double()
    torch.testing.assert_close(scores[0], wanted, rtol=1e-4, atol=0)
    assert float(scores.abs().max()) < 13.9


def test_outputs_by_their_index_and_the_two_of_a_binary_classifier(tmp_path):
    network = folder_of(tmp_path, outputs=5)
    found = adopted(tmp_path, outputs=[4, 1])
    torch.testing.assert_close(found(IMAGES), network(IMAGES)[:, [4, 1]])
    binary = adopted(tmp_path, Labelling.BINARY, outputs=[0, 3])
    z = network(IMAGES)
    # p of the positive label is the softmax of the two.
    torch.testing.assert_close(
        binary.probabilities(binary(IMAGES))[:, 1], z[:, [0, 3]].softmax(1)[:, 1]
    )
    with pytest.raises(ModelError, match="outputs names 9 and the network has 5"):
        adopted(tmp_path, outputs=[9, 1])(IMAGES)


def test_what_outputs_look_like():
    assert looks_like(torch.tensor([[0.2, 0.9]])) == "sigmoid"
    assert looks_like(torch.tensor([[0.2, 1.9]])) is None
    assert last_activation(nn.Sequential(nn.Flatten(), nn.Linear(432, 2)), IMAGES) is None
