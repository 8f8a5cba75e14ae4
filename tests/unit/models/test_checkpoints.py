"""Checkpoints as people bring them: each gives its owner's scores, or the line that makes it.

``FORMS`` is the table of docs/adoption.md.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from saliency_audit.errors import ModelError
from saliency_audit.labelling import Labelling
from saliency_audit.models.adoption import adopted_classifier, with_weights
from saliency_audit.models.specification import parse_specification
from saliency_audit.models.weights import load_weights, save_weights
from saliency_audit.plain_yaml import parse_yaml

SIZE = (32, 32)
LABELS = ("a", "b")
IMAGES = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return make().eval()


def shufflenet(head=None, outputs=2):
    network = models.shufflenet_v2_x0_5(num_classes=outputs)
    if head is not None:
        network.fc = head
    return network


@dataclass(frozen=True)
class Form:
    """A checkpoint: how it is made, and what its owner's network is.

    ``line``: what a message says to write, None where it loads at once; ``write``: what is written
    then; ``keys``: what stands in model.yaml from the beginning, beside labels and architecture.
    """

    words: str
    make: object = shufflenet
    wrap: object = lambda state, network: state
    line: str | None = None
    write: str = ""
    architecture: str = "shufflenet_v2_x0_5"
    keys: dict = field(default_factory=dict)
    top: dict = field(default_factory=dict)


def under(prefix, also=None):
    return lambda state, _: {f"{prefix}{n}": t for n, t in state.items()} | (also or {})


def entry(name, **beside):
    return lambda state, _: {name: state, "epoch": 3, "best_auc": 0.9, **beside}


def with_head(*layers):
    return lambda: shufflenet(nn.Sequential(*layers))


def lightning(state, _):
    weights = {f"net.{n}": t for n, t in state.items()} | {"loss_fn.pos_weight": torch.ones(2)}
    return {
        "state_dict": weights,
        "pytorch-lightning_version": "2.4",
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
        "hyper_parameters": argparse.Namespace(lr=1e-3),
        "best": np.float64(0.93),
    }


def averaged(state, network):
    return torch.optim.swa_utils.AveragedModel(network).state_dict()


def old_densenet(state, _):
    return {
        n.replace(".norm1.", ".norm.1.").replace(".norm2.", ".norm.2.")
        .replace(".conv1.", ".conv.1.").replace(".conv2.", ".conv.2."): t
        for n, t in state.items()
    }  # fmt: skip


def with_auxiliary_head(state, _):
    return state | {"AuxLogits.fc.weight": torch.ones(2, 768), "AuxLogits.fc.bias": torch.ones(2)}


def body_and_head(state, _):
    return {
        (f"backbone.{n}" if n[:3] != "fc." else f"classifier.{n[3:]}"): t for n, t in state.items()
    }


def children(state, network):
    return nn.Sequential(*network.children()).state_dict()


FORMS = (
    Form("the state dict"),
    Form("`model.` before every name (Lightning)", wrap=under("model.")),
    Form("`net.`", wrap=under("net.")),
    Form("`module.` (DataParallel)", wrap=under("module.")),
    Form(
        "`_orig_mod.module.` (compiled, DistributedDataParallel)", wrap=under("_orig_mod.module.")
    ),
    Form("under `state_dict`", wrap=entry("state_dict")),
    Form(
        "under `model_state_dict`, beside an optimiser",
        wrap=entry("model_state_dict", optimizer_state_dict={"state": {}, "step": torch.ones(1)}),
    ),
    Form("under `model`", wrap=entry("model")),
    Form("under `net`", wrap=entry("net")),
    Form("under `ema` alone", wrap=entry("ema")),
    Form(
        "`model` and `ema`",
        wrap=lambda s, _: {"model": s, "ema": {n: t + 1 for n, t in s.items()}},
        line="entry: ema",
        write="entry: model",
    ),
    Form(
        "two networks in one file",
        wrap=lambda s, _: {f"{p}.{n}": t for p in ("student", "teacher") for n, t in s.items()},
        line="prefix: student.",
        write="prefix: student.",
    ),
    Form("loss weights beside", wrap=under("", {"criterion.weight": torch.ones(2)})),
    Form(
        "a checkpoint of Lightning, with loss weights, a Namespace and numbers of numpy",
        wrap=lightning,
    ),
    Form("`n_averaged` (AveragedModel)", wrap=averaged),
    Form(
        "layers beside that are not the network's",
        wrap=under("", {"decoder.0.weight": torch.ones(2)}),
        line="ignore: [decoder.0]",
        write="ignore: [decoder.0]",
    ),
    Form(
        "auxiliary head (Inception)",
        wrap=with_auxiliary_head,
        architecture="inception_v3",
        make=lambda: models.inception_v3(num_classes=2, aux_logits=False, init_weights=True),
        top={"input_size": [80, 80]},
    ),
    Form(
        "names of old DenseNets",
        wrap=old_densenet,
        architecture="densenet121",
        make=lambda: models.densenet121(num_classes=2),
    ),
    Form("head Sequential(Dropout, Linear)", make=with_head(nn.Dropout(), nn.Linear(1024, 2))),
    Form(
        "head put in place of a container",
        architecture="squeezenet1_1",
        make=lambda: models.squeezenet1_1(num_classes=2),
    ),
    Form(
        "a Linear in place of EfficientNet's container",
        architecture="efficientnet_b0",
        make=lambda: in_place("efficientnet_b0", "classifier", nn.Linear(1280, 2)),
    ),
    Form(
        "two-layer head",
        make=with_head(nn.Linear(1024, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 2)),
        line="head: [linear, relu, dropout, linear]",
        write="head: [linear, relu, dropout, linear]",
    ),
    Form(
        "two-layer head with batch norm",
        make=with_head(
            nn.Dropout(), nn.Linear(1024, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Linear(16, 2)
        ),
        line="head: [dropout, linear, batch_norm, relu, linear]",
        write="head: [dropout, linear, batch_norm, gelu, linear]",
    ),
    Form("the head under another name", wrap=body_and_head),
    Form(
        "Sequential(*children)",
        wrap=children,
        line="rename:\n    0: conv1\n    2: stage2\n    3: stage3",
        write="rename: {0: conv1, 2: stage2, 3: stage3, 4: stage4, 5: conv5, 6: fc}",
    ),
    Form(
        "5 outputs, 2 labels",
        make=lambda: shufflenet(outputs=5),
        line="outputs: [0, 1]",
        write="outputs: [4, 1]",
    ),
    Form("numbers of numpy beside", wrap=entry("state_dict", auc=np.float32(0.5), n=np.int64(3))),
    Form(
        "argparse.Namespace beside",
        wrap=entry("state_dict", args=argparse.Namespace(lr=0.1, name="x")),
    ),
    Form(
        "half precision",
        wrap=lambda s, _: {n: t.half() if t.is_floating_point() else t for n, t in s.items()},
    ),
    Form(
        "double precision",
        wrap=lambda s, _: {n: t.double() if t.is_floating_point() else t for n, t in s.items()},
    ),
)


def in_place(name, path, module):
    network = models.get_model(name)
    setattr(network, path, module)
    return network


def adopted(folder, form, write=""):
    keys = {"labels": list(LABELS), "weights": "w.pt"} | form.keys | (parse_yaml(write) or {})
    keys["rename"] = {str(old): new for old, new in keys.get("rename", {}).items()}
    raw = {"architecture": form.architecture, "mean": [0.4] * 3, "adopt": keys} | form.top
    specification = parse_specification(raw, "model.yaml")
    found = adopted_classifier(specification, folder, LABELS, Labelling.MULTICLASS, SIZE)
    return found, specification


def outputs_of_owner(network, form, images):
    classifier_size = form.top.get("input_size")
    if classifier_size:
        images = nn.functional.interpolate(
            images, classifier_size, mode="bilinear", align_corners=False, antialias=True
        )
    with torch.no_grad():
        return network((images - 0.4) / 0.25)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.words)
def test_a_checkpoint_gives_its_owners_scores_or_the_line_to_write(tmp_path, form):
    network = seeded(form.make)
    half = form.words == "half precision"
    if half:
        for tensor in network.state_dict().values():
            tensor.copy_(tensor.half())
    torch.save(form.wrap(network.state_dict(), network), tmp_path / "w.pt")
    expected = outputs_of_owner(network, form, IMAGES)
    if form.line is not None:
        with pytest.raises(ModelError) as said:
            adopted(tmp_path, form)
        assert form.line in str(said.value), str(said.value)
    found, specification = adopted(tmp_path, form, form.write)
    if form.words.startswith("5 outputs"):
        expected = expected[:, [4, 1]]
    torch.testing.assert_close(found(IMAGES), expected, rtol=1e-5, atol=1e-5)
    # As later stages build it: from its own state dict, without the checkpoint.
    save_weights(tmp_path / "again.safetensors", found.network.state_dict())
    again = with_weights(
        specification,
        tmp_path,
        load_weights(tmp_path / "again.safetensors"),
        labels=found.labels,
        labelling=found.labelling,
        image_size=SIZE,
    )
    assert torch.equal(again(IMAGES), found(IMAGES))


def test_names_of_old_timm_swins_are_read(tmp_path):
    import timm

    # By these names timm wrote them before 0.9: a downsampling at the end of its stage, one head.
    network = seeded(
        lambda: timm.create_model("swin_tiny_patch4_window7_224", img_size=64, num_classes=2)
    )
    old = OrderedDict()
    for name, tensor in network.state_dict().items():
        parts = name.split(".")
        if "downsample" in parts:
            parts[1] = str(int(parts[1]) - 1)
        old[".".join(parts).replace("head.fc.", "head.")] = tensor
    old["layers.0.blocks.1.attn_mask"] = torch.zeros(1)
    torch.save({"model": old}, tmp_path / "w.pt")
    form = Form("", architecture="timm:swin_tiny_patch4_window7_224", top={"input_size": [64, 64]})
    found, _ = adopted(tmp_path, form)
    torch.testing.assert_close(
        found(IMAGES), outputs_of_owner(network, form, IMAGES), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("channels", "count"), [("L", 1), ("RGBA", 4)], ids=["1 channel", "4 channels"]
)
@pytest.mark.parametrize("architecture", ["shufflenet_v2_x0_5", "timm:resnet10t"])
def test_a_first_layer_of_other_channels_says_its_line(tmp_path, channels, count, architecture):
    from saliency_audit.models.architectures import build

    network = build(architecture, 2, SIZE, in_channels=count, seed=3).eval()
    torch.save(network.state_dict(), tmp_path / "w.pt")
    form = Form("", architecture=architecture)
    with pytest.raises(ModelError, match=rf"channels: {channels}"):
        adopted(tmp_path, form)
    found, _ = adopted(tmp_path, Form("", architecture=architecture, top={"channels": channels}))
    if count == 1:
        # ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
        images = torch.einsum("bchw,c->bhw", IMAGES, torch.tensor([0.299, 0.587, 0.114]))[:, None]
    else:
        images = torch.cat([IMAGES, torch.ones(3, 1, *SIZE)], 1)
    with torch.no_grad():
        expected = network((images - 0.4) / 0.25)
    torch.testing.assert_close(found(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_pixels_of_0_to_255_and_bgr_are_what_the_network_reads(tmp_path):
    network = seeded(shufflenet)
    torch.save(network.state_dict(), tmp_path / "w.pt")
    raw = {
        "architecture": "shufflenet_v2_x0_5",
        "input_range": [0, 255],
        "channels": "BGR",
        "adopt": {"labels": list(LABELS), "weights": "w.pt"},
    }
    found = adopted_classifier(
        parse_specification(raw, "model.yaml"), tmp_path, LABELS, Labelling.MULTICLASS, SIZE
    )
    with torch.no_grad():
        expected = network(IMAGES[:, [2, 1, 0]] * 255)
    torch.testing.assert_close(found(IMAGES), expected, rtol=1e-4, atol=1e-4)


def whole(path):
    torch.save(shufflenet(), path)


def script(path):
    torch.jit.save(torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())), path)


@pytest.mark.parametrize(
    ("write", "said"),
    [(whole, r"a whole model \(torchvision.*save model\.state_dict\(\)"), (script, "TorchScript")],
)
def test_what_holds_code_is_not_loaded_and_no_message_says_to(tmp_path, write, said):
    write(tmp_path / "w.pt")
    with pytest.raises(ModelError, match=said) as error:
        load_weights(tmp_path / "w.pt")
    assert "weights_only" not in str(error.value)


def test_right_names_of_wrong_shapes_are_named(tmp_path):
    network = seeded(shufflenet)
    state = network.state_dict() | {"stage2.0.branch1.0.weight": torch.ones(24, 1, 1, 1)}
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(
        ModelError, match=r"stage2\.0\.branch1\.0\.weight \(24, 1, 1, 1\) instead of"
    ):
        adopted(tmp_path, Form(""))


def test_other_names_are_answered_tensor_by_tensor(tmp_path):
    torch.save({"x.weight": torch.ones(3), "y": torch.ones(2)}, tmp_path / "w.pt")
    with pytest.raises(
        ModelError, match=r"(?s)missing conv1\.0\.weight.*rename: \{x\.weight: conv1"
    ):
        adopted(tmp_path, Form(""))
    torch.save(seeded(shufflenet).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match="no weights have the name 'fcc'"):
        adopted(tmp_path, Form(""), "rename: {fcc: fc}")
    with pytest.raises(ModelError, match=r"entry 'modle' holds no weights"):
        adopted(tmp_path, Form(""), "entry: modle")
