"""A GPU made of host memory, for what cannot be had without one: NVDEC, NVENC and the lanes of CUDA.

Frames of NV12 and P010 stand for those on a device. What is given to a lane is done at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from av.packet import Packet
from torch import Tensor

from tests.faults import FailingDecoder
from vidsr import hardware, pipeline, prepare
from vidsr.frames import DevicePicture, PixelLayout
from vidsr.media import hwaccel
from vidsr.media.deinterlace import Deinterlacer
from vidsr.media.hwaccel import Surfaces
from vidsr.media.pixels import format_of, layout_of
from vidsr.media.traits import traits_of
from vidsr.runtime.surfaces import planes_from_device
from vidsr.runtime.transfer import Downloader, Uploader
from vidsr.stages import decode, source

SURFACES = {8: "nv12", 10: "p010le"}


class Done:
    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        pass


class AtOnce:
    """Lanes that do at once what they are given."""

    def __init__(self) -> None:
        self.sent = self.adopted = self.fetched = self.surfaces = 0
        """Frames that went up, pictures that were copied on the device, frames that came down, and that did not."""

    def pinned(self, nbytes: int) -> Tensor:
        return torch.empty(nbytes, dtype=torch.uint8)

    def upload(self, host: Tensor) -> tuple[Tensor, Done]:
        self.sent += 1
        return host.clone(), Done()

    def adopt(self, picture: DevicePicture) -> tuple[tuple[Tensor, ...], Done]:
        self.adopted += 1
        return planes_from_device(picture), Done()

    def order(self, event: Any) -> None:
        pass

    def mark(self) -> Done:
        self.surfaces += 1
        return Done()

    def download(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Done:
        self.fetched += 1
        for device, host in pairs:
            host.copy_(device)
        return Done()

    def drain(self) -> None:
        pass


class Fetched(Surfaces):
    """Frames of NV12 or P010 made planar again, for encoders that do not take those."""

    def frame(self, luma: Tensor, chroma: Tensor) -> av.VideoFrame:
        frame = super().frame(luma, chroma)
        assert frame.format.name == SURFACES[self.depth]
        return frame.reformat(format=self.pix_fmt, threads=1)


class Gpu:
    """What `--hwaccel` finds here, and what was done with it. Built around one test by monkeypatching."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._contexts: list[Any] = []
        self.lanes = AtOnce()
        self.refuses = self.gives_nothing = False
        """The chip decodes no stream; or fails at every packet."""
        self.fail: set[int] = set()
        """Packets at which every decoder fails."""
        self.current: list[str] = []
        """Threads in which PyTorch's context was made the current one."""
        self.opened: list[bool] = []
        """Of each time that an input was opened, whether for NVDEC."""
        for module in (hardware, pipeline):
            patch.setattr(module, "make_current", self._make_current)
            patch.setattr(module, "pictures", self._pictures)
        patch.setattr(pipeline, "Uploader", partial(Uploader, lanes=self.lanes))
        patch.setattr(pipeline, "Downloader", partial(Downloader, lanes=self.lanes))

    def decodes(self) -> None:
        """Let --hwaccel cuda find NVDEC."""
        self._patch.setattr(hardware, "check_hwaccel", lambda options, device: None)
        self._patch.setattr(hardware, "check_driver", lambda index: None)
        self._patch.setattr(hardware, "decoder_settings", lambda index: "nvdec")
        self._patch.setattr(source, "open_input", self._open)
        for module in (hwaccel, decode):
            self._patch.setattr(module, "is_on_device", is_on_device)
        self._patch.setattr(prepare, "traits_of", lambda frame, video: traits_of(_of_host(frame), video))
        self._patch.setattr(Deinterlacer, "_open", lambda self, frame: _open_filter(self, _of_host(frame)))

    def encodes(self, layout: PixelLayout) -> None:
        """Let every encoder find its pictures, which are of `layout`, on the device."""
        self._patch.setattr(prepare, "encoder_gpu", lambda *_: torch.device("cpu", 0))
        self._patch.setattr(hardware, "encoder_context", lambda index: None)
        self._patch.setattr(hardware, "Surfaces", partial(Fetched, pix_fmt=format_of(layout)))

    def _make_current(self, device: torch.device) -> None:
        assert device.index == 0
        self.current.append(threading.current_thread().name)

    def _open(self, path: Path, settings: str | None = None, form: Any = None) -> Any:
        container = _open_input(path, None, form)
        self.opened.append(settings == "nvdec")
        if settings == "nvdec":
            self._contexts += [stream.codec_context for stream in container.streams.video]
        return container

    def _pictures(self, packets: Iterable[Packet], context: Any, emit: Any) -> Iterator[av.VideoFrame]:
        by_nvdec = any(context is known for known in self._contexts) and not self.refuses
        failing: Any = FailingDecoder(context, self.fail)
        for picture in () if by_nvdec and self.gives_nothing else _pictures(packets, failing, emit):
            layout = layout_of(picture.format.name)
            yield picture.reformat(format=SURFACES[layout.depth], threads=1) if by_nvdec else picture


def is_on_device(frame: av.VideoFrame) -> bool:
    return frame.format.name in SURFACES.values()


def _of_host(frame: av.VideoFrame) -> av.VideoFrame:
    """Where FFmpeg would refuse a frame of a device."""
    assert not is_on_device(frame), "the host looks at a picture on the device"
    return frame


_open_filter = Deinterlacer._open
_open_input = source.open_input
_pictures = decode.pictures
