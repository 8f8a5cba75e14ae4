"""The battery finds each planted fault, names it and says how to mend it; what is right passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest
import torch

from saliency_audit.attribution.method import Cost, Explainer, Method, RawMap
from saliency_audit.compute import evaluating
from saliency_audit.datasets.phantom_chest import PhantomChest
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.datasets.sample import Description, SetAside
from saliency_audit.errors import ParameterError
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind
from saliency_audit.progress import silent
from saliency_audit.testing import (
    ContractError,
    architecture_checks,
    check_architecture,
    check_dataset,
    check_method,
    dataset_checks,
    method_checks,
)
from tests.invented_plugin import ENTRIES, FILES


@dataclass(frozen=True)
class Gradient(Method):
    """|∂y/∂x|, noisy by ``noise`` (0 or more) from ``seed`` (0 or more); ``fault``: planted."""

    noise: float = 0.0
    fault: str = ""

    def cost(self):
        return Cost(forward=1, backward=2 if self.fault == "costs_are_counted" else 1)

    def explainer(self, classifier, *, compute, background=None):
        return Gradients(classifier, compute, self.fault)


class Gradients(Explainer):
    def __init__(self, classifier, compute, fault):
        super().__init__(classifier, compute)
        self.fault, self.asked = fault, 0

    def maps(self, images, labels, keys):
        if self.fault == "leaves_the_process_as_it_was":
            torch.set_grad_enabled(True)
            torch.rand(1)
        if self.fault == "leaves_the_classifier_as_it_was":
            self.classifier.eval()
        self.asked += 1
        return [
            self.of_image(image, asked, row)
            for row, (image, asked) in enumerate(zip(images, labels, strict=True))
        ]

    def of_image(self, image, asked, row):
        pixels = image[None].clone().requires_grad_()
        recording = torch.no_grad() if self.fault == "is_broken" else torch.enable_grad()
        with evaluating(self.classifier), recording:
            alone = self.fault == "calls_have_one_batch_shape"
            call = self.classifier if alone else lambda x: self.compute.call(self.classifier, x)
            wanted = list(call(pixels)[0][asked]) if asked else []
        found = []
        for score in wanted:
            (gradient,) = torch.autograd.grad(score, pixels, retain_graph=True)
            values = gradient[0].abs().amax(dim=0).double().numpy()
            found.append(RawMap(*self.spoilt(values, row, asked)))
        return found

    def spoilt(self, values, row, asked):
        match self.fault:
            case "gives_one_map_per_label":
                values = values.astype(np.float32)
            case "maps_are_finite_and_not_negative":
                values = values - 1
            case "statuses_are_known":
                return values, "odd"
            case "labels_matter_not":
                values = values * len(asked)
            case "neighbours_matter_not":
                values = values * (row + 1)
            case "gives_the_same_bytes_again":
                values = values * self.asked
            case "global_seeds_matter_not":
                values = values + float(torch.rand(1)) * values
            case "a_constant_model_has_no_map":
                values = values + np.arange(values.size).reshape(values.shape)
            case "a_model_of_no_numbers_has_a_nan_map":
                values = np.nan_to_num(values)
        return values, None


FAULTS = [
    "costs_are_counted",
    "leaves_the_process_as_it_was",
    "leaves_the_classifier_as_it_was",
    "calls_have_one_batch_shape",
    "gives_one_map_per_label",
    "maps_are_finite_and_not_negative",
    "statuses_are_known",
    "labels_matter_not",
    "neighbours_matter_not",
    "gives_the_same_bytes_again",
    "global_seeds_matter_not",
    "a_constant_model_has_no_map",
    "a_model_of_no_numbers_has_a_nan_map",
]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def broken(checks, only=None):
    """Names of the checks that fail, and what they say; ``only``: the one to look at."""
    found = {}
    for check in (check for check in checks if only in (None, str(check))):
        try:
            check()
        except ContractError as error:
            found[str(check)] = str(error)
    return found


def test_a_right_method_passes_every_check_by_its_class():
    assert len(check_method(Gradient)) > 15


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(fault):
    found = broken(method_checks(Gradient, {"fault": fault}), fault)
    assert found[fault].startswith(f"method Gradient breaks {fault}: ")
    assert "To mend it: " in found[fault]


def test_all_that_is_broken_is_told_at_once():
    with pytest.raises(ContractError) as told:
        check_method(Gradient, {"fault": "statuses_are_known", "noise": 1.0}, expected={})
    assert isinstance(told.value, AssertionError)
    assert "'odd'" in str(told.value)


def test_what_raises_breaks_its_promise_with_the_error_s_words():
    found = broken(method_checks(Gradient, {"fault": "is_broken"}), "labels_matter_not")
    assert "it raised RuntimeError" in found["labels_matter_not"]


@dataclass(frozen=True)
class Seedless(Gradient):
    seed: int = 0


@dataclass
class Loose(Method):
    """Nothing is said of what it takes."""

    colour: str = "red"
    cost = Gradient.cost
    explainer = Gradient.explainer
    fault = ""


def test_faults_of_declaration_are_found():
    assert {"is_documented", "its_seed_matters"} <= set(broken(method_checks(Seedless)))
    found = broken(method_checks(Loose))
    assert {"is_documented", "is_frozen"} <= set(found)
    assert "what colour is" in found["is_documented"]


def test_expected_failures_are_left_out_and_must_be_names_of_checks():
    names = {str(check) for check in method_checks("rise")}
    fewer = {str(check) for check in method_checks("rise", expected={"is_frozen": "because"})}
    assert names - fewer == {"is_frozen"}
    with pytest.raises(ParameterError, match="unknown check is_frosen: did you mean is_frozen"):
        list(method_checks("rise", expected={"is_frosen": "because"}))


@dataclass(frozen=True)
class Faulty:
    """Phantoms with a planted ``fault``."""

    kind: Literal["faulty"] = "faulty"
    source: str = "."
    fault: str = ""
    max_set_aside: float = 0.0

    def describe(self):
        size = (4, 4) if self.fault == "describes_itself" else (16, 16)
        return Description(("homogeneous", "network"), Labelling.MULTICLASS, MaskKind.SINGLE, size)

    def samples(self, progress=silent):
        weights = (1.0, 1.0, 1e-12, 1e-12, 1e-12)
        drawn = PhantomSkin(images=20, size=(16, 16), weights=weights).samples()
        if self.fault == "comes_one_at_a_time":
            return iter(list(drawn))
        return (self.spoilt(sample, number, progress) for number, sample in enumerate(drawn))

    def spoilt(self, sample, number, progress):
        progress(20 - number if self.fault == "tells_its_progress" else number + 1, 20)
        mask = sample.masks[EVERY_LABEL]
        changes = {
            "comes_in_order": {"image_id": f"skin-{20 - number:06d}"},
            "pixels_are_as_described": {"pixels": sample.pixels.astype(np.float32)},
            "labels_are_as_described": {"labels": (), "instances": {}},
            "masks_are_as_described": {"masks": {EVERY_LABEL: mask.astype(np.uint8)}},
            "odd_masks_are_noted": {"masks": {EVERY_LABEL: mask & False}},
            "groups_and_strata_are_text": {"strata": {"age": 40}},
            "files_lie_in_its_folder": {"source_file": "../outside.png"},
        }
        if self.fault == "global_seeds_matter_not":
            changes[self.fault] = {"strata": {"drawn": str(np.random.random())}}
        if self.fault == "words_are_words" and number == 3:
            return SetAside("skin-000003", "a.png", 3, "Not good!", "drop it")
        return replace(sample, **changes.get(self.fault, {}))


SOURCE_FAULTS = [
    "describes_itself",
    "comes_one_at_a_time",
    "tells_its_progress",
    "comes_in_order",
    "pixels_are_as_described",
    "labels_are_as_described",
    "masks_are_as_described",
    "odd_masks_are_noted",
    "groups_and_strata_are_text",
    "files_lie_in_its_folder",
    "global_seeds_matter_not",
    "words_are_words",
]


@pytest.mark.parametrize("fault", SOURCE_FAULTS)
def test_a_planted_fault_of_a_source_is_found(fault):
    found = broken(dataset_checks(Faulty(fault=fault)), fault)
    assert found[fault].startswith(f"source faulty breaks {fault}: ")


def test_a_source_that_keeps_its_promises_passes():
    assert len(check_dataset(Faulty())) > 15
    for source in (PhantomSkin(images=6, size=(16, 16)), PhantomChest(images=6, size=(16, 16))):
        check_dataset(source)


def test_a_source_that_can_be_read_once_is_found():
    class Once(Faulty):
        given = PhantomSkin(images=4, size=(16, 16)).samples()

        def samples(self, progress=silent):
            yield from self.given

    assert "can_be_read_again" in broken(dataset_checks(Once()))


@pytest.mark.parametrize("architecture", ["cnn", "resnet18", "timm:test_resnet"])
def test_architectures_keep_their_promises(architecture):
    check_architecture(architecture)


NETWORKS = {
    "weights_follow_the_seed": "self.state = torch.nn.Parameter(torch.randn(4, "
    "generator=torch.Generator().manual_seed(torch.seed())))",
    "rows_are_apart": "self.norm = torch.nn.BatchNorm2d(3, track_running_stats=False)",
    "weights_are_all": "self.kept = torch.randn(4)",
    "gradients_reach_all": "self.idle = torch.nn.Linear(2, 2)",
}


@pytest.mark.parametrize("fault", NETWORKS)
def test_a_planted_fault_of_an_architecture_is_found(fault, installed):
    module = f"""
import torch


class TheirNet(torch.nn.Module):
    def __init__(self, outputs, input_size, in_channels=3):
        super().__init__()
        self.convolution = torch.nn.Conv2d(in_channels, 4, 3)
        self.linear = torch.nn.Linear(4, outputs)
        self.norm, self.kept, self.state = torch.nn.Identity(), 0, 0
        {NETWORKS[fault]}

    def forward(self, images):
        features = self.convolution(self.norm(images)).relu().mean(dim=(2, 3))
        return self.linear(features + self.kept + self.state)
"""
    installed(files={**FILES, "their_saliency/net.py": module}, entries=ENTRIES)
    assert fault in broken(architecture_checks("their_net"), fault)


def test_a_third_partys_plugin_runs_the_same_checks_by_its_names(installed):
    installed()
    assert check_method("their_gradient", {"gain": 2.0}) == [str(c) for c in method_checks("rise")]
    check_dataset("their_discs", {"images": 5})
    check_architecture("their_net")
