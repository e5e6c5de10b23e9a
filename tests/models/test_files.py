"""Files from strangers run nothing, take bounded memory, and are refused in one sentence."""

from __future__ import annotations

import io
import pickle
import random
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from vidsr.errors import WeightsError
from vidsr.models import files
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.cards import Card
from vidsr.models.files import digest, parse, read_bytes, read_converted, write_converted
from vidsr.models.recover import build

STATE = dict(SRVGGNetCompact(4, 1, 2).state_dict())


def load(path: Path) -> dict[str, torch.Tensor]:
    return parse(path, read_bytes(path))


class Payload:
    """Unpickled by a loader that runs code, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("legacy", [False, True])
def test_checkpoints_of_both_forms_load(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "net.pth"
    torch.save({"params_ema": STATE}, path, _use_new_zipfile_serialization=not legacy)
    assert digest(load(path)) == digest(STATE)


def test_safetensors_load(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(STATE, path)
    assert digest(load(path)) == digest(STATE)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain 2", "plain 4", "nested", "tar", "pt"])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, form: str) -> None:
    made = tmp_path / "made"
    path = tmp_path / ("net.pt" if form == "pt" else "net.pth")
    content: Any = {"params": {"inner": [Payload(made)]}} if form == "nested" else Payload(made)
    if form in ("plain 2", "plain 4", "tar"):
        path.write_bytes(pickle.dumps(content, 4 if form == "plain 4" else 2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    if form == "tar":
        data = path.read_bytes()
        with tarfile.open(path, "w") as archive:
            member = tarfile.TarInfo("pickle")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    said = {"tar": "damaged", "plain 4": "it is no pickle of plain tensors"}
    with pytest.raises(WeightsError, match=said.get(form, r"refused, it asks to run \w+\.open; allowed are")):
        load(path)
    assert not made.exists()
    if form.startswith("plain"):  # the payload works: a loader that runs code does make the file
        pickle.loads(path.read_bytes()).close()
        assert made.exists()


def test_torchscript_is_refused(tmp_path: Path) -> None:
    for name in ("net.pt", "net.pth"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("net/data.pkl", b"")
            archive.writestr("net/code/__torch__.py", b"def forward(): pass")
            archive.writestr("net/constants.pkl", b"")
        with pytest.raises(WeightsError, match="refused, TorchScript holds a program"):
            load(tmp_path / name)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", b"")
        archive.writestr("net/data/0", bytes(5_000_000))
    assert path.stat().st_size < 50_000
    with pytest.raises(WeightsError, match="declares 5000000 bytes of content in a file of"):
        load(path)


@pytest.mark.parametrize("claim", [1 << 63, 1 << 40, 1000])
def test_a_header_that_claims_more_than_the_file_is_refused(tmp_path: Path, claim: int) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(claim.to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError, match=f"claims {claim} bytes in a file of 10 bytes"):
        load(path)


def test_an_old_checkpoint_that_claims_too_many_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"body.0.weight": torch.zeros(12345)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    claim = (12345).to_bytes(2, "little")
    assert b"M" + claim in data
    path.write_bytes(data.replace(b"M" + claim, b"J" + (1 << 30).to_bytes(4, "little")))
    with pytest.raises(WeightsError, match="claims 1073741824 numbers"):
        load(path)


def test_a_view_that_repeats_one_number_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"params": {"body.0.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}}, path)
    assert path.stat().st_size < 5000
    with pytest.raises(WeightsError, match="its tensors take 4398046511104 bytes"):
        load(path)


@pytest.mark.parametrize("size", [0, 2000])
def test_empty_and_huge_files_are_told(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 1000)
    path = tmp_path / "net.pth"
    path.write_bytes(bytes(size))
    with pytest.raises(WeightsError, match=f"has {size} bytes, allowed are 1 to 1000"):
        load(path)


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    whole, path = tmp_path / name, tmp_path / f"cut{Path(name).suffix}"
    if name.endswith("pth"):
        torch.save(STATE, whole)
    else:
        safetensors.torch.save_file(STATE, whole)
    data = whole.read_bytes()
    for end in range(1, len(data), len(data) // 50):
        path.write_bytes(data[:end])
        with pytest.raises(WeightsError, match=r"weights .*cut"):
            load(path)


@pytest.mark.parametrize("data", [b"<html>", b"PK\x03\x04", b"\x80\x02.", b"\0" * 100, pickle.dumps([1, 2])])
def test_files_of_another_kind_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"net\.pth: "):
        load(path)


def saved(form: str) -> bytes:
    if form == "safetensors":
        return safetensors.torch.save(STATE)
    stream = io.BytesIO()
    torch.save({"params": STATE}, stream, _use_new_zipfile_serialization=form == "zip")
    return stream.getvalue()


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_random_damage_is_refused_or_does_no_harm(form: str) -> None:
    data, pick = saved(form), random.Random(form)
    path = Path("net.safetensors" if form == "safetensors" else "net.pth")
    refused = 0
    for _ in range(200):
        bad = bytearray(data)
        for _ in range(pick.choice([1, 1, 3, 20])):
            bad[pick.randrange(pick.choice([len(bad), min(len(bad), 900)]))] = pick.randrange(256)
        try:
            build(parse(path, bytes(bad)))
        except WeightsError:
            refused += 1
    assert refused > 50


def test_a_zip_behind_a_pickle_does_not_hide_the_pickle(tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "net.pth"
    path.write_bytes(pickle.dumps(Payload(made), 2) + saved("zip"))
    with pytest.raises(WeightsError, match=r"damaged|asks to run"):
        load(path)
    assert not made.exists()


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        read_bytes(tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="is no file"):
        read_bytes(tmp_path)


def test_a_converted_file_that_was_altered_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_converted(path, STATE, Card("a package", "0" * 64, "BSD-3-Clause", ""))
    state, card = read_converted(path)
    assert digest(state) == digest(STATE)
    assert (card.source, card.sha256, card.licence) == ("a package", "0" * 64, "BSD-3-Clause")
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    for place in range(8 + header, len(data), 101):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(WeightsError, match="were altered"):
            read_converted(path)
