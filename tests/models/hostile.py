"""Files that strangers might send, by what they are: their ending and their content."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.ncnn_write import write_ncnn


class Payload:
    """Unpickled by a loader that runs code, it calls `function` with `arguments`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.function, self.arguments)


def _saved(content: Any, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def _zip(*entries: tuple[str, bytes], squeeze: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if squeeze else zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


def pickles(mark: Path) -> dict[str, tuple[str, bytes]]:
    """All of them make the file `mark` where they are run."""
    make, shell = Payload(open, str(mark), "w"), Payload(os.system, f"touch {mark}")
    run = Payload(exec, f"open({str(mark)!r}, 'w')")
    return {
        "zip, bare": (".pth", _saved(make)),
        "zip, shell": (".pth", _saved(shell)),
        "zip, exec": (".ckpt", _saved({"state_dict": {"w": run}})),
        "zip, beside tensors": (".pth", _saved({"params": {"body.0.weight": torch.zeros(4, 3, 3, 3), "x": make}})),
        "legacy, bare": (".pt", _saved(make, legacy=True)),
        "legacy, beside tensors": (".pth", _saved({"body.0.weight": torch.zeros(4), "x": shell}, legacy=True)),
        "plain, protocol 2": (".pth", pickle.dumps(run, 2)),
        "plain, protocol 4": (".pth", pickle.dumps(shell, 4)),
        "plain, protocol 0": (".bin.pth", pickle.dumps(make, 0)),
        "as safetensors": (".safetensors", pickle.dumps(make)),
        "as .pt2": (".pt2", _saved(make)),
        "as onnx": (".onnx", _saved(make)),
    }


def bombs() -> dict[str, tuple[str, bytes]]:
    """All of them claim much more than they hold."""
    state = {"body.0.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}
    header = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    wide = b'{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}'
    squeezed = [("net/data.pkl", bytes(50_000_000)), ("net/data/0", bytes(50_000_000))]
    return {
        "zip, 1000:1": (".pth", _zip(*squeezed, squeeze=True)),
        "zip, as .pt2": (".pt2", _zip(*squeezed, squeeze=True)),
        "view of one number": (".pth", _saved(state)),
        "view, legacy": (".pth", _saved(state, legacy=True)),
        "safetensors header of 2^63": (".safetensors", (1 << 63).to_bytes(8, "little") + b"{}"),
        "safetensors header of 2^40": (".safetensors", (1 << 40).to_bytes(8, "little") + b"{}"),
        "safetensors of 4 TiB": (".safetensors", len(header).to_bytes(8, "little") + header),
        "safetensors sizes that overflow": (".safetensors", len(wide).to_bytes(8, "little") + wide + bytes(8)),
        "pickle of 2^31 bytes": (".pth", b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x"),
        "ncnn of 16 million channels": (".param", _param("0=16777215 1=3 4=1 5=1 6=150994935")),
    }


def _param(words: str) -> bytes:
    lines = ["7767517", "6 7", "Input data 0 1 data", "Split s 1 2 data d0 d1", f"Convolution c0 1 1 d0 a {words}"]
    lines += ["PReLU p0 1 1 a b 0=16777215", f"Convolution c1 1 1 b c {words}", "PixelShuffle x 1 1 c e 0=1"]
    lines += ["Interp i 1 1 d1 f 0=1 1=1.0 2=1.0", "BinaryOp o 2 1 e f output"]
    return "\n".join(lines).encode()


def programs() -> dict[str, tuple[str, bytes]]:
    """TorchScript, in both places where its parts may lie."""
    whole = [("net/data.pkl", b""), ("net/code/__torch__.py", b"def forward(): pass"), ("net/constants.pkl", b"")]
    return {
        "TorchScript": (".pt", _zip(*whole)),
        "TorchScript, as .pth": (".pth", _zip(*whole)),
        "TorchScript, code only": (".pth", _zip(*whole[:2])),
        "TorchScript, constants only": (".pth", _zip(whole[0], whole[2])),
    }


def strange() -> dict[str, tuple[str, bytes]]:
    """Well-formed, but no network."""
    good = dict(SRVGGNetCompact(4, 1, 2).state_dict())
    whole = safetensors.torch.save(good)
    return {
        "other keys": (".pth", _saved({f"layer.{index}": torch.zeros(2) for index in range(9)})),
        "a list": (".pth", _saved([torch.zeros(2)])),
        "nothing in it": (".pth", _saved({})),
        "nothing in params": (".pth", _saved({"params": {}})),
        "words": (".pth", _saved({"params": {"a": "b"}})),
        "a tensor": (".pth", _saved(torch.zeros(2))),
        "whole numbers": (".safetensors", safetensors.torch.save({k: v.to(torch.int64) for k, v in good.items()})),
        "one key too few": (".pth", _saved({k: v for k, v in good.items() if k != "body.2.bias"})),
        "one key too many": (".pth", _saved({**good, "body.2.more": torch.zeros(1)})),
        "another shape": (".pth", _saved({**good, "body.2.weight": torch.zeros(4, 4, 1, 1)})),
        "not finite": (".pth", _saved({**good, "body.2.bias": torch.full((4,), torch.nan)})),
        "sparse": (".pth", _saved({**good, "body.2.bias": torch.zeros(4).to_sparse()})),
        "half a safetensors": (".safetensors", whole[: len(whole) // 2]),
        "a web page": (".pth", b"<!doctype html><title>Not found</title>"),
        "zeros": (".pth", bytes(1000)),
        "empty": (".pth", b""),
    }


def pair() -> tuple[str, bytes]:
    """A good ncnn pair: text and numbers."""
    return write_ncnn(SRVGGNetCompact(4, 1, 2).eval(), half=False)
