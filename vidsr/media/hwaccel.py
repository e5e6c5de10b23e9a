"""NVDEC and NVENC through PyAV: what they take, how they are opened, and frames that stay on the device.

Seen on PyAV 18.1 (FFmpeg 8): without a driver FFmpeg fails with "operation not permitted", and only its log says that
libcuda is missing; a stream whose codec has no hardware decoder is decoded in software without a word; AV1 goes to
libdav1d, which knows no hardware; `VideoPlane.__dlpack__` refuses every stream but None, so that `torch.from_dlpack`
takes its capsules and not the planes; FFmpeg refuses the primary CUDA context once PyTorch has made it with its own
flags, and takes it as the context that is current (torchcodec does the same).

FFmpeg gives out copies of NVDEC's surfaces, in ordinary device memory, so that any number of them may be kept. It is
given no stream and copies in the legacy default one, without waiting: a reader in another stream waits for that first
(`vidsr.runtime.lanes`). NVENC gets frames that are finished, and needs no order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import av
import av.logging
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel
from av.video.frame import CudaContext
from av.video.stream import VideoStream

from ..errors import DeviceError, UsageError
from ..events import Notice
from ..frames import PixelLayout
from ..options import Options
from .libav import reason
from .pixels import format_of, layout_of

_DECODED = {"h264": (8,), "hevc": (8, 10), "vp9": (8, 10), "vp8": (8,), "mpeg2video": (8,)}
"""Depths of 4:2:0 that NVDEC decodes, by FFmpeg's own decoder; H.264 of 10 bits only on the newest chips."""

_SURFACES = {8: "nv12", 10: "p010le"}
"""The pixel formats of device frames by depth."""

_UNSEEN = (
    "decoded by NVDEC, which repairs a damaged picture without saying so: pictures that fail or are missing are still "
    "told, damage inside a picture is not; --hwaccel auto sees it"
)


@dataclass(frozen=True, slots=True)
class Stream:
    """What decides whether NVDEC can decode a stream. `codec` is the name of the decoder, `pix_fmt` of its samples."""

    codec: str
    pix_fmt: str | None
    width: int
    height: int
    progressive: bool
    """The header says that the pictures are no fields."""

    @classmethod
    def of(cls, video: VideoStream) -> Stream:
        """What the header of a stream says; it was opened without `decoder_settings`, which hide its format."""
        context = video.codec_context
        progressive = context.field_order in (0, 1)
        return cls(context.codec.name, context.pix_fmt, context.width, context.height, progressive)


def check_hwaccel(options: Options, device: str) -> None:
    """Refuse --hwaccel cuda where it cannot do what was asked for. `device` is the network's: cpu, cuda:N or mps.

    Raises UsageError for a network elsewhere, which would copy each picture twice, and for --reuse near:T.
    """
    if options.hwaccel != "cuda":
        return
    if not device.startswith("cuda"):
        raise UsageError(f"--hwaccel: cuda needs the network on a GPU, not on {device}", "add --device cuda")
    if options.reuse.startswith("near:"):
        what = f"--hwaccel: cuda keeps pictures on the GPU, and --reuse {options.reuse} compares them on the host"
        raise UsageError(what, "use --reuse exact, or --hwaccel auto")


def decoder_note(obstacle: str) -> Notice:
    """What should be said of --hwaccel cuda: why the stream is decoded in software, or what NVDEC does not show."""
    if obstacle:
        return Notice(f"--hwaccel cuda: decoded in software, {obstacle}")
    return Notice(_UNSEEN, "warning")


def takes_surfaces(pix_fmt: str) -> bool:
    """Whether an output of `pix_fmt` can be handed to NVENC as NV12 or P010."""
    layout = layout_of(pix_fmt)
    return layout == PixelLayout("yuv", layout.depth, 1, 1) and layout.depth in _SURFACES


def obstacle(stream: Stream, deinterlace: Literal["auto", "on", "off"]) -> str:
    """Why NVDEC cannot decode `stream` for us, as the end of a sentence; empty when it can.

    Only the chip knows its own limits: what `refusal` says of the first picture settles it.
    """
    if stream.codec == "libdav1d":
        return "this FFmpeg decodes AV1 by libdav1d"
    if stream.codec not in _DECODED:
        return f"NVDEC is used for {', '.join(_DECODED)}, not for {stream.codec}"
    if stream.pix_fmt is None:
        return "the header does not say its pixel format"
    layout = layout_of(stream.pix_fmt)
    if layout != PixelLayout("yuv", layout.depth, 1, 1):
        return f"NVDEC's pictures of {stream.pix_fmt} cannot be shared; those of 4:2:0 can"
    if layout.depth not in _DECODED[stream.codec]:
        return (
            f"NVDEC decodes {stream.codec} of {' and '.join(map(str, _DECODED[stream.codec]))} bits, not {layout.depth}"
        )
    if stream.width % 2 or stream.height % 2:
        return f"PyAV cannot share pictures with odd sides, and these are {stream.width}x{stream.height}"
    if deinterlace == "on" or (deinterlace == "auto" and not stream.progressive):
        return "deinterlacing works on the host"
    return ""


def decoder_settings(index: int) -> HWAccel:
    """What `av.open` takes as `hwaccel` for frames that stay on CUDA device `index`.

    The CUDA context that is current in the calling thread is used: PyTorch's, see `runtime.lanes.make_current`. Give
    the stream one thread: the chip works in parallel by itself. A stream that the chip refuses is decoded in software.
    """
    own = {"primary_ctx": "0", "current_ctx": "1"}
    return HWAccel("cuda", str(index), allow_software_fallback=True, options=dict(own), is_hw_owned=True)


def check_driver(index: int = 0) -> None:
    """Raise DeviceError, saying what is absent, when FFmpeg cannot use CUDA device `index`."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=True) as said:
            CodecContext.create("h264", "r", hwaccel=decoder_settings(index))
    except av.error.FFmpegError as error:
        told = [text.strip().rstrip(".") for _, _, text in said]
        why = told[0][:1].lower() + told[0][1:] if told else reason(error)
        hint = "the NVIDIA driver brings NVDEC and NVENC; --hwaccel none does without"
        raise DeviceError(f"--hwaccel: cuda is absent, FFmpeg says: {why}", hint) from error
    finally:
        av.logging.set_level(level)


def is_on_device(frame: av.VideoFrame) -> bool:
    """Whether the samples of `frame` lie on a CUDA device. False shows that the decoder fell back to software."""
    return frame.format.name == "cuda"


def refusal(first: av.VideoFrame, stream: Stream) -> str:
    """Why the first picture shows that NVDEC does not do for `stream`, as the end of a sentence; empty when it does.

    FFmpeg cuts a frame of the device at its right and bottom only; one to be cut at its left has another width then.
    """
    if not is_on_device(first):
        return "the GPU, or its driver without libnvcuvid, does not decode this stream"
    if (first.width, first.height) != (stream.width, stream.height):
        return f"NVDEC gives pictures of {first.width}x{first.height}, the header says {stream.width}x{stream.height}"
    return ""


def sample_format(frame: av.VideoFrame) -> str:
    """The pixel format of the samples of `frame`, wherever they lie."""
    format = frame.sw_format if is_on_device(frame) else None
    return (format or frame.format).name


def on_host(frame: av.VideoFrame) -> av.VideoFrame:
    """`frame` itself, or a planar copy in host memory if it is on the device, with its times, tags and side data."""
    if not is_on_device(frame):
        return frame
    # One thread: with more, libswscale's threads write over each other's lines of P010 (seen on 328x186, FFmpeg 8).
    return frame.reformat(format=format_of(layout_of(sample_format(frame))), threads=1)


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture of NVDEC, NV12 or P010; `runtime.surfaces` makes tensors of it.

    Its memory goes back to FFmpeg when the last of this object, its capsules and what was made of them has died, at
    once and whatever the device still reads: keep it until the device is past it.
    """

    frame: av.VideoFrame

    @property
    def depth(self) -> int:
        """8 or 10 bits."""
        return layout_of(sample_format(self.frame)).depth

    @property
    def nbytes(self) -> int:
        """Bytes of the samples."""
        return self.frame.width * self.frame.height * 3 // 2 * (1 if self.depth == 8 else 2)

    def capsules(self) -> tuple[Any, Any]:
        """DLPack capsules of the luma plane H W and of the chroma plane h w 2, each for one taker."""
        luma, chroma = self.frame.planes
        return luma.__dlpack__(), chroma.__dlpack__()


def encoder_context(index: int) -> CudaContext:
    """What `Surfaces` need for CUDA device `index`; one for all frames of an encoder.

    FFmpeg takes it at the first frame, with PyTorch's context current in the thread that encodes.
    """
    return CudaContext(index, primary_ctx=False, current_ctx=True)


@dataclass(frozen=True)
class Surfaces:
    """How finished pictures of `depth` bits, 8 or 10, become frames for NVENC without leaving the device."""

    depth: int
    context: CudaContext | None
    pix_fmt: str = "cuda"
    """What the encoder is opened for."""

    def frame(self, luma: Any, chroma: Any) -> av.VideoFrame:
        """A frame of NV12 or P010 that shares the memory of `luma` H W and `chroma` h w 2.

        Those are DLPack tensors, parts of one allocation, finished; they live as long as the encoder wants the frame.
        Raises ValueError for shapes that do not fit, DeviceError when FFmpeg cannot use the device.
        """
        try:
            return av.VideoFrame.from_dlpack((luma, chroma), format=_SURFACES[self.depth], cuda_context=self.context)
        except av.error.FFmpegError as error:
            what = f"--hwaccel: FFmpeg cannot take a picture on the GPU for NVENC: {reason(error)}"
            raise DeviceError(what, "--hwaccel none hands it over in host memory") from error
