"""Folders, lists, databases and pictures of all kinds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.data.build import build
from trainer.data.cache import ByteCache
from trainer.data.folders import PICTURES, files_under, films
from trainer.data.lmdb import Database, keys_of
from trainer.data.meta_info import listed, listed_pairs
from trainer.data.options import LmdbData
from trainer.data.paired import matched
from trainer.data.pictures import decode_pixels, read_pixels
from trainer.degrade.options import Classic, Paired
from trainer.sample import Key
from vidsr.errors import InputError, UsageError

from .sets import pairs, picture, pictures, write


def test_folders_are_searched_in_one_order_with_links_and_without_hidden_files(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", 4)
    write(folder / ".hidden" / "a.png", picture(1))
    (folder / "._0001.png").write_bytes(b"left by a Mac")
    (folder / "notes.txt").write_text("no picture")
    write(tmp_path / "elsewhere" / "z.JPG".lower(), picture(9)).rename(tmp_path / "elsewhere" / "z.JPG")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "circle").symlink_to(folder)
    names = [path.relative_to(folder).as_posix() for path in files_under(folder, PICTURES)]
    assert names == ["0000.png", "0001.png", "0003.png", "link/z.JPG", "more/0002.png"]


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no does not exist"):
        files_under(tmp_path / "no", PICTURES)
    with pytest.raises(InputError, match="holds no file that ends in"):
        files_under(tmp_path, PICTURES)
    with pytest.raises(InputError, match=r"no\.mkv does not exist"):
        films([tmp_path / "no.mkv"])


def test_lists_of_the_reference_are_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("0001_s001.png", "a b.png", "sub/c.png"):
        write(root / name, picture(1))
    meta = tmp_path / "meta_info.txt"
    meta.write_text("0001_s001.png (480,480,3)\n\na b.png\nsub/c.png\n")
    assert listed(meta, root) == [root / "0001_s001.png", root / "a b.png", root / "sub/c.png"]
    meta.write_text("0001_s001.png\ngone.png\nlost.png\n")
    with pytest.raises(InputError, match=r"gone\.png, and 1 more, which does not exist"):
        listed(meta, root)
    meta.write_text("")
    with pytest.raises(InputError, match="is empty"):
        listed(meta, root)


def test_lists_of_pairs_are_read(tmp_path: Path) -> None:
    gt, lq = pairs(tmp_path, 2)
    meta = tmp_path / "pairs.txt"
    meta.write_text("0000.png, 0001.png\n0001.png, 0000.png\n")
    assert listed_pairs(meta, gt, lq)[0] == (gt / "0000.png", lq / "0001.png")
    meta.write_text("0000.png, 0001.png\n0001.png 0000.png\n")
    with pytest.raises(InputError, match=r"line 2: '0001\.png 0000\.png' is no pair"):
        listed_pairs(meta, gt, lq)


def test_pairs_are_found_by_name(tmp_path: Path) -> None:
    gt, lq = pairs(tmp_path, 3)
    (lq / "0001.png").rename(lq / "0001x2.png")
    with pytest.raises(InputError, match=r"1 of 3 pictures .* have no partner .* the first is 0001\.png"):
        matched(gt, lq)
    for name in ("0000", "0002"):
        (lq / f"{name}.png").rename(lq / f"{name}x2.png")
    assert [small.name for _, small in matched(gt, lq, "x2")] == ["0000x2.png", "0001x2.png", "0002x2.png"]
    write(gt / "0001.bmp", picture(1))
    with pytest.raises(InputError, match="differ in nothing but their endings"):
        matched(gt, lq, "x2")


def test_pictures_of_all_kinds_become_8_bit_rgb(tmp_path: Path) -> None:
    rgb = picture(3)
    assert np.array_equal(read_pixels(write(tmp_path / "a.png", rgb)), rgb)
    deep = read_pixels(write(tmp_path / "b.png", rgb.astype(np.uint16) * 257 + 100))
    assert np.array_equal(deep, rgb)
    gray = read_pixels(write(tmp_path / "c.png", rgb[..., 0].copy()))
    assert np.array_equal(gray, np.repeat(rgb[..., :1], 3, 2))
    alpha = np.dstack([rgb, np.where(np.arange(64) < 32, 255, 0)[None].repeat(48, 0)]).astype(np.uint8)
    shown = read_pixels(write(tmp_path / "d.png", alpha))
    assert shown.shape == (48, 64, 3)
    assert np.array_equal(shown[:, :32], rgb[:, :32])


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", picture(3))
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InputError, match=r"a\.png"):
        read_pixels(path)
    with pytest.raises(InputError, match=r"set/key"):
        decode_pixels(path.read_bytes(), "set/key")


def database(folder: Path, files: list[Path]) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(folder), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for path in files:
            transaction.put(path.stem.encode(), path.read_bytes())
    (folder / "meta_info.txt").write_text("".join(f"{path.name} (48,64,3) 1\n" for path in files))
    return folder


def test_databases_of_the_reference_are_read(tmp_path: Path) -> None:
    gt, lq = pairs(tmp_path / "files", 3)
    large = database(tmp_path / "gt.lmdb", sorted(gt.iterdir()))
    small = database(tmp_path / "lq.lmdb", sorted(lq.iterdir()))
    source = build([LmdbData(gt=large, lq=small, gt_size=16)], Paired(), 2)
    sample = source.get(Key(0, 0, 0))
    assert sample.lq is not None
    assert (sample.gt.shape, sample.lq.shape) == ((1, 3, 16, 16), (1, 3, 8, 8))
    source.close()
    source = build([LmdbData(gt=large, gt_size=16, crop_pad=32)], Classic(), 2)
    assert source.get(Key(0, 0, 0)).gt.shape == (1, 3, 32, 32)
    source.close()
    with pytest.raises(InputError, match="has no picture zzz"):
        Database(large).read("zzz")


def test_without_the_package_lmdb_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    folder = tmp_path / "a.lmdb"
    folder.mkdir()
    (folder / "meta_info.txt").write_text("a.png (48,64,3) 1\n")
    with pytest.raises(UsageError, match="needs the package lmdb, which is not installed"):
        build([LmdbData(gt=folder)], Classic(), 2)


def test_folders_that_are_no_databases_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a folder whose name ends in \.lmdb"):
        keys_of(tmp_path)
    (tmp_path / "a.lmdb").mkdir()
    with pytest.raises(InputError, match=r"its meta_info\.txt cannot be read"):
        keys_of(tmp_path / "a.lmdb")


def test_a_cache_keeps_to_its_budget_and_forgets_what_is_oldest() -> None:
    cache: ByteCache[int] = ByteCache(10)
    made: list[Any] = []

    def get(key: int, size: int = 4) -> int:
        return cache.get(key, lambda: made.append(key) or key, lambda _: size)  # type: ignore[func-returns-value]

    for key in (1, 2, 1, 3, 1, 2):
        assert get(key) == key
        assert cache.held <= 10
    assert made == [1, 2, 3, 2]
    assert get(9, size=11) == 9
    assert cache.held == 8
