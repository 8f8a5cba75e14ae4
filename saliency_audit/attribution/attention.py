"""The attention of a vision transformer during one pass, and which of its tokens the head reads.

What belongs here: from a classifier to the softmax weights of each layer, as tensors, and from
weights over tokens to a map. What is made of the weights belongs to each method. Fused kernels hold
no weights: timm's attention is asked to do without them for the pass, torch's to give its weights;
any other is refused.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from saliency_audit.attribution.class_activation import padded, upsampled
from saliency_audit.attribution.layouts import Layout, layout_of, prefix_tokens
from saliency_audit.attribution.method import Explainer, RawMap
from saliency_audit.compute import evaluating
from saliency_audit.errors import ModelError, NotApplicable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier

#: How far rows of weights may sum from 1 to be a softmax.
ROUNDING = 1e-3


class AttentionExplainer(Explainer):
    """Explains batches of images by the attention of all layers.

    Raises NotApplicable, for a network whose attention is not that of one sequence of tokens, when
    it is made or at the first image.
    """

    #: What the method is called in errors, and whether the weights are differentiated.
    name: str
    differentiates: bool

    def __init__(self, classifier: Classifier, compute: Compute) -> None:
        super().__init__(classifier, compute)
        self._layers = attention_layers(classifier.network, self.name)
        if self.differentiates:
            refuse_multihead(self._layers, self.name)

    @abstractmethod
    def tokens(
        self, weights: Sequence[Tensor], start: Tensor, scores: Tensor, wanted: Tensor
    ) -> Tensor:
        """Give what each token counts, (B, N) float64, 0 or more.

        ``weights``: (B, heads, N, N) of each layer, first to last; ``start``: (N,) float64, share
        of each token in what the head reads; ``scores``: (B, labels); ``wanted``: (B, labels), 1
        for the label of each image that is explained.
        """

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        rows = self.compute.batch
        found: list[list[RawMap]] = []
        with evaluating(self.classifier):
            for start in range(0, len(images), rows):
                chunk = slice(start, start + rows)
                found += self._chunk(images[chunk], labels[chunk])
        return found

    def _chunk(self, images: Tensor, labels: Sequence[Sequence[int]]) -> list[list[RawMap]]:
        import torch

        size = (int(images.shape[2]), int(images.shape[3]))
        found: list[list[RawMap]] = [[] for _ in labels]
        network = self.classifier.network
        with (
            refusing_fused_kernels(network, self.name),
            recording(self._layers, self.differentiates) as recorded,
        ):
            scores = self.classifier(self.compute.place(padded(images, self.compute.batch)))
            weights = checked(self._layers, recorded, self.compute.batch, self.name)
            layout = self._layout(weights[0], size)
            start = reading(network, weights[0].shape[-1], self.name)
            finite = scores.detach().isfinite().tolist()
            for turn in range(max(map(len, labels), default=0)):
                rows = [row for row, asked in enumerate(labels) if turn < len(asked)]
                wanted = torch.zeros_like(scores)
                wanted[rows, [labels[row][turn] for row in rows]] = 1
                counts = self.tokens(weights, start.to(scores.device), scores, wanted)
                maps = upsampled(layout.read(counts[..., None])[:, 0], size)
                for row in rows:
                    number = finite[row][labels[row][turn]]
                    found[row].append(RawMap(maps[row] if number else maps[row] * float("nan")))
        return found

    def _layout(self, weights: Tensor, size: tuple[int, int]) -> Layout:
        try:
            return layout_of("attention", weights[:, 0], self.classifier, size)
        except ModelError as error:
            raise NotApplicable(f"{self.name} cannot explain this network: {error}") from None


def attention_layers(network: nn.Module, method: str) -> dict[str, nn.Module]:
    """Give the attention modules of a network by name: those of timm's and of torch's kind.

    Raises NotApplicable naming one that has nothing to read its weights at.
    """
    from torch import nn

    found = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.MultiheadAttention)
        or isinstance(getattr(module, "fused_attn", None), bool)
    }
    for name, module in found.items():
        dropout = getattr(module, "attn_drop", None)
        if not isinstance(module, nn.MultiheadAttention) and not isinstance(dropout, nn.Module):
            raise _no_weights(method, name)
    return found


def refuse_multihead(layers: dict[str, nn.Module], method: str) -> None:
    """Raise NotApplicable where a layer is torch's own, whose weights have no gradient."""
    from torch import nn

    for name, module in layers.items():
        if isinstance(module, nn.MultiheadAttention):
            raise NotApplicable(
                f"{method} cannot explain this network: layer {name} is torch's "
                "MultiheadAttention, whose softmax weights have no gradient; take "
                "attention_rollout, or the same network of timm"
            )


def _no_weights(method: str, name: str) -> NotApplicable:
    return NotApplicable(
        f"{method} cannot explain this network: layer {name or 'of the network itself'} computes "
        "attention without softmax weights that could be read, as fused kernels do; take another "
        "method"
    )


@contextmanager
def refusing_fused_kernels(network: nn.Module, method: str) -> Iterator[None]:
    """Raise NotApplicable, naming the layer, where a network calls torch's fused attention."""
    from torch.nn.functional import scaled_dot_product_attention
    from torch.overrides import TorchFunctionMode

    inside = [""]

    class Refusing(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), options: Any = None
        ) -> Any:
            if function is scaled_dot_product_attention:
                raise _no_weights(method, inside[0])
            return function(*args, **(options or {}))

    with ExitStack() as undo:
        for name, module in network.named_modules():
            if list(module.children()):

                def enter(_m: nn.Module, _i: object, name: str = name) -> None:
                    inside[0] = name

                undo.callback(module.register_forward_pre_hook(enter).remove)
        undo.enter_context(Refusing())
        yield


@contextmanager
def recording(
    layers: dict[str, nn.Module], differentiate: bool
) -> Iterator[list[tuple[str, Tensor]]]:
    """Record the softmax weights of layers during one pass, with their names, as they are called.

    The network runs without gradients up to the first of them; from there on gradients for the
    weights are recorded if ``differentiate``. Everything is put back afterwards.
    """
    import torch

    recorded: list[tuple[str, Tensor]] = []

    def keep(name: str, weights: Tensor) -> Tensor:
        if differentiate and not recorded:
            torch.set_grad_enabled(True)
            weights = weights.detach().requires_grad_()
        recorded.append((name, weights))
        return weights

    with ExitStack() as undo:
        for name, module in layers.items():
            _watch(undo, name, module, keep)
        undo.enter_context(torch.no_grad())  # the mode from before is restored here
        yield recorded


def _watch(undo: ExitStack, name: str, module: Any, keep: Any) -> None:
    from torch import nn

    if isinstance(module, nn.MultiheadAttention):

        def ask(_: nn.Module, args: Any, options: dict[str, Any]) -> Any:
            return args, {**options, "need_weights": True, "average_attn_weights": False}

        def take(_: nn.Module, args: Any, output: Any) -> None:
            keep(name, output[1])

        undo.callback(module.register_forward_pre_hook(ask, with_kwargs=True).remove)
        undo.callback(module.register_forward_hook(take).remove)
        return
    undo.callback(setattr, module, "fused_attn", module.fused_attn)
    module.fused_attn = False
    watched = module.attn_drop.register_forward_hook(lambda _m, _i, weights: keep(name, weights))
    undo.callback(watched.remove)


def checked(
    layers: dict[str, nn.Module], recorded: list[tuple[str, Tensor]], rows: int, method: str
) -> list[Tensor]:
    """Give the weights (B, heads, N, N) of each layer, as called.

    Raises NotApplicable where there are none, or naming the layer that was not recorded once, or
    attends to anything but one sequence of tokens per image.
    """
    names = [name for name, _ in recorded]
    if not layers:
        raise NotApplicable(
            f"{method} cannot explain this network: it has no attention of timm's or torch's kind; "
            "take another method"
        )
    for name in layers:
        if names.count(name) != 1:
            raise _no_weights(method, name)
    tokens = recorded[0][1].shape[-1]
    for name, weights in recorded:
        if weights.ndim != 4 or len(weights) != rows or weights.shape[2:] != (tokens, tokens):
            raise NotApplicable(
                f"{method} cannot explain this network: layer {name} attends within windows, "
                f"channels or another number of tokens (weights {tuple(weights.shape)}), not to "
                "all patches at once; take gradcam with a named block, or another method"
            )
        sums = weights.detach().sum(dim=-1)
        if bool(((sums - 1).abs() > ROUNDING).any()):
            raise NotApplicable(
                f"{method} cannot explain this network: the attention weights of layer {name} are "
                "no softmax, as they do not sum to 1; take another method"
            )
    return [weights for _, weights in recorded]


def reading(network: nn.Module, tokens: int, method: str) -> torch.Tensor:
    """Give the share of each token in what the head reads, (N,) float64, which sum to 1.

    The class token, the class and distillation tokens of DeiT, or the mean over patches. Raises
    NotApplicable where the head pools its tokens otherwise, or does not say how (``global_pool``).
    """
    import torch
    from torch import nn

    share = torch.zeros(tokens, dtype=torch.float64)
    prefix = prefix_tokens(network)
    for module in network.modules():
        pool = getattr(module, "global_pool", None)
        if pool is None and isinstance(getattr(module, "class_token", None), nn.Parameter):
            pool = "token"  # torchvision's
        if not isinstance(pool, str):
            continue
        if pool == "token":
            share[: 2 if hasattr(module, "head_dist") else 1] = 1
        elif pool == "avg":
            share[0 if getattr(module, "pool_include_prefix", False) else prefix :] = 1
        else:
            raise NotApplicable(
                f"{method} cannot explain this network: its head pools tokens by {pool!r}, not by "
                "the class token or the mean; take another method"
            )
        return share / share.sum()
    raise NotApplicable(
        f"{method} cannot explain this network: it does not say which tokens its head reads; give "
        "it the attribute global_pool, token or avg"
    )
