"""A configuration is strict, and says all that is wrong with it at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tests.trainer import fakes
from trainer import config, mistakes, yaml_text
from trainer.config import Config, load, parse
from vidsr.errors import UsageError

TEN = """
name: my show
scale: two
net: {kind: srvgg, featurs: 16}
data:
  - {kind: vidio, paths: [a.mp4]}
  - {kind: video, paths: [a.mp4], gt_size: 4}
degrade: {kind: classic, first: {blur: {sigma: [3, 1]}}}
losses:
  - {kind: l1, weight: -1, on: usn}
gan: {discriminator: {}}
loop: {iterations: many, precision: fp8}
shedule: {kind: cosine}
"""
SENTENCES = (
    "name: 'my show' is not allowed, it should match pattern",
    "scale: 'two' is not allowed, it should be a whole number",
    "net.featurs is unknown, did you mean 'features'?",
    "data.0.kind: 'vidio' is unknown, did you mean 'video'?; allowed are video, pictures, paired, lmdb",
    "data.1.gt_size: 4 is not allowed, it should be greater than or equal to 8",
    "degrade.first.blur.sigma: should be (lowest, highest), and 3 is above 1",
    "losses.0.weight: -1 is not allowed, it should be greater than 0",
    "losses.0.on: 'usn' is not allowed, it should be 'gt' or 'usm', did you mean 'usm'?",
    "gan.discriminator.kind is missing; allowed are patch-sn, unet-sn, vgg-style",
    "loop.iterations: 'many' is not allowed, it should be a whole number",
    "loop.precision: 'fp8' is not allowed, it should be 'fp32', 'bf16' or 'fp16'",
    "shedule is unknown, did you mean 'schedule'?",
)


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_mistakes_are_told_at_once_one_sentence_each(tmp_path: Path) -> None:
    path = written(tmp_path, TEN)
    with pytest.raises(UsageError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(SENTENCES)
    for sentence in SENTENCES:
        assert any(line.startswith(f"{path}: {sentence}") for line in lines), sentence


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": [{"kind": "pictures", "roots": ["a"], "gt_size": 17}]},
         "data.0.gt_size: 17 is no multiple of the scale 2"),
        ({"degrade": {"kind": "none"}}, "data.0 has no small pictures, and degrade.kind none makes none"),
        ({"degrade": {"kind": "classic"}}, "degrade.gt_size: 256 differs from data.0.gt_size, 16"),
        ({"losses": [{"kind": "temporal"}]}, "losses.0: temporal with span 1 needs more frames than 1 in data"),
        ({"losses": [{"kind": "ldl"}], "ema": None}, "losses.0: ldl needs the averaged network, give ema"),
        ({"losses": [{"kind": "ms-ssim"}]}, "losses.0: ms-ssim needs a gt_size of 176 or more, data has 16"),
        ({"gan": {"discriminator": {"kind": "vgg-style"}}},
         "gan.discriminator.size: 128 differs from the gt_size of data, 16"),
        ({"gan": fakes.GAN | {"warmup": 3, "ramp": 1}}, "gan.warmup and gan.ramp: 3 + 1 iterations leave none"),
        ({"schedule": {"kind": "cosine", "warmup": 4}}, "schedule.warmup: 4 is not below loop.iterations, 4"),
        ({"export": {"weights": "swa"}}, "export.weights: swa is not gathered, give swa"),
        ({"swa": {"start": 0.5, "every": 3}}, "swa.every: 3 is more than the 2 iterations after swa.start"),
        ({"checkpoint": {"milestones": [0.5, 0.1]}}, "checkpoint: milestones [0.5, 0.1] must rise"),
        ({"degrade": {"kind": "classic", "gt_size": 16},
          "data": [{"kind": "paired", "gt": "a", "lq": "b", "gt_size": 16}]},
         "data.0 has small pictures of its own, which degrade.kind classic would not use"),
    ],
)  # fmt: skip
def test_contradictions_are_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        fakes.config(tmp_path, **changes)
    assert f"configuration: {told}" in str(caught.value)


def test_sets_of_one_batch_are_alike(tmp_path: Path) -> None:
    first = fakes.values(tmp_path)["data"][0]
    film = {"kind": "video", "paths": ["a.mkv"], "frames": 3, "gt_size": 32}
    with pytest.raises(UsageError) as caught:
        fakes.config(tmp_path, data=[first, film])
    assert "data: the sets differ in gt_size (16, 32), one batch has one" in str(caught.value)
    assert "data: the sets differ in frames (1, 3; pictures have 1)" in str(caught.value)


def test_what_is_resolved_is_the_same_configuration(tmp_path: Path) -> None:
    made = fakes.config(tmp_path, **fakes.EVERYTHING, loop={"iterations": 20})
    assert parse(made.resolved()) == made
    made.save(tmp_path / "run.yaml")
    assert load(tmp_path / "run.yaml") == made
    assert load(tmp_path / "run.yaml").digest() == made.digest()
    assert load(tmp_path / "run.yaml", ["seed=8"]).digest() != made.digest()


def test_paths_are_absolute_where_they_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    made = fakes.config(tmp_path, data=[{"kind": "pictures", "roots": ["pictures"], "gt_size": 16, "crop_pad": 16}])
    assert made.resolved()["data"][0]["roots"] == [str(tmp_path / "pictures")]


def test_overrides_reach_every_place(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    fakes.config(tmp_path).save(path)
    made = load(
        path,
        ["loop.batch=5", "losses.0.weight=2e-1", "ema=null", "net.activation=relu", "gan.discriminator.kind=unet-sn"],
    )
    assert made.loop.batch == 5
    assert made.losses[0].weight == 0.2
    assert made.ema is None
    assert made.net.activation == "relu"  # type: ignore[union-attr]
    assert made.gan is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("loop.batch", "loop.batch: expected key=value or key.sub=value"),
        ("loop..batch=1", "loop..batch=1: expected key=value"),
        ("losses.4.weight=1", "losses.4.weight=1: '4' is no place in a list of 1, allowed are 0 to 0"),
        ("loop.batch=[1", "loop.batch=[1: line 1, column 3: "),
        ("loop.bach=1", "loop.bach is unknown, did you mean 'batch'?"),
    ],
)
def test_a_wrong_override_is_told(tmp_path: Path, text: str, told: str) -> None:
    fakes.config(tmp_path).save(tmp_path / "run.yaml")
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "run.yaml", [text])
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: usm", {"on": "usm"}),
        ("lr: 1e-4", {"lr": 1e-4}),
        ("a: [yes, no, off, true]", {"a": ["yes", "no", "off", True]}),
        ("a: [010, 0x10, 1_000, 1:30]", {"a": [10, 16, "1_000", "1:30"]}),
        ("a: [.5, 5., -.inf, ~]", {"a": [0.5, 5.0, float("-inf"), None]}),
        ("a: {b: &x [1], c: *x}", {"a": {"b": [1], "c": [1]}}),
    ],
)
def test_yaml_means_what_it_says(text: str, value: object) -> None:
    assert yaml_text.parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", "is no YAML: line 3, column 1: 'a' stands there twice"),
        ("a: [1,\nb: 2", "is no YAML: line 2, column 5: expected ',' or ']'"),
        ("- a\n- b\n", "holds a list, expected names with values"),
        ("a: !!python/object/apply:os.system [ls]", "is no YAML: line 1, column 4: could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_configuration_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load(path)
    assert f"configuration {path} {told}" in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"configuration .*none\.yaml cannot be read: no such file"):
        load(tmp_path / "none.yaml")


def models(kind: type[BaseModel]) -> set[type[BaseModel]]:
    """`kind` and all options within it."""
    found = {kind}
    todo = [field.annotation for field in kind.model_fields.values()]
    while todo:
        part = todo.pop()
        if isinstance(part, type) and issubclass(part, BaseModel) and part not in found:
            found.add(part)
            todo += [field.annotation for field in part.model_fields.values()]
        todo += get_args(part)
    return found


def test_nothing_unknown_is_taken_anywhere() -> None:
    every = models(Config)
    assert len(every) > 60
    for kind in every:
        assert kind.model_config["extra"] == "forbid", kind
        assert kind.model_config["frozen"], kind


def test_the_schema_knows_the_variants_and_what_fields_are_for() -> None:
    schema = config.schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]["net"]["discriminator"]["mapping"]) == {"srvgg", "rrdb", "model"}
    loop = schema["$defs"]["Loop"]["properties"]
    assert loop["clip"]["description"].startswith("Largest norm of a network's gradient")
    assert json.loads(json.dumps(schema)) == schema


def test_the_loops_own_options_are_all_told() -> None:
    from trainer import options

    own = [kind for kind in models(Config) if kind.__module__ in (options.__name__, config.__name__)]
    assert len(own) > 12
    bare = [f"{kind.__name__}.{name}" for kind in own for name, field in kind.model_fields.items()
            if not field.description and name != "kind"]  # fmt: skip
    assert not bare


def test_locations_lead_to_fields() -> None:
    assert "weight" in mistakes.fields_at(("losses", 0, "l1"), Config)
    assert "sigma" in mistakes.fields_at(("degrade", "classic", "first", "blur"), Config)
    assert mistakes.fields_at(("nowhere",), Config) == []


def test_reading_a_configuration_loads_no_heavy_library() -> None:
    code = (
        "import trainer.config, trainer.recipes, sys; heavy = {'torch', 'av', 'cv2', 'numpy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
