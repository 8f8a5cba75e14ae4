"""What every explanation method promises, and how to look at it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import torch
from numpy.typing import NDArray

from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.method import Method, RawMap
from saliency_audit.attribution.registry import method_from_parameters
from saliency_audit.attribution.seeds import global_seed
from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.measures.status import VALUELESS_MAPS
from saliency_audit.models.classifier import Classifier
from saliency_audit.parameters import build, parameter_types
from saliency_audit.testing.classifiers import small_classifier, smooth_images
from saliency_audit.testing.contract import (
    Check,
    Promise,
    checks,
    promise,
    require,
    run_all,
)
from saliency_audit.testing.global_state import taken

Maps = list[list[RawMap]]
#: Statuses that a method itself may give, as docs/definitions.md has them.
OWN_STATUSES = ("few_superpixels", "nonpositive_denominator")
#: Share of the pixels that the trials take for the explanation.
KEPT = 0.05


@dataclass(frozen=True)
class MethodTrial:
    """A method to be tried: by its registered name, or its class, with parameters."""

    method: str | type[Method]
    parameters: Mapping[str, object]
    classifier: Classifier = field(default_factory=small_classifier)
    images: torch.Tensor = field(default_factory=smooth_images)
    compute: Compute = field(default_factory=lambda: Compute(batch=4))

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return self.method if isinstance(self.method, str) else self.method.__name__

    def build(self, **changed: object) -> Method:
        """Build the method, some parameters changed."""
        given = {**self.parameters, **changed}
        if isinstance(self.method, str):
            return method_from_parameters(self.method, given)
        return build(self.method, given)

    def explain(
        self,
        rows: Sequence[int],
        labels: Sequence[Sequence[int]],
        *,
        method: Method | None = None,
        classifier: Classifier | None = None,
        compute: Compute | None = None,
    ) -> Maps:
        """Explain labels of some images, by their numbers."""
        asked = method or self.build()
        return asked.explain(
            classifier or self.classifier,
            self.images[list(rows)],
            labels,
            [f"key {row}" for row in rows],
            compute=compute or self.compute,
            background=self.images if asked.needs_background else None,
        )

    def changed(self, change: Any) -> Classifier:
        """Give a copy of the classifier whose outputs a function of them replaces."""
        other = copy.deepcopy(self.classifier)
        other.network.register_forward_hook(lambda _m, _i, outputs: change(outputs))
        return other


def method_checks(
    method: str | type[Method],
    parameters: Mapping[str, object] | None = None,
    *,
    classifier: Classifier | None = None,
    images: torch.Tensor | None = None,
    expected: Mapping[str, str] | None = None,
) -> Iterator[Check[MethodTrial]]:
    """Give the checks of ``check_method`` one by one, for ``pytest.mark.parametrize``."""
    given: dict[str, Any] = {"classifier": classifier, "images": images}
    trial = MethodTrial(
        method,
        parameters or {},
        **{key: value for key, value in given.items() if value is not None},
    )
    return checks(PROMISES, f"method {trial.name}", trial, expected or {})


def check_method(
    method: str | type[Method],
    parameters: Mapping[str, object] | None = None,
    *,
    classifier: Classifier | None = None,
    images: torch.Tensor | None = None,
    expected: Mapping[str, str] | None = None,
) -> list[str]:
    """Check that a method keeps what every method promises; gives the names of the checks.

    ``method``: its registered name, or its class; ``parameters``: as in params.yaml, small enough
    for about a hundred maps; ``classifier``, ``images`` (3 or more, (B, 3, H, W) in [0, 1]): what
    it is tried on, a small network of random weights if left out; ``expected``: by the name of a
    check, why it does not hold of this method. Raises ContractError that names each broken promise
    and how to mend it.

    >>> "neighbours_matter_not" in check_method("gradcam")
    True
    """
    return run_all(
        method_checks(method, parameters, classifier=classifier, images=images, expected=expected)
    )


def _arrays(maps: Maps) -> list[list[NDArray[np.float64]]]:
    return [[raw.values for raw in found] for found in maps]


def _alike(one: RawMap, other: RawMap) -> bool:
    same = np.array_equal(one.values, other.values, equal_nan=True)
    return same and (one.status, one.completeness) == (other.status, other.completeness)


def _same(one: Maps, other: Maps, said: str) -> None:
    require([len(maps) for maps in one] == [len(maps) for maps in other], said)
    for first, second in zip(one, other, strict=True):
        for left, right in zip(first, second, strict=True):
            require(_alike(left, right), said)


@promise(
    "The class says in words what it computes, and names each of its parameters.",
    "write a docstring that says each parameter's meaning, unit and range, and its paper",
)
def _is_documented(trial: MethodTrial) -> None:
    kind = type(trial.build())
    own = kind.__doc__ or ""
    require(own and not own.startswith(f"{kind.__name__}("), f"{kind.__name__} has no docstring")
    words = " ".join(base.__doc__ or "" for base in kind.__mro__ if base is not object)
    for name in parameter_types(kind):
        require(name in words, f"its docstring does not say what {name} is")


@promise(
    "Parameters cannot change, and two methods of the same parameters are equal.",
    "declare the class with @dataclass(frozen=True)",
)
def _is_frozen(trial: MethodTrial) -> None:
    method = trial.build()
    require(method == trial.build(), "built twice, it is not equal to itself")
    for own in fields(method):  # type: ignore[arg-type]
        try:
            setattr(method, own.name, getattr(method, own.name))
        except FrozenInstanceError:
            continue
        require(False, f"{own.name} can be set")


@promise(
    "A parameter that nobody knows is refused by name.",
    "take parameters as fields of the dataclass, not as **options",
)
def _refuses_unknown_parameters(trial: MethodTrial) -> None:
    _refused(trial, "no_such_parameter", 1)


@promise(
    "A value of another type is refused by the parameter's name.",
    "annotate each field with one type of plain value: int, float, bool, str, Literal",
)
def _refuses_wrong_types(trial: MethodTrial) -> None:
    for name in parameter_types(type(trial.build())):
        _refused(trial, name, b"of no parameter's type", name)


@promise(
    "No number is NaN or infinite, and no boolean or text stands for one.",
    "derive the class from saliency_audit.attribution.method.Method: it checks each field",
)
def _refuses_what_is_no_number(trial: MethodTrial) -> None:
    for name, kind in parameter_types(type(trial.build())).items():
        plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        if plain in (int, float):
            for value in (math.nan, math.inf, True, "3"):
                _refused(trial, name, value)


def _refused(trial: MethodTrial, name: str, value: object, wanted: str | None = None) -> None:
    try:
        trial.build(**{name: value})
    except ParameterError as error:
        require((wanted or name) in str(error), f"the error for {name} does not name it: {error}")
    else:
        require(False, f"{name} = {value!r} was taken")


@promise(
    "Each label asked has a float64 map (H, W), in the order asked; none asked, none given.",
    "give one RawMap for each label asked, its values a float64 array as large as the image",
)
def _gives_one_map_per_label(trial: MethodTrial) -> None:
    asked: list[list[int]] = [[0, 1], [], [1]]
    found = trial.explain([0, 1, 2], asked)
    counts = [len(maps) for maps in found]
    require(counts == [2, 0, 1], f"2, 0 and 1 maps were asked for, and {counts} came")
    size = tuple(trial.images.shape[-2:])
    for raw in (raw for maps in found for raw in maps):
        require(isinstance(raw, RawMap), f"a map is {type(raw).__name__}, not a RawMap")
        require(raw.values.dtype == np.float64, f"a map is {raw.values.dtype}, not float64")
        require(raw.values.shape == size, f"a map is {raw.values.shape}, the image {size}")
    require(trial.explain([], []) == [], "no images have maps")


@promise(
    "Of a model of finite scores a map is finite, and 0 or more everywhere.",
    "take the positive part or the absolute value of signed attributions, by a parameter",
)
def _maps_are_finite_and_not_negative(trial: MethodTrial) -> None:
    for raw in (raw for maps in trial.explain([0, 1], [[0, 1, 2], [1]]) for raw in maps):
        require(np.isfinite(raw.values).all(), "a map holds numbers that are not finite")
        require((raw.values >= 0).all(), f"a map holds {raw.values.min()}")


@promise(
    "What a method says of a map is one of the words that docs/definitions.md defines.",
    f"give status None, or one of {', '.join(OWN_STATUSES)}",
)
def _statuses_are_known(trial: MethodTrial) -> None:
    for raw in trial.explain([0], [[0, 1, 2]])[0]:
        require(raw.status in (None, *OWN_STATUSES), f"a map has the status {raw.status!r}")


@promise(
    "A label has the same map whatever other labels are asked, in whatever order.",
    "compute a label's map from that label's score alone",
)
def _labels_matter_not(trial: MethodTrial) -> None:
    alone = [trial.explain([1], [[label]])[0][0] for label in range(3)]
    (together,) = trial.explain([1], [[2, 0, 1, 0]])
    for raw, label in zip(together, [2, 0, 1, 0], strict=True):
        require(_alike(raw, alone[label]), f"label {label} beside others has another map")


@promise(
    "An image has the same map whatever images stand beside it, and wherever it stands.",
    "call the model through `compute`, which keeps one batch shape, and mix no rows",
)
def _neighbours_matter_not(trial: MethodTrial) -> None:
    together = trial.explain([0, 1, 2], [[0, 2], [], [1]])
    turned = trial.explain([2, 0, 1], [[1], [0, 2], []])
    _same(together, [turned[1], turned[2], turned[0]], "in another order maps are others")
    _same([together[2]], trial.explain([2], [[1]]), "an image alone has another map")


@promise(
    "The same image has the same map again, by the same explainer and by another.",
    "take random numbers from saliency_audit.attribution.seeds.generator(seed, key, stream)",
)
def _gives_the_same_bytes_again(trial: MethodTrial) -> None:
    first = trial.explain([0, 1], [[0], [1]])
    _same(first, trial.explain([0, 1], [[0], [1]]), "made ready again, it gives another map")
    method = trial.build()
    background = trial.images if method.needs_background else None
    ready = method.explainer(trial.classifier, compute=trial.compute, background=background)
    for _ in range(2):
        ready.foresee(trial.images[:2])
        again = ready.explain(trial.images[:2], [[0], [1]], ["key 0", "key 1"])
        _same(first, again, "asked again, or foreseen, it gives another map")


@promise(
    "A map does not depend on the process's own random numbers.",
    "draw from a generator of your own, never from torch, numpy or random themselves",
)
def _global_seeds_matter_not(trial: MethodTrial) -> None:
    found = []
    for seed in (0, 1):
        with global_seed(seed):
            found.append(trial.explain([0], [[1]]))
    _same(found[0], found[1], "with other seeds of the process it gives another map")


@promise(
    "Where it declares a seed, another seed gives another map.",
    "leave out the parameter `seed`, or derive what is drawn from it",
)
def _its_seed_matters(trial: MethodTrial) -> None:
    if "seed" not in parameter_types(type(trial.build())):
        return
    one, other = (trial.explain([0], [[1]], method=trial.build(seed=n)) for n in (0, 1))
    require(not _alike(one[0][0], other[0][0]), "seeds 0 and 1 give the same map")


@promise(
    "Random numbers, gradient mode, threads and types of the process stay as they were.",
    "put back what you set: use torch.random.fork_rng, torch.enable_grad as a context",
)
def _leaves_the_process_as_it_was(trial: MethodTrial) -> None:
    for recording in (True, False):
        with torch.set_grad_enabled(recording):
            before = taken()
            trial.explain([0], [[1]])
            after = taken()
        for what, value in before.items():
            require(after[what] == value, f"it changed {what}")


@promise(
    "Weights, mode, gradients and hooks of the classifier stay as they were.",
    "work under saliency_audit.compute.evaluating, remove hooks, and set no gradients",
)
def _leaves_the_classifier_as_it_was(trial: MethodTrial) -> None:
    classifier = copy.deepcopy(trial.classifier).train()
    state = {name: value.clone() for name, value in classifier.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in classifier.parameters()]
    hooks = _hooks(classifier)
    trial.explain([0], [[1]], classifier=classifier)
    require(all(module.training for module in classifier.modules()), "it is in another mode")
    for name, value in classifier.state_dict().items():
        require(torch.equal(state[name], value), f"{name} has other values")
    now = list(classifier.parameters())
    require(all(parameter.grad is None for parameter in now), "parameters have gradients")
    require([p.requires_grad for p in now] == wanted, "other parameters want gradients")
    require(_hooks(classifier) == hooks, "hooks are left in it")


def _hooks(classifier: Classifier) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in classifier.modules() for kind in kinds)


@promise(
    "Called where torch records no gradients, it gives the same maps.",
    "enable gradients yourself, with torch.enable_grad, where you need them",
)
def _works_without_gradients(trial: MethodTrial) -> None:
    usual = trial.explain([0], [[1]])
    with torch.no_grad():
        _same(usual, trial.explain([0], [[1]]), "within torch.no_grad it gives another map")


@promise(
    "A model that never changes its mind has a map of zeros, or of one value.",
    "subtract what a constant model would get, or name the check among `expected`",
)
def _a_constant_model_has_no_map(trial: MethodTrial) -> None:
    constant = copy.deepcopy(trial.classifier)
    for module in list(constant.network.modules())[::-1]:
        if isinstance(module, torch.nn.Linear):
            with torch.no_grad():
                module.weight.zero_()
            break
    for raw in trial.explain([0], [[0, 2]], classifier=constant)[0]:
        status = quantise(raw, KEPT).status
        require(status in VALUELESS_MAPS, f"its map is {status}")


@promise(
    "Where the model gives NaN the map says so, and no number takes its place.",
    "let NaN through to the map: replace it by no number",
)
def _a_model_of_no_numbers_has_a_nan_map(trial: MethodTrial) -> None:
    broken = copy.deepcopy(trial.classifier)
    with torch.no_grad():
        next(iter(reversed(list(broken.network.parameters())))).fill_(torch.nan)
        next(broken.network.parameters()).fill_(torch.nan)
    for raw in trial.explain([0], [[0]], classifier=broken)[0]:
        status = quantise(raw, KEPT).status
        require(status == "nan_map", f"its map is {status}")


@promise(
    "Every call of the model has the batch of `compute`: no call grows with the samples.",
    "call the model through `compute`, never directly",
)
def _calls_have_one_batch_shape(trial: MethodTrial) -> None:
    classifier, shapes = copy.deepcopy(trial.classifier), set()
    classifier.register_forward_hook(lambda _m, given, _o: shapes.add(tuple(given[0].shape)))
    trial.explain([0, 1], [[0, 2], [1]], classifier=classifier)
    wanted = (trial.compute.batch, *trial.images.shape[1:])
    require(shapes == {wanted}, f"it was called with {sorted(shapes)}, not {wanted} alone")


class _Count(torch.autograd.Function):
    """The identity, which tells of each backward pass through it."""

    @staticmethod
    def forward(ctx: Any, outputs: torch.Tensor, told: list[int]) -> torch.Tensor:
        ctx.told = told
        return outputs.view_as(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        ctx.told.append(len(gradients[0]))
        return gradients[0], None


@promise(
    "The passes made are those that `cost` says, but for those of the background, made once.",
    "count in cost() the rows that the model reads, of one image (and of a label)",
)
def _costs_are_counted(trial: MethodTrial) -> None:
    cost, images, labels = trial.build().cost(), len(trial.images), 2
    classifier = copy.deepcopy(trial.classifier)
    forward: list[int] = []
    backward: list[int] = []

    def count(_module: Any, given: Any, outputs: torch.Tensor) -> torch.Tensor:
        forward.append(len(given[0]))
        counted: torch.Tensor = _Count.apply(outputs, backward)
        return counted

    classifier.register_forward_hook(count)
    trial.explain(range(images), [[0, 1]] * images, classifier=classifier, compute=Compute(batch=1))
    if cost.forward is not None and cost.forward_exact:
        said = images * cost.forward * (1 if cost.forward_shared else labels)
        once = len(trial.images) if trial.build().needs_background else 0
        require(
            said <= sum(forward) <= said + once,
            f"cost() makes it {said} forward passes, {sum(forward)} were made",
        )
    if cost.backward is not None:
        said = images * labels * cost.backward
        require(
            sum(backward) == said,
            f"cost() makes it {said} backward passes, {sum(backward)} were made",
        )


@promise(
    "Labels that the classifier has not, and pixels outside [0, 1], are refused by name.",
    "leave `explain` to the base classes, which check what they are given",
)
def _refuses_what_is_no_request(trial: MethodTrial) -> None:
    for label in (-1, len(trial.classifier.labels)):
        try:
            trial.explain([0, 1], [[0], [label]])
        except ParameterError as error:
            require(f"label {label}" in str(error), f"the error does not name it: {error}")
        else:
            require(False, f"label {label} was taken")
    method = trial.build()
    for wrong in (trial.images[:1] + 1, trial.images[:1] * torch.nan, trial.images[:1, :2]):
        try:
            method.explain(
                trial.classifier,
                wrong,
                [[0]],
                ["key"],
                compute=trial.compute,
                background=trial.images,
            )
        except DataError:
            continue
        require(False, "pixels outside [0, 1], or of two channels, were taken")


@promise(
    "A method that needs background images says so where there are none.",
    "call saliency_audit.attribution.method.background_of",
)
def _refuses_a_missing_background(trial: MethodTrial) -> None:
    method = trial.build()
    if not method.needs_background:
        return
    try:
        method.explain(trial.classifier, trial.images[:1], [[0]], ["key"], compute=trial.compute)
    except DataError:
        return
    require(False, "it went on without background images")


#: In the order in which they are looked at.
PROMISES: tuple[Promise[MethodTrial], ...] = (
    _is_documented,
    _is_frozen,
    _refuses_unknown_parameters,
    _refuses_wrong_types,
    _gives_one_map_per_label,
    _maps_are_finite_and_not_negative,
    _statuses_are_known,
    _labels_matter_not,
    _neighbours_matter_not,
    _gives_the_same_bytes_again,
    _global_seeds_matter_not,
    _its_seed_matters,
    _leaves_the_process_as_it_was,
    _leaves_the_classifier_as_it_was,
    _works_without_gradients,
    _a_constant_model_has_no_map,
    _a_model_of_no_numbers_has_a_nan_map,
    _calls_have_one_batch_shape,
    _costs_are_counted,
    _refuses_what_is_no_request,
    _refuses_a_missing_background,
)
