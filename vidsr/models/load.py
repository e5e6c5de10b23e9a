"""From the name of a model to a network that runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from ..errors import UsageError, WeightsError
from ..events import Emit, Notice, ignore
from . import dni
from .archs.compact import SRVGGNetCompact
from .archs.rrdb import RRDBNet
from .builtin import builtin
from .community import Community, build_community, why_absent
from .descriptor import ALL_DTYPES, Descriptor
from .files import digest
from .find import Found, download, find, find_builtin
from .graph import Graph, read_graph
from .probe import FARTHEST, remembered
from .recover import build, is_known

__all__ = ["describe", "download", "find", "load_model"]


def load_model(
    spec: str, *, denoise: float | None = None, blend: Sequence[str] = (), emit: Emit = ignore
) -> Descriptor:
    """The network that `spec` (a built-in name, its alias, the name of imported weights, or a path) stands for.

    `denoise` in [0, 1] mixes it with its partner: 1 is the model alone, 0 the partner alone. Each of `blend` is
    `PATH:W`, another model of equal shape and its weight in (0, 1]; the first has what is left of 1. Raises UsageError
    for unknown names, for weights above 1 together, and for `denoise` where there is no partner; WeightsError for
    weights that are missing or refused.
    """
    others = dni.parts(blend)
    found = _mixed(spec, denoise, emit) if denoise is not None else find(spec, emit)
    if others:
        found = _blended(found, [(find(path, emit), weight) for path, weight in others])
    return describe(found, spec, emit)


def describe(found: Found, spec: str = "", emit: Emit = ignore) -> Descriptor:
    """The network of weights that were found. Raises WeightsError, which names `spec`, when they make none."""
    try:
        network = read_graph(found.graph) if found.graph else _built(found)
        return _described(found, network, emit)
    except WeightsError as error:
        raise WeightsError(f"model {spec or found.name}: {error}", error.hint) from error


def _built(found: Found) -> nn.Module:
    """A network of ours where the weights fit one, else one of spandrel's."""
    try:
        return build(found.state)
    except WeightsError as error:
        absent = why_absent()
        if absent is None:
            return _others(found, error)
        hint = f"pip install 'vidsr-upscaler[community]' for other architectures; {absent}"
        raise WeightsError(str(error), error.hint if is_known(found.state) else hint) from error


def _others(found: Found, reason: WeightsError) -> nn.Module:
    """The network that spandrel makes of the weights; where it makes none, ours and its reasons are told."""
    try:
        return build_community(found.state)
    except WeightsError as error:
        raise WeightsError(f"{reason}; {error}", error.hint or reason.hint) from error


def _described(found: Found, network: nn.Module, emit: Emit) -> Descriptor:
    """What is known of a network: by its equations where it is one of ours, else by running it."""
    if isinstance(network, SRVGGNetCompact | RRDBNet):
        if network.title.endswith(" relu"):
            emit(
                Notice(
                    f"model {found.name} has no PReLU slopes; its activation is taken to be ReLU, "
                    "vidsr models import --activation leakyrelu makes it leaky ReLU",
                    "warning",
                )
            )
        step = network.multiple_of
        return _filled(found, network, network.title, (network.scale, step, step, network.receptive_field))
    known = (network.scale, network.multiple_of, network.minimum) if isinstance(network, Community) else None
    probed = remembered(network, found.sha256, known)
    if probed.receptive_field == FARTHEST:
        emit(Notice(f"model {found.name} sees {FARTHEST} px or more", "detail"))
    figures = (probed.scale, probed.multiple_of, probed.minimum, probed.receptive_field)
    if isinstance(network, Graph):
        described = _filled(found, network, "ONNX graph", figures)
        return replace(described, dtypes=frozenset({"fp32"}), parameters=network.weights)
    assert isinstance(network, Community)
    described = _filled(found, network, network.title, figures)
    able = frozenset({"fp32", "fp16"} if network.half_allowed else {"fp32"})
    return replace(described, dtypes=able, tiles=network.tiles)


def _filled(found: Found, network: nn.Module, title: str, figures: tuple[int, int, int, int]) -> Descriptor:
    """`figures` are scale, size rule, least side and receptive field."""
    scale, step, least, field = figures
    parameters = sum(tensor.numel() for tensor in network.parameters())
    flops = getattr(network, "flops_per_pixel", 0)
    return Descriptor(
        name=found.name,
        arch=title,
        scale=scale,
        receptive_field=field,
        multiple_of=step,
        minimum=least,
        dtypes=ALL_DTYPES,
        parameters=parameters,
        flops_per_pixel=flops,
        sha256=found.sha256,
        licence=found.licence,
        origin=found.origin,
        network=network,
    )


def _mixed(spec: str, denoise: float, emit: Emit) -> Found:
    item = builtin().find(spec)
    partner = builtin().get(item.partner) if item and item.partner else None
    if item is None or partner is None:
        able = ", ".join(known.name for known in builtin() if known.partner)
        raise UsageError(f"--denoise: model {spec!r} has no denoise strength; {able} has", "leave --denoise out")
    if not 0 <= denoise <= 1:
        raise UsageError(f"--denoise: {denoise} is not allowed, expected 0 to 1")
    first = find_builtin(item, emit) if denoise > 0 else None
    second = find_builtin(partner, emit) if denoise < 1 else None
    if first is None or second is None:
        return first or second or find_builtin(item, emit)
    state = dni.mix(first.state, second.state, denoise)
    origin = f"{denoise:g} * {first.origin} + {1 - denoise:g} * {second.origin}"
    return Found(item.name, state, digest(state), item.licence, origin)


def _blended(first: Found, others: Sequence[tuple[Found, float]]) -> Found:
    """Weights mixed with others; their sha256 is that of the mixture, so that it is told from every other one."""
    whole = next((item.name for item in (first, *(other for other, _ in others)) if item.graph), None)
    if whole is not None:
        raise UsageError(f"--blend: model {whole} is an ONNX file, whose weights cannot be mixed")
    state = dni.blend(first.state, [(other.state, weight) for other, weight in others])
    rest = 1 - sum(weight for _, weight in others)
    parts = [(first, rest), *others]
    licences = sorted({item.licence for item, _ in parts})
    origin = " + ".join(f"{weight:g} * {item.origin}" for item, weight in parts)
    return Found(first.name, state, digest(state), " and ".join(licences), origin)
