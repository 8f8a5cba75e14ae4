"""Networks by name: Table 1 of XAIMed, the families, what cannot be built."""

import sys

import pytest
import torch
from torch import nn

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.models.architectures import Cnn, build, load_all_but_head


def test_cnn_has_the_layers_of_table_1():
    network = build("cnn", 1, (50, 50))
    shapes = {name: tuple(weight.shape) for name, weight in network.named_parameters()}
    assert shapes["conv1.weight"] == (16, 3, 3, 3)
    assert shapes["conv2.weight"] == (32, 16, 3, 3)
    assert shapes["fc1.weight"] == (256, 32 * 12 * 12)
    assert shapes["fc2.weight"] == (1, 256)
    assert network.dropout.p == 0.5
    count = (3 * 9 + 1) * 16 + 2 * 16 + (16 * 9 + 1) * 32 + 2 * 32 + (4608 + 1) * 256 + 257
    assert sum(weight.numel() for weight in network.parameters()) == count


def test_cnn_is_the_composition_of_table_1():
    network = build("cnn", 3, (10, 14)).double().eval()
    generator = torch.Generator().manual_seed(0)
    for buffer in (network.bn1.running_mean, network.bn2.running_var):
        buffer.copy_(torch.rand(buffer.shape, generator=generator))
    images = torch.rand(2, 3, 10, 14, dtype=torch.float64, generator=generator)
    state = network.state_dict()
    x = images
    for block in ("1", "2"):
        x = nn.functional.conv2d(
            x, state[f"conv{block}.weight"], state[f"conv{block}.bias"], padding="same"
        ).clamp(min=0)
        bn = {
            name: state[f"bn{block}.{name}"].view(1, -1, 1, 1)
            for name in ("running_mean", "running_var", "weight", "bias")
        }
        x = (x - bn["running_mean"]) / (bn["running_var"] + 1e-5).sqrt() * bn["weight"] + bn["bias"]
        height, width = x.shape[2] // 2, x.shape[3] // 2
        x = x[..., : 2 * height, : 2 * width].reshape(2, -1, height, 2, width, 2).amax((3, 5))
    hidden = (x.reshape(2, -1) @ state["fc1.weight"].T + state["fc1.bias"]).clamp(min=0)
    expected = hidden @ state["fc2.weight"].T + state["fc2.bias"]
    torch.testing.assert_close(network(images), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("cnn", (16, 20)),
        ("resnet18", (32, 32)),
        ("resnet50", (32, 32)),
        ("densenet121", (32, 32)),
        ("squeezenet1_1", (32, 32)),
        ("googlenet", (32, 32)),
        ("timm:resnet10t", (32, 32)),
        ("timm:convnext_atto", (32, 32)),
    ],
)
def test_a_network_by_name_has_an_output_per_label_and_a_gradient(architecture, size):
    network = build(architecture, 5, size)
    outputs = network(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)))
    assert tuple(outputs.shape) == (2, 5)
    outputs.square().sum().backward()
    first = next(network.parameters())
    assert first.grad is not None and bool(first.grad.isfinite().all())


@pytest.mark.parametrize("architecture", ["cnn", "timm:resnet10t", "shufflenet_v2_x0_5"])
def test_networks_read_other_channels(architecture):
    grey = torch.rand(2, 1, 32, 32)
    assert build(architecture, 2, (32, 32), in_channels=1)(grey).shape == (2, 2)


def test_pretrained_weights_of_three_channels_are_no_weights_of_one():
    with pytest.raises(ParameterError, match="read 3 channels"):
        build("resnet18", 2, (32, 32), in_channels=1, pretrained=True)


@pytest.mark.parametrize("architecture", ["cnn", "resnet18"])
def test_the_seed_alone_decides_the_weights(architecture):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = build(architecture, 2, (32, 32), seed=3).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    two = build(architecture, 2, (32, 32), seed=3).state_dict()
    other = build(architecture, 2, (32, 32), seed=4).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("resnet81", "resnet18"),
        ("densnet121", "densenet121"),
        ("timm:convnext_ato", "convnext_atto"),
        ("CNN", "known are cnn"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong, right):
    with pytest.raises(ParameterError, match=right):
        build(wrong, 2, (32, 32))


@pytest.mark.parametrize(
    ("architecture", "size"),
    [("vit_b_16", 32), ("swin_t", 32), ("timm:vit_tiny_patch16_224", 48)],
)
def test_a_transformer_is_built_for_its_size(architecture, size):
    network = build(architecture, 3, (size, size)).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, size, size)).shape == (1, 3)


def test_a_transformer_of_squares_says_so():
    with pytest.raises(ParameterError, match=r"input_size is 32x48: .*squares"):
        build("vit_b_16", 2, (32, 48))
    with pytest.raises(ModelError, match="vit_b_16 cannot read images of 30x30"):
        build("vit_b_16", 2, (30, 30))


@pytest.mark.parametrize("name", ["xrv:densenet121", "monai:DenseNet121"])
def test_a_package_that_is_not_installed_is_named(name, monkeypatch):
    package = {"xrv": "torchxrayvision", "monai": "monai"}[name.partition(":")[0]]
    for module in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)  # Python refuses to import it then
    with pytest.raises(ModelError, match=rf"{package} is not installed: .*pip install"):
        build(name, 2, (64, 64))


@pytest.mark.parametrize(
    ("name", "package", "channels"),
    [
        ("xrv:densenet121", "torchxrayvision", 1),
        ("monai:DenseNet121", "monai", 3),
        ("monai:resnet18", "monai", 3),
        ("monai:efficientnet-b0", "monai", 1),
    ],
)
def test_networks_of_medical_packages_are_built_by_name(name, package, channels):
    pytest.importorskip(package)
    network = build(name, 2, (224, 224), in_channels=channels).eval()
    with torch.no_grad():
        assert network(torch.rand(1, channels, 224, 224)).shape == (1, 2)


def test_images_too_small_for_a_network_are_refused_by_name_and_size():
    with pytest.raises(ModelError, match="inception_v3 cannot read images of 32x32"):
        build("inception_v3", 2, (32, 32))
    with pytest.raises(ParameterError, match="input_size is 3x50"):
        build("cnn", 2, (3, 50))


def test_the_cnn_refuses_images_of_another_size():
    with pytest.raises(ModelError, match=r"built for images of 16x16 was given 16x20"):
        Cnn(2, (16, 16))(torch.zeros(1, 3, 16, 20))


@pytest.mark.parametrize("argument", [{"outputs": 0}, {"in_channels": 0}])
def test_a_network_without_outputs_or_inputs_is_refused(argument):
    with pytest.raises(ParameterError, match=next(iter(argument))):
        build("cnn", **{"outputs": 2, "input_size": (16, 16)} | argument)


def test_the_cnn_has_no_pretrained_weights():
    with pytest.raises(ParameterError, match="pretrained: false"):
        build("cnn", 2, (32, 32), pretrained=True)


def test_pretrained_weights_are_loaded_into_all_but_the_last_layer(tmp_path, monkeypatch):
    """The file that torchvision would have downloaded lies in its cache."""
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    given = models.resnet18(weights=None).state_dict()
    url = models.get_model_weights("resnet18").DEFAULT.url
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(given, cache / url.rpartition("/")[2])
    own = build("resnet18", 4, (32, 32), pretrained=True).state_dict()
    assert tuple(own["fc.weight"].shape) == (4, 512)
    assert all(torch.equal(own[name], given[name]) for name in own if not name.startswith("fc."))


@pytest.mark.parametrize("architecture", ["resnet18", "timm:resnet10t"])
def test_pretrained_weights_without_a_network_are_a_clear_error(
    architecture, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    # urlopen keeps the proxies that it finds when it is first used.
    monkeypatch.setattr("urllib.request._opener", None)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    # The hub would try again for a minute before it gives up.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    with pytest.raises(ModelError, match=r"cannot be had .*pretrained: false"):
        build(architecture, 2, (32, 32), pretrained=True)


def test_a_timm_network_without_pretrained_weights_says_so():
    with pytest.raises(ParameterError, match="no pretrained weights"):
        build("timm:resnet50t", 2, (32, 32), pretrained=True)


def test_pretrained_weights_of_another_network_are_refused():
    network = build("resnet18", 2, (32, 32))
    other = build("densenet121", 2, (32, 32)).state_dict()
    with pytest.raises(ModelError, match="do not fit resnet18"):
        load_all_but_head(network, other, "resnet18")
