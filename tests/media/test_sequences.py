"""The names of numbered pictures, their order and gaps, and the files of their times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsr.errors import ExistsError, InputError, OutputError, UsageError
from vidsr.media.folder import Folder, check_pattern, output_pattern
from vidsr.media.sequences import Numbering, check_whole, find, is_sequence, natural, numbering_of
from vidsr.media.timecodes import Clock, read_clock, steady, text_of


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("name", "number", "shown"),
    [
        ("%05d.png", 7, "00007.png"),
        ("%d.tif", 7, "7.tif"),
        ("a_%03d_x.exr", 1234, "a_1234_x.exr"),
        ("100%%_%02d.jpg", 3, "100%_03.jpg"),
    ],
)
def test_a_number_is_named_as_printf_names_it(name: str, number: int, shown: str) -> None:
    numbering = numbering_of(Path(name))
    assert numbering is not None
    assert numbering.name(number) == shown
    assert numbering.number(shown) == number


@pytest.mark.parametrize("name", ["0007.png", "x00007.png", "00007.tif", "7.png", "0007a.png", "000007.png", ".png"])
def test_a_name_that_printf_would_not_make_is_none(name: str) -> None:
    assert Numbering(Path(), "", 5, ".png").number(name) is None


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 12), st.sampled_from(["", "a", "x1_", "7"]))
def test_every_number_is_found_in_its_own_name(number: int, width: int, prefix: str) -> None:
    numbering = Numbering(Path(), prefix, width, ".png")
    assert numbering.number(numbering.name(number)) == number


@pytest.mark.parametrize("name", ["a.png", "%05d.mkv", "%x.png", "film%d", "%5d.png"])
def test_other_names_are_those_of_one_file(name: str) -> None:
    assert numbering_of(Path(name)) is None


def test_two_numbers_in_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="counts in one number, this name has 2"):
        numbering_of(Path("%d_%d.png"))


def test_a_file_that_has_the_name_of_a_pattern_is_that_file(tmp_path: Path) -> None:
    for name in ("%d.png", "*.png", "[a].png"):
        assert is_sequence(tmp_path / name)
        touch(tmp_path, name)
        assert not is_sequence(tmp_path / name)
    assert not is_sequence(tmp_path / "a.png")
    assert not is_sequence(tmp_path / "*.mkv")


@settings(deadline=None)
@given(st.lists(st.integers(0, 99999), min_size=1, max_size=30, unique=True))
def test_names_come_in_the_order_of_their_numbers(numbers: list[int]) -> None:
    assert sorted((f"a{number}b" for number in numbers), key=natural) == [f"a{number}b" for number in sorted(numbers)]


@pytest.mark.parametrize("pattern", ["%d.png", "*.png", "[0-9]*.png"])
def test_order_is_that_of_the_numbers_and_the_first_is_found(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "10.png", "9.png", "8.png", "11.png", "notes.txt")
    sequence = find(tmp_path / pattern)
    assert [path.name for path in sequence.paths] == ["8.png", "9.png", "10.png", "11.png"]
    assert (sequence.first, sequence.places, sequence.missing) == (8, (0, 1, 2, 3), [])
    check_whole(sequence, allow_loss=False)


def test_the_number_that_counts_is_the_one_that_varies(tmp_path: Path) -> None:
    touch(tmp_path, "s01e02_0007.png", "s01e02_0008.png", "s01e02_0010.png")
    sequence = find(tmp_path / "s01*.png")
    assert sequence.counted
    assert sequence.places == (0, 1, 3)
    assert sequence.name(2) == "s01e02_0009.png"


def test_names_without_one_number_are_taken_in_their_order(tmp_path: Path) -> None:
    touch(tmp_path, "a2_1.png", "a10_2.png", "a1_9.png")
    sequence = find(tmp_path / "*.png")
    assert [path.name for path in sequence.paths] == ["a1_9.png", "a2_1.png", "a10_2.png"]
    assert not sequence.counted


@settings(deadline=None)
@given(st.sets(st.integers(1, 60), min_size=1, max_size=60))
def test_what_is_there_and_what_is_missing_is_all(numbers: set[int]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        folder = touch(Path(name), *(f"{number:03d}.png" for number in numbers))
        span = max(numbers) - min(numbers) + 1
        if span > 2 * len(numbers):
            with pytest.raises(InputError, match="more are missing than there"):
                find(folder / "%03d.png")
            return
        sequence = find(folder / "%03d.png")
    assert sorted([*sequence.places, *sequence.missing]) == list(range(span))
    assert {sequence.first + place for place in sequence.places} == numbers


def test_gaps_are_named_and_refused(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:03d}.png" for number in (1, 2, 4, 5, 6, 9, 10)))
    sequence = find(tmp_path / "%03d.png")
    with pytest.raises(InputError, match=r"3 of 10 pictures are missing: 003\.png, 007\.png to 008\.png"):
        check_whole(sequence, allow_loss=False)
    check_whole(sequence, allow_loss=True)


def test_a_number_that_comes_twice_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "01.png", "2.png")
    with pytest.raises(InputError, match=r"01\.png and 1\.png have the same number|1\.png and 01\.png"):
        find(tmp_path / "*.png")


@pytest.mark.parametrize("pattern", ["%d.png", "*.png", "absent/%d.png"])
def test_a_pattern_of_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InputError, match=r"there is no such picture|no such file"):
        find(tmp_path / pattern)


def test_a_folder_gets_the_names_of_the_input(tmp_path: Path) -> None:
    touch(tmp_path / "in", "50%_08.png", "50%_09.png")
    out = touch(tmp_path / "out")
    assert output_pattern(tmp_path / "in" / "*.png", out) == out / "50%%_%02d.png"
    assert output_pattern(tmp_path / "in" / "*.png", Path("a.mkv")) == Path("a.mkv")
    with pytest.raises(UsageError, match="gives its output no name"):
        output_pattern(tmp_path / "in" / "*.png", None)


def check(input: Path, output: Path, overwrite: bool = False) -> None:
    numbering = numbering_of(output)
    assert numbering is not None
    check_pattern(input, output, numbering, overwrite)


def test_an_output_that_is_the_input_exists_or_has_no_place_is_refused(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "1.png", "2.png")
    with pytest.raises(UsageError, match="is the input itself"):
        check(folder / "*.png", folder / "%d.png", overwrite=True)
    check(folder / "*.png", folder / "up_%d.png")
    with pytest.raises(UsageError, match="would take the place of the input"):
        check(folder / "1.png", folder / "%d.png", overwrite=True)
    with pytest.raises(ExistsError, match=r"1\.png exists"):
        check(Path("a.mkv"), folder / "%d.png")
    check(Path("a.mkv"), folder / "%d.png", overwrite=True)
    with pytest.raises(OutputError, match="does not exist, nor the one around it"):
        check(Path("a.mkv"), tmp_path / "none" / "below" / "%d.png")
    with pytest.raises(OutputError, match="is a file"):
        check(Path("a.mkv"), folder / "1.png" / "%d.png")


def write(numbering: Numbering, *numbers: int, overwrite: bool = False, fail: bool = False) -> None:
    with Folder(numbering, overwrite=overwrite) as folder:
        for number in numbers:
            (folder.path / numbering.name(number)).write_text("new")
        (folder.path / numbering.times.name).write_text("times")
        assert not any(numbering.name(number) in {p.name for p in numbering.there()} for number in numbers) or overwrite
        if fail:
            raise OutputError("stopped")
        folder.commit()


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    numbering = Numbering(tmp_path / "out", "", 3, ".png")
    with pytest.raises(OutputError, match="stopped"):
        write(numbering, 1, 2, fail=True)
    assert list(tmp_path.iterdir()) == []
    write(numbering, 1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in numbering.folder.iterdir()) == ["001.png", "002.png", "frames.txt"]


def test_an_old_sequence_is_replaced_as_a_whole(tmp_path: Path) -> None:
    numbering = Numbering(touch(tmp_path / "out", "001.png", "002.png", "003.png", "other.png"), "", 3, ".png")
    with pytest.raises(ExistsError):
        write(numbering, 1)
    with pytest.raises(OutputError, match="stopped"):
        write(numbering, 1, overwrite=True, fail=True)
    assert (numbering.folder / "001.png").read_text() == ""
    write(numbering, 1, 2, overwrite=True)
    names = sorted(path.name for path in numbering.folder.iterdir())
    assert names == ["001.png", "002.png", "frames.txt", "other.png"]
    assert (numbering.folder / "001.png").read_text() == "new"


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    numbering = Numbering(tmp_path / "out", "", 3, ".png")
    touch(tmp_path / ".out.abcdefgh.part", "001.png")
    write(numbering, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


bases = st.sampled_from([Fraction(1, 1000), Fraction(1, 24000), Fraction(1001, 30000), Fraction(1, 90000), Fraction(1)])


@settings(deadline=None)
@given(bases, st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.integers(0, 10**9), st.booleans())
def test_times_are_found_again_exactly(base: Fraction, steps: list[int], start: int, ended: bool) -> None:
    from tempfile import TemporaryDirectory

    pts = [start + sum(steps[:count]) for count in range(len(steps))]
    with TemporaryDirectory() as name:
        path = Path(name) / "frames.txt"
        path.write_text(text_of(base, pts, pts[-1] + steps[-1] if ended else None))
        clock = read_clock(path, len(pts))
    assert (clock.base, [*clock.pts]) == (base, pts)
    if ended:
        assert clock.end == pts[-1] + steps[-1]


@pytest.mark.parametrize(
    ("text", "base", "pts", "end"),
    [
        ("# timestamp format v2\n0\n40\n90\n", Fraction(1, 1000), [0, 40, 90], 140),
        ("# timecode format v2\r\n0.0\r\n41.71\r\n83.42\r\n125\r\n", Fraction(1, 100000), [0, 4171, 8342], 12500),
        ("# timecode format v2\n# a comment\n\n5\n6\n9.5\n", Fraction(1, 10000), [50, 60, 95], 130),
    ],
)
def test_files_of_other_programs_are_read(tmp_path: Path, text: str, base: Fraction, pts: list[int], end: int) -> None:
    path = tmp_path / "frames.txt"
    path.write_bytes(text.encode())
    assert read_clock(path, 3) == Clock(base, pts, end)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin with"),
        ("# timecode format v1\n0\n1\n2\n", "does not begin with"),
        ("# timecode format v2\n0\n1\n", "it holds 2 times for 3 pictures"),
        ("# timecode format v2\n0\n1\n2\n3\n4\n", "it holds 5 times for 3 pictures"),
        ("# timecode format v2\n0\n2\n2\n", "its times do not rise"),
        ("# timecode format v2\n0\nx\n2\n", "line 3, 'x', is no time in milliseconds"),
        ("# timecode format v2\n0\n-1\n2\n", "line 3, '-1'"),
        ("# timecode format v2\n# end 1\n0\n1\n2\n", "ends before it begins"),
        ("\ud800", "no text"),
    ],
)
def test_files_that_are_no_times_are_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "frames.txt"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=why):
        read_clock(path, 3)


def test_a_steady_clock() -> None:
    clock = steady(Fraction(24000, 1001), 3)
    assert (clock.base, [*clock.pts], clock.end) == (Fraction(1001, 24000), [0, 1, 2], 3)
    assert (clock.rate, clock.duration(2)) == (Fraction(24000, 1001), 1)
