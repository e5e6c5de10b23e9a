"""What becomes of every stream besides the video, known and named before the first frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream

from ..errors import OutputError, UsageError
from ..options import Options
from .audio import AUDIO_ENCODERS, audio_encoder, encoded_layout
from .containers import TEXT_SUBTITLES, holds, holds_chapters, holds_cover, spoken, text_target
from .libav import is_cover

Action = Literal["copy", "convert", "encode", "attach", "cover", "drop"]

TIMECODE_AS_TAG = "its timecode is carried as a tag"


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What happens to stream `index` of the input, and why if that is not plain copying.

    `kind` is video, audio, subtitle, attachment, cover, data or chapters (whose index is -1). `codec` is FFmpeg's name
    of what comes in, `target` of what goes out.
    """

    index: int
    kind: str
    codec: str
    language: str = ""
    title: str = ""
    action: Action = "copy"
    target: str = ""
    reason: str = ""

    def __str__(self) -> str:
        where = "chapters" if self.index < 0 else f"{self.kind} #{self.index}"
        told = " ".join(part for part in (self.codec, self.language, self.title and f"{self.title!r}") if part)
        becomes = f"{self.action} to {self.target}" if self.action in ("convert", "encode") else self.action
        named = f"{where} ({told})" if told and self.index >= 0 else where
        return f"{named}: {becomes}{f', {self.reason}' if self.reason else ''}"


Fate = tuple[Action, str, str] | str
"""(action, target codec, reason), or why the container cannot hold the stream."""


def plan_streams(source: InputContainer, video: Stream, container: str, options: Options) -> tuple[StreamPlan, ...]:
    """A plan for every stream of `source` but `video`, in order, and for its chapters.

    Raises OutputError that names all streams which `container` cannot hold, unless --drop incompatible allows to leave
    them out, and UsageError when --audio names an encoder that is unknown or makes what `container` cannot hold.
    """
    _check_audio(options.audio, container)
    plans, refused = [], []
    for stream in source.streams:
        if stream.index == video.index:
            continue
        plan = _described(stream)
        fate = _fate(stream, plan, source, container, options)
        if isinstance(fate, str):
            refused.append(f"{plan.kind} #{plan.index} ({' '.join(filter(None, (plan.codec, plan.language)))}): {fate}")
        plans.append(_decided(plan, ("drop", "", fate) if isinstance(fate, str) else fate, container))
    chapters = _chapters(source, container, options)
    if isinstance(chapters, str):
        refused.append(f"chapters: {chapters}")
        plans.append(StreamPlan(-1, "chapters", "", action="drop", reason=chapters))
    elif chapters:
        plans.append(chapters)
    if refused and "incompatible" not in options.drop:
        raise OutputError(_refusal(container, refused), _ways_out(plans, container))
    return tuple(plans)


def _check_audio(asked: str, container: str) -> None:
    if asked in ("copy", "none"):
        return
    encoder = audio_encoder(asked)
    if not holds(container, encoder.name, encoder.libav):
        fitting = [name for name, other in AUDIO_ENCODERS.items() if holds(container, name, other.libav)]
        raise UsageError(f"--audio: {spoken(container)} cannot hold {asked}", f"possible are {', '.join(fitting)}")


def _described(stream: Stream) -> StreamPlan:
    kind = "cover" if is_cover(stream) else stream.type
    codec = codec_name(stream)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    language = tags.get("language", "")
    return StreamPlan(stream.index, kind, codec, "" if language == "und" else language, tags.get("title", ""))


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of the codec of `stream`, such as ass for what its decoder calls ssa; `unknown` without one."""
    if stream.codec_context is not None:
        return str(stream.codec_context.codec.canonical_name)
    return (stream.name or "unknown") if stream.type == "data" else "file" if stream.type == "attachment" else "unknown"


def _decided(plan: StreamPlan, fate: tuple[Action, str, str], container: str) -> StreamPlan:
    action, target, reason = fate
    if action != "drop" and container in ("mp4", "mov") and not re.fullmatch("[a-z]{3}|", plan.language):
        lost = f"{spoken(container)} has no room for the language {plan.language!r}, it becomes unknown"
        reason = f"{reason}; {lost}" if reason else lost
    return StreamPlan(plan.index, plan.kind, plan.codec, plan.language, plan.title, action, target, reason)


def _fate(stream: Stream, plan: StreamPlan, source: InputContainer, container: str, options: Options) -> Fate:
    if plan.kind == "attachment":
        return _attachment(container, options)
    if plan.kind == "data":
        return _data(stream, plan, source, container, options)
    if stream.codec_context is None:
        return "its codec is unknown to this FFmpeg"
    if plan.kind == "cover":
        return _cover(plan, container, options)
    if plan.kind == "audio":
        return _audio(stream, plan, container, options)
    if plan.kind == "subtitle":
        return _subtitle(stream, plan, container, options)
    return _copied(stream, plan, container)


def _copied(stream: Stream, plan: StreamPlan, container: str) -> Fate:
    if holds(container, plan.codec, stream.codec_context.codec.name):
        return "copy", plan.codec, ""
    return f"{spoken(container)} cannot hold {plan.codec}"


def _cover(plan: StreamPlan, container: str, options: Options) -> Fate:
    if "cover" in options.drop:
        return "drop", "", "--drop cover"
    if holds_cover(container, plan.codec):
        return "cover", plan.codec, ""
    return f"{spoken(container)} cannot hold {plan.codec} as cover art"


def _audio(stream: Stream, plan: StreamPlan, container: str, options: Options) -> Fate:
    if options.audio == "none" or options.audio_file is not None:
        return "drop", "", "--audio none" if options.audio_file is None else "--audio-file takes its place"
    assert isinstance(stream, AudioStream)
    if not stream.rate or not stream.channels:  # damaged, or nothing of it was there to look at
        return "its sampling rate or number of channels is unknown"
    if options.audio == "copy":
        return _copied(stream, plan, container)
    encoder = audio_encoder(options.audio)
    layout = encoded_layout(stream, encoder)
    if layout is None:
        return f"{encoder.name} takes neither its channels nor stereo"
    mixed = AudioLayout(layout).nb_channels < stream.channels
    return "encode", encoder.name, f"its {stream.channels} channels are mixed to {layout}" if mixed else ""


def _subtitle(stream: Stream, plan: StreamPlan, container: str, options: Options) -> Fate:
    if options.subs == "none":
        return "drop", "", "--subs none"
    if isinstance(_copied(stream, plan, container), tuple):
        bitmap = plan.codec not in TEXT_SUBTITLES and not stream.codec_context.codec.text_sub
        return "copy", plan.codec, "its pictures keep the size they had" if bitmap else ""
    target = text_target(container)
    if target and plan.codec in TEXT_SUBTITLES:
        lost = "styles and positions are lost" if plan.codec == "ass" else ""
        return "convert", target, lost
    return f"{spoken(container)} cannot hold {plan.codec}"


def _attachment(container: str, options: Options) -> Fate:
    if "attachments" in options.drop:
        return "drop", "", "--drop attachments"
    return ("attach", "", "") if container == "matroska" else f"{spoken(container)} cannot hold attached files"


def _data(stream: Stream, plan: StreamPlan, source: InputContainer, container: str, options: Options) -> Fate:
    if "data" in options.drop:
        return "drop", "", "--drop data"
    if plan.codec == "bin_data" and source.chapters():
        return "drop", "", "chapter titles are carried as chapters"
    if "timecode" in stream.metadata:
        return "drop", "", TIMECODE_AS_TAG
    if container == "mpegts" and holds(container, plan.codec):
        return "copy", plan.codec, ""
    return f"{spoken(container)} cannot hold data streams"


def _chapters(source: InputContainer, container: str, options: Options) -> StreamPlan | str | None:
    if not source.chapters():
        return None
    if "chapters" in options.drop:
        return StreamPlan(-1, "chapters", "", action="drop", reason="--drop chapters")
    return StreamPlan(-1, "chapters", "") if holds_chapters(container) else f"{spoken(container)} has no chapters"


def _refusal(container: str, refused: list[str]) -> str:
    noun = "stream" if len(refused) == 1 else "streams"
    return f"output container {spoken(container)} cannot hold {len(refused)} {noun} of the input: {'; '.join(refused)}"


def _ways_out(plans: list[StreamPlan], container: str) -> str:
    """What the user can do about streams that were refused."""
    kinds = {plan.kind for plan in plans if plan.action == "drop" and not plan.reason.startswith("--")}
    ways = [] if container == "matroska" else ["write to .mkv"]
    if "audio" in kinds:
        ways.append("--audio opus" if container == "webm" else "--audio aac")
    if "subtitle" in kinds:
        ways.append("--subs none")
    drops = {"attachment": "attachments", "cover": "cover", "data": "data", "chapters": "chapters"}
    ways += [f"--drop {name}" for kind, name in drops.items() if kind in kinds]
    return f"{', '.join(ways)} or --drop incompatible helps"
