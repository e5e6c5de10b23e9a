"""From the name of a network for faces, or a file, to the network: found as every other, recognised by its keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from ..events import Emit, Notice, ignore
from ..models.builtin import builtin
from ..models.find import Found, find
from ..models.recover import check_fit, shown
from ..models.registry import Kind, Weights
from .nets.gfpgan import GFPGANv1Clean
from .nets.gfpgan_original import GFPGANv1
from .nets.parsenet import ParseNet
from .nets.restoreformer import RestoreFormer
from .nets.retinaface import RetinaFace

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class FaceNetwork:
    """A network for faces with its weights, on the CPU, in eval mode, without gradients.

    `sha256` is that of the file it was read from, `origin` says which one that was.
    """

    name: str
    kind: Kind
    title: str
    licence: str
    sha256: str
    origin: str
    network: nn.Module


@dataclass(frozen=True)
class Layout:
    """A network with the keys by which its weights are known, and what makes it without them."""

    title: str
    kind: Kind
    marks: frozenset[str]
    make: Callable[[State], nn.Module]


def _gfpgan(kind: type[GFPGANv1Clean]) -> Callable[[State], nn.Module]:
    """The sizes of the released files, or those of smaller networks, stand in the shapes."""

    def make(state: State) -> nn.Module:
        try:
            levels = sum(key.startswith("conv_body_down.") and ".skip." in key for key in state)
            narrow = state["stylegan_decoder.constant_input.weight"].shape[1] / 512
            at_64 = state.get("stylegan_decoder.style_convs.6.modulated_conv.weight")
            multiplier = 1 if at_64 is None else round(at_64.shape[1] / (256 * narrow))
            return kind(4 << levels, len(state["stylegan_decoder.style_mlp.1.weight"]), multiplier, narrow)
        except (LookupError, ArithmeticError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"their shapes are of no {kind.__name__}", "the file is damaged") from error

    return make


_STYLEGAN = ("stylegan_decoder.constant_input.weight", "stylegan_decoder.style_mlp.1.weight")
LAYOUTS = (
    Layout("GFPGANv1Clean", "face-restorer", frozenset({*_STYLEGAN, "conv_body_first.weight"}), _gfpgan(GFPGANv1Clean)),
    Layout("GFPGANv1", "face-restorer", frozenset({*_STYLEGAN, "conv_body_first.0.weight"}), _gfpgan(GFPGANv1)),
    Layout(
        "RestoreFormer", "face-restorer",
        frozenset({"quantize.embedding.weight", "encoder.conv_in.weight"}), lambda _: RestoreFormer(),
    ),
    Layout("ParseNet", "face-parser", frozenset({"out_mask_conv.conv2d.weight"}), lambda _: ParseNet()),
    Layout(
        "RetinaFace on ResNet-50", "face-detector",
        frozenset({"ClassHead.0.conv1x1.weight", "body.conv1.weight"}), lambda _: RetinaFace("resnet50"),
    ),
    Layout(
        "RetinaFace on MobileNet 0.25", "face-detector",
        frozenset({"ClassHead.0.conv1x1.weight", "body.stage1.0.0.weight"}), lambda _: RetinaFace("mobilenet0.25"),
    ),
)  # fmt: skip
"""The networks for faces."""

CODEFORMER = frozenset({"position_emb", "quantize.embedding.weight"})
COUNTER = "num_batches_tracked"
"""Of normalisations; older files lack it, and nothing reads it."""


def load_network(spec: str, kind: Kind, emit: Emit = ignore) -> FaceNetwork:
    """The network for faces that `spec` stands for: a name in presets/weights.yaml, an alias of it, or a path.

    Weights whose licence forbids commercial use are announced with a Notice. Raises UsageError for unknown names and
    for names of another kind, WeightsError for weights that are missing or refused or of another kind.
    """
    return network_of(find_face(spec, kind, emit), kind)


def find_face(spec: str, kind: Kind, emit: Emit = ignore) -> Found:
    """As `load_network`, without making a network of the weights; an ONNX file stays as it is."""
    found = find(spec, emit, (kind,))
    item = known(found)
    if item is not None and item.non_commercial:
        emit(Notice(f"weights of {item.name} are not free for commercial use: {item.licence}", "warning"))
    return found


def known(found: Found) -> Weights | None:
    """The entry of presets/weights.yaml that these weights are, whether they were found by name or by path."""
    by_hash = (item for item in builtin() if item.sha256 == found.sha256)
    return builtin().find(found.name) or next(by_hash, None)


def network_of(found: Found, kind: Kind) -> FaceNetwork:
    """The network that the weights are of. Raises WeightsError when it is not of this kind, or none at all."""
    try:
        layout = recognised(found)
        if layout.kind != kind:
            raise WeightsError(f"they are of {layout.title}, a {layout.kind}, expected is a {kind}")
        network = filled(layout, found.state)
    except WeightsError as error:
        raise WeightsError(f"weights {found.origin}: {error}", error.hint) from error
    return FaceNetwork(found.name, kind, layout.title, found.licence, found.sha256, found.origin, network)


def recognised(found: Found) -> Layout:
    """The layout whose keys the weights have. Raises WeightsError when there is none."""
    if found.graph:
        raise WeightsError("an ONNX file is allowed for a face-detector only")
    if found.state.keys() >= CODEFORMER:
        raise WeightsError("they are of CodeFormer, which vidsr has not", "gfpgan-1.4 and restoreformer do the same")
    layout = next((item for item in LAYOUTS if found.state.keys() >= item.marks), None)
    if layout is None:
        raise WeightsError(
            f"they fit no network for faces, their first keys are {shown(list(found.state))}",
            f"allowed are {', '.join(item.title for item in LAYOUTS)}",
        )
    return layout


def filled(layout: Layout, state: State) -> nn.Module:
    """The network with these weights, every one of them and no other. Raises WeightsError when they do not fit."""
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        network = layout.make(state)
    weights = {key: value for key, value in state.items() if not key.endswith(COUNTER)}
    expected = {key: value for key, value in network.state_dict().items() if not key.endswith(COUNTER)}
    check_fit(expected, weights, layout.title)
    network.load_state_dict(weights, strict=True, assign=True)
    return network.eval().requires_grad_(False)
