"""Sound encoded anew: its length, its place in time, and what happens to gaps and damage."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet

from tests.clips import make_clip
from vidsr.errors import UsageError
from vidsr.events import Damaged, Event
from vidsr.media.audio import audio_encoder, encoded_layout
from vidsr.media.carry import Carrier
from vidsr.media.containers import container_name
from vidsr.media.libav import main_video, open_input
from vidsr.media.plan import plan_streams
from vidsr.options import Options

Change = Callable[[Packet, int], Packet | None]


def transcode(source: Path, target: Path, codec: str, change: Change = lambda packet, n: packet) -> list[Event]:
    """Carry the sound of `source` as `codec`, without its video; `change` may alter or drop packet n."""
    told: list[Event] = []
    options = {"avoid_negative_ts": "disabled"}
    with open_input(source) as container, av.open(str(target), "w", container_options=options) as output:
        video = main_video(container, source)
        carrier = Carrier(
            plan_streams(container, video, container_name(target), Options(audio=codec)),
            container,
            output,
            emit=told.append,
        )
        sound = (packet for packet in container.demux() if packet.stream.type == "audio" and packet.size)
        for number, packet in enumerate(sound):
            if (changed := change(packet, number)) is not None:
                output.mux(carrier.take(changed))
        output.mux(carrier.finish())
    return told


def heard(path: Path) -> tuple[float, np.ndarray]:
    """Time of the first sample in seconds, and all samples of the first channel at 48 kHz, [-1, 1]."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        resampler = av.AudioResampler("fltp", frames[0].layout.name, 48000)
        start = float(frames[0].pts * frames[0].time_base)
        parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
        parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
        return start, np.concatenate(parts)


def edges(samples: np.ndarray, start: float) -> tuple[float, float]:
    """Times in seconds at which the sine begins and ends."""
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    return start + loud[0] / 48000, start + loud[-1] / 48000


CODECS = [
    ("aac", "mp4"),
    ("opus", "mkv"),
    ("flac", "mkv"),
    ("mp3", "mkv"),
    ("ac3", "mkv"),
    ("alac", "mov"),
    ("pcm_s16le", "mov"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of picture, sound from 0.25 s to 1.25 s, uncompressed."""
    return make_clip(
        tmp_path_factory.mktemp("audio") / "a.mov", audio="pcm_s16le", audio_offset=0.25, audio_seconds=1.0
    )


@pytest.mark.parametrize(("codec", "extension"), CODECS)
def test_length_and_place(source: Path, codec: str, extension: str, tmp_path: Path) -> None:
    told = transcode(source, tmp_path / f"b.{extension}", codec)
    begin, end = edges(*reversed(heard(tmp_path / f"b.{extension}")))
    assert begin == pytest.approx(0.25, abs=0.025)
    assert end == pytest.approx(1.25, abs=0.025)
    assert end - begin == pytest.approx(1.0, abs=0.003)
    assert told == []


@pytest.mark.parametrize("codec", ["flac", "pcm_s16le"])
def test_lossless_codecs_keep_every_sample(source: Path, codec: str, tmp_path: Path) -> None:
    transcode(source, tmp_path / "b.mkv", codec)
    (before_start, before), (after_start, after) = heard(source), heard(tmp_path / "b.mkv")
    assert after_start == pytest.approx(before_start, abs=1e-3)
    assert np.array_equal(before, after)


def test_a_gap_becomes_silence(source: Path, tmp_path: Path) -> None:
    def drop(packet: Packet, number: int) -> Packet | None:
        return None if 10 <= number < 20 else packet

    transcode(source, tmp_path / "b.mkv", "flac", drop)
    _, before = heard(source)
    _, after = heard(tmp_path / "b.mkv")
    assert len(after) == len(before)
    lost = np.flatnonzero(before != after)
    assert lost.size
    assert np.all(after[lost] == 0)
    assert lost[-1] - lost[0] < 10 * 1100


def test_an_overlap_is_cut(source: Path, tmp_path: Path) -> None:
    def back(packet: Packet, number: int) -> Packet:
        if number >= 20:
            packet.pts -= round(Fraction(1, 10) / packet.time_base)
            packet.dts = packet.pts
        return packet

    transcode(source, tmp_path / "b.mkv", "flac", back)
    _, before = heard(source)
    _, after = heard(tmp_path / "b.mkv")
    assert len(before) - len(after) == 4800


def test_jitter_of_milliseconds_changes_nothing(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", audio="flac", audio_seconds=1.0)  # Matroska rounds to milliseconds
    transcode(source, tmp_path / "b.mkv", "flac")
    assert np.array_equal(heard(source)[1], heard(tmp_path / "b.mkv")[1])


def test_damage_is_told_and_keeps_the_length(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", audio="flac", audio_seconds=1.0)

    def damage(packet: Packet, number: int) -> Packet:
        if number not in (3, 4):
            return packet
        broken = Packet(b"\xff" * 40)
        broken.stream, broken.pts, broken.dts, broken.time_base = (
            packet.stream,
            packet.pts,
            packet.dts,
            packet.time_base,
        )
        return broken

    told = transcode(source, tmp_path / "b.mkv", "flac", damage)
    assert told
    assert all(isinstance(event, Damaged) for event in told)
    assert len(heard(source)[1]) == len(heard(tmp_path / "b.mkv")[1])


def test_rate_that_the_encoder_lacks(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mov", audio="pcm_s16le", audio_seconds=1.0, audio_rate=44100, audio_offset=0.25)
    transcode(source, tmp_path / "b.mkv", "opus")
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert container.streams.audio[0].rate == 48000
    start, samples = heard(tmp_path / "b.mkv")
    begin, end = edges(samples, start)
    assert (begin, end) == pytest.approx((0.25, 1.25), abs=0.01)


def surround(path: Path, layout: str) -> Path:
    """Silence in `layout`, with a picture."""
    with av.open(str(path), "w") as output, av.open(str(make_clip(path.with_name("v.mp4"), audio=None))) as clip:
        picture = output.add_stream_from_template(clip.streams.video[0], opaque=True)
        stream = output.add_stream("pcm_s16le", rate=48000, layout=layout)
        silence = np.zeros((1, 4800 * stream.channels), np.int16)
        frame = av.AudioFrame.from_ndarray(silence, format="s16", layout=layout)
        frame.sample_rate, frame.pts = 48000, 0
        output.mux(stream.encode(frame) + stream.encode(None))
        for packet in clip.demux():
            if packet.size:
                packet.stream = picture
                output.mux(packet)
    return path


@pytest.mark.parametrize(
    ("layout", "codec", "coded", "said"),
    [
        ("5.1(side)", "opus", "5.1", ""),
        ("5.1(side)", "aac", "5.1(side)", ""),
        ("5.1(side)", "mp3", "stereo", "its 6 channels are mixed to stereo"),
        ("2.1", "opus", "3.0", ""),
        ("7.1(wide)", "ac3", "5.1", "its 8 channels are mixed to 5.1"),
        ("hexagonal", "opus", "5.1", ""),
    ],
)
def test_layouts_that_an_encoder_lacks(layout: str, codec: str, coded: str, said: str, tmp_path: Path) -> None:
    source = surround(tmp_path / "a.mov", layout)
    with open_input(source) as container:
        (plan,) = plan_streams(container, main_video(container, source), "matroska", Options(audio=codec))
        assert plan.reason == said
        assert encoded_layout(container.streams.audio[0], audio_encoder(codec)) == coded
    transcode(source, tmp_path / "b.mkv", codec)
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 4800
        assert container.streams.audio[0].channels == {"5.1": 6, "5.1(side)": 6, "stereo": 2, "3.0": 3}[coded]


def test_unknown_codec_has_a_near_miss() -> None:
    with pytest.raises(UsageError, match="did you mean 'flac'"):
        audio_encoder("flack")


def test_codec_that_the_container_lacks(source: Path) -> None:
    with open_input(source) as container, pytest.raises(UsageError, match="webm cannot hold aac") as caught:
        plan_streams(container, main_video(container, source), "webm", Options(audio="aac"))
    assert "opus" in caught.value.hint
