"""Everything but the video, through a plain remux: what comes through, what is converted, what is refused."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av
import pytest
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition

from tests.clips import ASS, CHAPTERS, FONT, SUBRIP, cover_png, make_clip, make_feature_clip, picture
from vidsr.errors import OutputError, UsageError
from vidsr.media.carry import Carrier, carried_metadata, safe_name
from vidsr.media.containers import container_name, holds, muxer_options
from vidsr.media.libav import main_video, open_input
from vidsr.media.plan import TIMECODE_AS_TAG, plan_streams
from vidsr.media.subtitles import text_of
from vidsr.options import Options


def remux(source: Path, target: Path, offset: Fraction = Fraction(0), **options: object) -> Path:
    """Copy the video and carry the rest."""
    muxing = muxer_options(container_name(target))
    with open_input(source) as container, av.open(str(target), "w", container_options=muxing) as output:
        video = main_video(container, source)
        plans = plan_streams(container, video, container_name(target), Options(**options))
        copy = output.add_stream_from_template(video, opaque=True)
        carrier = Carrier(plans, container, output, offset)
        for packet in container.demux():
            if packet.stream_index == video.index and packet.size:
                packet.stream = copy
                output.mux(packet)
            else:
                output.mux(carrier.take(packet))
        output.mux(carrier.finish())
    return target


def hashes(path: Path) -> dict[str, list[str]]:
    """Hashes of the packets of every stream, by codec."""
    found: dict[str, list[str]] = defaultdict(list)
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                found[packet.stream.codec_context.codec.canonical_name].append(sha256(bytes(packet)).hexdigest())
    return found


def starts(path: Path) -> dict[str, float]:
    """Time of the first packet of every stream, by type."""
    found: dict[str, float] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None:  # cover art has no time
                seconds = float(packet.pts * packet.time_base)
                found[packet.stream.type] = min(seconds, found.get(packet.stream.type, seconds))
    return found


def lines(path: Path, index: int) -> list[tuple[int, int, str]]:
    """(start, length, text) of the subtitles of stream `index`, in milliseconds; empty ones are left out."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams[index]
        for packet in container.demux(stream):
            decoded = stream.codec_context.decode2(packet) if packet.size else None
            text = " + ".join(filter(None, map(text_of, decoded or ())))
            if text:
                times = (packet.pts * packet.time_base, packet.duration * packet.time_base)
                found.append((*(round(1000 * time) for time in times), text))
    return found


@pytest.fixture(scope="module")
def feature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_feature_clip(tmp_path_factory.mktemp("feature") / "all.mkv")


@pytest.fixture(scope="module")
def as_mkv(feature: Path) -> Path:
    return remux(feature, feature.with_name("out.mkv"))


@pytest.fixture(scope="module")
def as_mp4(feature: Path) -> Path:
    return remux(feature, feature.with_name("out.mp4"), drop=("attachments",))


def test_mkv_keeps_every_packet(feature: Path, as_mkv: Path) -> None:
    before, after = hashes(feature), hashes(as_mkv)
    assert sorted(after) == ["aac", "ass", "hevc", "opus", "png", "subrip"]
    assert after == before


def test_mkv_keeps_times(feature: Path, as_mkv: Path) -> None:
    def times(path: Path) -> dict[int, list[tuple[int | None, int | None]]]:
        found = defaultdict(list)
        with av.open(str(path)) as container:
            for packet in container.demux():
                if packet.size and packet.stream.type != "attachment":
                    found[packet.stream_index].append((packet.pts, packet.duration))
        return found

    assert times(as_mkv) == times(feature)


def test_mkv_keeps_descriptions(feature: Path, as_mkv: Path) -> None:
    def described(path: Path) -> list[tuple[object, ...]]:
        with av.open(str(path)) as container:
            return [
                (s.type, s.language, s.metadata.get("title"), s.disposition, s.metadata.get("filename"))
                for s in container.streams
            ]

    assert described(as_mkv) == described(feature)
    assert ("audio", "eng", "Main, 5.1?", Disposition.default, None) in described(as_mkv)
    assert ("subtitle", "ger", None, Disposition.forced, None) in described(as_mkv)


@pytest.mark.parametrize("name", ["as_mkv", "as_mp4"])
def test_chapters_and_title(name: str, request: pytest.FixtureRequest) -> None:
    with av.open(str(request.getfixturevalue(name))) as container:
        found = [
            (
                chapter["metadata"]["title"],
                *(round(1000 * chapter[key] * chapter["time_base"]) for key in ("start", "end")),
            )
            for chapter in container.chapters()
        ]
        assert found == list(CHAPTERS)
        assert container.metadata["title"] == "Feature clip"


def test_mkv_keeps_attachment_and_cover(as_mkv: Path) -> None:
    with av.open(str(as_mkv)) as container:
        (font,) = container.streams.attachments
        assert (font.name, font.mimetype, font.data) == ("My Font.ttf", "font/ttf", FONT)
        cover = next(s for s in container.streams.video if s.disposition & Disposition.attached_pic)
        assert bytes(next(packet for packet in container.demux(cover) if packet.size)) == cover_png()


def test_mp4_keeps_sound_cover_and_tags(feature: Path, as_mp4: Path) -> None:
    before, after = hashes(feature), hashes(as_mp4)
    for codec in ("hevc", "aac", "opus", "png"):
        assert after[codec] == before[codec], codec
    with av.open(str(as_mp4)) as container:
        audio = [(s.codec.canonical_name, s.language, s.disposition) for s in container.streams.audio]
        assert audio == [("aac", "eng", Disposition.default), ("opus", "jpn", Disposition(0))]
        assert [s.language for s in container.streams.subtitles] == ["ger", "eng"]
        covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        assert len(covers) == 1


def test_mp4_has_the_words_of_subrip(as_mp4: Path) -> None:
    assert lines(as_mp4, 3) == list(SUBRIP)


def test_mp4_joins_lines_that_overlap(as_mp4: Path) -> None:
    assert [text for _, _, text in ASS] == ["{\\i1}Overlapping{\\i0} one", "and another"]
    first, second = "{\\i1}Overlapping{\\r} one", "and another"  # italics survive; the decoder ends them its own way
    assert lines(as_mp4, 4) == [(50, 200, first), (250, 200, f"{first}\\N{second}"), (450, 200, second)]


def test_mp4_subtitles_go_back_to_mkv(as_mp4: Path, tmp_path: Path) -> None:
    back = remux(as_mp4, tmp_path / "back.mkv")
    with av.open(str(back)) as container:
        assert [s.codec.canonical_name for s in container.streams.subtitles] == ["subrip", "subrip"]
    assert lines(back, 3) == list(SUBRIP)


def test_chapter_text_track_of_mp4_is_not_carried_twice(as_mp4: Path, tmp_path: Path) -> None:
    again = remux(as_mp4, tmp_path / "again.mp4")
    with av.open(str(as_mp4)) as first, av.open(str(again)) as second:
        assert [s.type for s in first.streams] == [s.type for s in second.streams]
        assert len(second.chapters()) == len(CHAPTERS)


def test_refusal_names_every_stream_and_the_ways_out(feature: Path) -> None:
    with open_input(feature) as container, pytest.raises(OutputError) as caught:
        plan_streams(container, main_video(container, feature), "webm", Options())
    for part in ("webm", "3 streams", "aac eng", "attachment #5", "cover #6", "png"):
        assert part in str(caught.value)
    for part in (".mkv", "--audio opus", "--drop attachments", "--drop cover", "--drop incompatible"):
        assert part in caught.value.hint


def test_one_refused_stream(feature: Path) -> None:
    with open_input(feature) as container, pytest.raises(OutputError, match=r"1 stream .*attachment #5"):
        plan_streams(container, main_video(container, feature), "mp4", Options())


def plans_of(path: Path, container_to: str, **options: object) -> dict[int, tuple[str, str]]:
    with open_input(path) as container:
        plans = plan_streams(container, main_video(container, path), container_to, Options(**options))
        return {plan.index: (plan.action, plan.target) for plan in plans}


def test_plan_for_mp4_converts_text(feature: Path) -> None:
    plans = plans_of(feature, "mp4", drop=("incompatible",))
    assert plans[3] == plans[4] == ("convert", "mov_text")
    assert plans[5] == ("drop", "")
    assert plans[6] == ("cover", "png")


def test_plan_drops_what_is_asked(feature: Path) -> None:
    plans = plans_of(feature, "matroska", audio="none", subs="none", drop=("attachments", "cover", "chapters"))
    assert set(plans.values()) == {("drop", "")}
    assert sorted(plans) == [-1, 1, 2, 3, 4, 5, 6]


def test_plan_says_that_styles_are_lost(feature: Path) -> None:
    with open_input(feature) as container:
        plans = plan_streams(container, main_video(container, feature), "mp4", Options(drop=("incompatible",)))
    told = {plan.index: str(plan) for plan in plans}
    assert told[4] == "subtitle #4 (ass eng): convert to mov_text, styles and positions are lost"
    assert told[1] == "audio #1 (aac eng 'Main, 5.1?'): copy"


@pytest.mark.parametrize(("first", "second"), [("mp4", "mp4"), ("mp4", "mkv"), ("mkv", "mp4"), ("mkv", "mkv")])
@pytest.mark.parametrize("late", [0, 12000])
def test_sound_stays_with_picture(first: str, second: str, late: int, tmp_path: Path) -> None:
    source = make_clip(tmp_path / f"a.{first}", pts=[late + 1000 * index for index in range(12)])
    target = remux(source, tmp_path / f"b.{second}")
    before, after = starts(source), starts(target)
    assert before["video"] == pytest.approx(late / 24000, abs=1e-3)
    assert after["video"] - after["audio"] == pytest.approx(before["video"] - before["audio"], abs=1.1e-3)
    assert after["video"] == pytest.approx(before["video"], abs=1e-3)
    assert hashes(target) == hashes(source)


def test_offset_moves_all_that_is_carried(feature: Path, tmp_path: Path) -> None:
    moved = remux(feature, tmp_path / "moved.mkv", offset=Fraction(1, 4))
    assert starts(moved)["audio"] == pytest.approx(starts(feature)["audio"] + 0.25, abs=1e-3)
    assert lines(moved, 3) == [(start + 250, length, text) for start, length, text in SUBRIP]
    with av.open(str(moved)) as container:
        assert container.chapters()[1]["start"] * container.chapters()[1]["time_base"] == Fraction(550, 1000)


def test_styles_of_ass_and_codec_headers_are_kept(feature: Path, as_mkv: Path) -> None:
    with av.open(str(feature)) as first, av.open(str(as_mkv)) as second:
        for one, two in zip(first.streams, second.streams, strict=True):
            if one.codec_context:
                assert one.codec_context.extradata == two.codec_context.extradata


@pytest.mark.parametrize("extension", ["avi", "flv", "nut", "ts", "mov"])
def test_sound_stays_with_picture_elsewhere(extension: str, tmp_path: Path) -> None:
    codec = "mpeg4" if extension == "avi" else "libx264"
    source = make_clip(tmp_path / "a.mp4", codec=codec, time_base=Fraction(1, 24))
    before, after = starts(source), starts(remux(source, tmp_path / f"b.{extension}"))
    step = 1 / 24 if extension == "avi" else 1.1e-3  # AVI counts in frames
    assert after["video"] - after["audio"] == pytest.approx(before["video"] - before["audio"], abs=step)


def test_transport_stream_goes_to_mp4(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    target = remux(remux(source, tmp_path / "b.ts"), tmp_path / "c.mp4")
    before, after = starts(source), starts(target)
    assert after["video"] - after["audio"] == pytest.approx(before["video"] - before["audio"], abs=1e-3)
    assert hashes(target)["aac"] == hashes(source)["aac"]  # ADTS headers came and went


def test_bitmap_subtitles_are_kept_in_mkv_and_refused_for_mp4(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as output, av.open(str(make_clip(tmp_path / "a.mp4", audio=None))) as clip:
        video = output.add_stream_from_template(clip.streams.video[0], opaque=True)
        bitmap = output.add_mux_stream("hdmv_pgs_subtitle", time_base=Fraction(1, 1000))
        segment = Packet(bytes.fromhex("160013") + bytes(19))  # a composition segment; nobody reads it on the way
        segment.stream, segment.time_base, segment.pts, segment.dts, segment.duration = (
            bitmap,
            Fraction(1, 1000),
            0,
            0,
            200,
        )
        output.mux(segment)
        for packet in clip.demux():
            if packet.size:
                packet.stream = video
                output.mux(packet)
    assert hashes(remux(source, tmp_path / "b.mkv")) == hashes(source)
    with open_input(source) as container:
        video = main_video(container, source)
        (plan,) = plan_streams(container, video, "matroska", Options())
        assert (plan.action, plan.codec, plan.reason) == (
            "copy",
            "hdmv_pgs_subtitle",
            "its pictures keep the size they had",
        )
        with pytest.raises(OutputError, match="mp4 cannot hold hdmv_pgs_subtitle") as caught:
            plan_streams(container, video, "mp4", Options())
    assert "--subs none" in caught.value.hint


@pytest.mark.parametrize("extension", ["mov", "mkv"])
def test_timecode_is_carried(extension: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as output:
        output.metadata["timecode"] = "01:00:00:00"
        output.mux(three_frames(output))
    target = tmp_path / f"b.{extension}"
    with open_input(tmp_path / "a.mov") as source, av.open(str(target), "w") as output:
        packets = three_frames(output)
        plans = plan_streams(source, source.streams.video[0], container_name(target), Options())
        assert [(plan.kind, plan.action, plan.reason) for plan in plans] == [("data", "drop", TIMECODE_AS_TAG)]
        Carrier(plans, source, output)
        output.mux(packets)
    with av.open(str(target)) as container:
        tags = [container.metadata, *(stream.metadata for stream in container.streams)]
        assert "01:00:00:00" in [value for tag in tags for key, value in tag.items() if key.lower() == "timecode"]


def three_frames(output: OutputContainer) -> list[Packet]:
    stream = output.add_stream("libx264", rate=24)
    stream.width = stream.height = 64
    packets: list[Packet] = []
    for index in range(3):
        frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 24)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def test_second_video_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "two.mkv"
    one, two = (make_clip(tmp_path / f"{n}.mp4", audio=None, size=(size, 64)) for n, size in ((1, 64), (2, 96)))
    with av.open(str(source), "w") as output, av.open(str(one)) as first, av.open(str(two)) as second:
        streams = [output.add_stream_from_template(c.streams.video[0], opaque=True) for c in (first, second)]
        for container, stream in zip((first, second), streams, strict=True):
            for packet in container.demux():
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    target = remux(source, tmp_path / "out.mp4")
    assert hashes(target) == hashes(source)
    with av.open(str(target)) as container:
        assert [s.width for s in container.streams.video] == [64, 96]


def test_times_that_stand_still_are_made_to_rise(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    target = tmp_path / "b.mp4"
    with open_input(source) as container, av.open(str(target), "w") as output:
        video = main_video(container, source)
        plans = plan_streams(container, video, "mp4", Options())
        copy = output.add_stream_from_template(video, opaque=True)
        carrier = Carrier(plans, container, output)
        for packet in container.demux():
            if packet.stream_index == video.index and packet.size:
                packet.stream = copy
                output.mux(packet)
            elif packet.size:
                packet.pts = packet.dts = 0
                output.mux(carrier.take(packet))
    assert hashes(target)["aac"] == hashes(source)["aac"]


@pytest.mark.parametrize("audio", ["pcm_s16le", "pcm_s24le"])
def test_raw_sound_without_a_layout_goes_to_mp4(audio: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", audio=audio)
    with av.open(str(source)) as container:
        assert container.streams.audio[0].layout.name == "2 channels"
    target = remux(source, tmp_path / "b.mp4")
    assert hashes(target)[audio] == hashes(source)[audio]


def test_the_last_packet_of_alac_is_not_hidden(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", audio="alac")
    assert hashes(remux(source, tmp_path / "b.mp4"))["alac"] == hashes(source)["alac"]


@pytest.mark.parametrize("language", ["cze", "fre", "ger", "rum", "slo"])
def test_mov_knows_the_language(language: str) -> None:
    kept = carried_metadata({"language": language}, "mov")["language"]
    assert kept == {"cze": "ces", "fre": "fra", "rum": "ron", "slo": "slk"}.get(language, language)
    assert carried_metadata({"language": language}, "matroska") == {"language": language}


def test_cover_art_is_refused_where_it_would_vanish(feature: Path) -> None:
    with open_input(feature) as container, pytest.raises(OutputError, match="mov cannot hold png as cover art"):
        plan_streams(container, main_video(container, feature), "mov", Options(drop=("attachments",)))


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("../../etc/x.ttf", "x.ttf"), ("C:\\fonts\\a.otf", "a.otf"), ("a\0b\nc.ttf", "abc.ttf"), ("", "attachment"),
        ("..", "attachment"), ("x" * 300 + ".ttf", "x" * 196 + ".ttf"), ("My Font.ttf", "My Font.ttf"),
    ],
)  # fmt: skip
def test_names_of_attachments_are_never_paths(given: str, safe: str) -> None:
    assert safe_name(given) == safe


@pytest.mark.parametrize(
    ("name", "muxer"),
    [
        ("a.mp4", "mp4"),
        ("a.M4V", "mp4"),
        ("dir.x/a.mkv", "matroska"),
        ("webm", "webm"),
        ("a.ts", "mpegts"),
        ("nut", "nut"),
    ],
)
def test_container_by_name(name: str, muxer: str) -> None:
    assert container_name(name) == muxer


def test_unknown_container_has_a_near_miss() -> None:
    with pytest.raises(UsageError, match="did you mean 'mkv'"):
        container_name("out.mkb")


@pytest.mark.parametrize(
    ("container", "codec", "held"),
    [
        ("mov", "opus", False), ("mp4", "opus", True), ("matroska", "mov_text", False), ("matroska", "subrip", True),
        ("mp4", "subrip", False), ("matroska", "hdmv_pgs_subtitle", True), ("mp4", "hdmv_pgs_subtitle", False),
        ("matroska", "dvd_subtitle", True), ("mpegts", "hevc", True), ("mpegts", "vp9", False), ("webm", "aac", False),
    ],
)  # fmt: skip
def test_what_containers_hold(container: str, codec: str, held: bool) -> None:
    implementation = {"hdmv_pgs_subtitle": "pgssub", "dvd_subtitle": "dvdsub", "opus": "libopus"}.get(codec, "")
    assert holds(container, codec, implementation) is held


def test_a_language_that_mp4_cannot_hold_is_named_beforehand(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv")
    with av.open(str(source)) as old, av.open(str(tmp_path / "b.mkv"), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        streams[1].metadata["language"] = "pt-BR"
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    with av.open(str(tmp_path / "b.mkv")) as container:
        (named,) = plan_streams(container, container.streams.video[0], "mp4", Options())
        (kept,) = plan_streams(container, container.streams.video[0], "matroska", Options())
    assert "has no room for the language 'pt-BR'" in named.reason
    assert kept.reason == ""
