"""What supervisor and workers say survives its way as a line; errors come back as what they were."""

from __future__ import annotations

import json
import traceback
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsr import errors
from vidsr.cli.messages import outcome
from vidsr.errors import DeviceError, OutputError, StoppedError, VidsrError
from vidsr.events import Event, Notice, Progress, Stage
from vidsr.jobs.messages import (
    Beat,
    Done,
    Failed,
    Lost,
    Message,
    Retired,
    Said,
    Task,
    WorkerBug,
    error_to_failed,
    event_from_json,
    event_to_json,
    failed_to_error,
    from_line,
    to_line,
)

TEXTS = st.text(st.characters() | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=20)
"""Any text, and what Python makes of bytes that are no UTF-8."""
NUMBERS = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BODIES = st.dictionaries(TEXTS, JSON, max_size=3)


def instances(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Instances of a dataclass, as its annotations allow."""
    return st.from_type(cls) if cls not in (Task, Done) else _with_body(cls)


def _with_body(cls: type[Any]) -> st.SearchStrategy[Any]:
    kinds = st.sampled_from(["prepare", "segment", "join"])
    return st.builds(Task, TEXTS, kinds, BODIES) if cls is Task else st.builds(Done, TEXTS, BODIES)


@pytest.fixture(scope="module", autouse=True)
def _texts() -> Any:
    st.register_type_strategy(str, TEXTS)
    st.register_type_strategy(float, NUMBERS)
    yield
    st.register_type_strategy(str, st.text())
    st.register_type_strategy(float, st.floats())


@pytest.mark.parametrize("cls", [Task, *get_args(Message)])
@given(data=st.data())
def test_every_message_survives_its_line(cls: type[Any], data: st.DataObject) -> None:
    item = data.draw(instances(cls))
    line = to_line(item)
    assert line.isascii()
    assert "\n" not in line
    assert from_line(line) == item
    assert type(from_line(line + "\n")) is cls


@pytest.mark.parametrize("cls", get_args(Event))
@given(data=st.data())
def test_every_event_survives(cls: type[Any], data: st.DataObject) -> None:
    event = data.draw(instances(cls))
    said = from_line(to_line(Said("t", event)))
    assert said == Said("t", event)
    assert isinstance(said, Said)
    assert type(said.event) is cls
    assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event


def test_a_path_that_is_no_utf8_survives() -> None:
    path = b"/films/\xff\xfe \xc3\xa9.mkv".decode("utf-8", "surrogateescape")
    task = from_line(to_line(Task("a", "segment", {"input": path})))
    assert isinstance(task, Task)
    assert task.body["input"].encode("utf-8", "surrogateescape") == b"/films/\xff\xfe \xc3\xa9.mkv"


GOOD = [
    Task("t", "join", {"a": [1]}),
    Said("t", Progress(1, None, 0.5, 2.0)),
    Beat("t", 3, 4),
    Done("t", {}),
    Failed("t", "m", "h", "DeviceError", 6, "d"),
    Lost(None, "w", "c"),
    Retired("w", "c"),
]


@pytest.mark.parametrize("item", GOOD)
def test_a_line_without_one_of_its_fields_or_with_one_more_is_refused(item: Any) -> None:
    values = json.loads(to_line(item))
    for name in ["is", *(field.name for field in fields(item))]:
        with pytest.raises(ValueError, match="of vidsr"):
            from_line(json.dumps({key: value for key, value in values.items() if key != name}))
    with pytest.raises(ValueError, match="of vidsr"):
        from_line(json.dumps(values | {"more": 1}))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        "[]",
        "7",
        '{"is":"Stage","name":"open","detail":""}',
        '{"is":"Said","task":"t","event":{"is":"Beat","task":"t","done":1,"ticks":1}}',
        '{"is":"Said","task":"t","event":null}',
        '{"is":"Said","task":"t","event":{"is":"Stage","name":"unknown","detail":""}}',
        '{"is":"Beat","task":"t","done":"1","ticks":1}',
        '{"is":"Beat","task":"t","done":1.5,"ticks":1}',
        '{"is":"Lost","task":7,"worker":"w","cause":"c"}',
        '{"is":"Done","task":"t","result":[]}',
        '{"is":["Done"],"task":"t","result":{}}',
    ],
)
def test_any_other_line_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of json, or ours
        from_line(line)


def test_what_json_cannot_hold_is_refused_where_it_is_sent() -> None:
    with pytest.raises(TypeError):
        to_line(Done("t", {"x": {1, 2}}))


def raised(error: BaseException) -> BaseException:
    """`error` with the traceback of a raise, and with a cause."""
    try:
        try:
            raise KeyError("the first cause")
        except KeyError as cause:
            raise error from cause
    except BaseException as caught:
        return caught


def sent(error: BaseException) -> BaseException:
    """`error` as it comes out at the other side."""
    failed = from_line(to_line(error_to_failed("t", raised(error))))
    assert isinstance(failed, Failed)
    return failed_to_error(failed)


OURS = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, VidsrError)]


@pytest.mark.parametrize("cls", [cls for cls in OURS if cls is not StoppedError])
def test_our_errors_come_back_as_their_own_class(cls: type[VidsrError]) -> None:
    back = sent(cls("input a\udcff.mkv: no", "do this"))
    assert type(back) is cls
    assert isinstance(back, VidsrError)
    assert (str(back), back.hint, back.exit_code) == ("input a\udcff.mkv: no", "do this", cls.exit_code)
    shown = "".join(traceback.format_exception(back))
    assert "the first cause" in shown
    assert "in raised" in shown


def test_a_stop_keeps_its_signal() -> None:
    back = sent(StoppedError("stopped", 15, "resume"))
    assert isinstance(back, StoppedError)
    assert (back.signum, back.exit_code, back.hint) == (15, 143, "resume")


def test_an_error_of_ours_whose_class_is_not_loaded_keeps_its_exit_code() -> None:
    failed = Failed("t", "no space", "free some", "OfALaterVersion", 4, "")
    back = failed_to_error(failed)
    assert type(back) is OutputError
    assert outcome(back) == ("no space", "free some", 4)


class InputError(Exception):
    """Of another library; only its name is like one of ours."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ZeroDivisionError("1/0"), "ZeroDivisionError"),
        (RuntimeError("CUDA error: 1/0"), "RuntimeError"),
        (KeyboardInterrupt("1/0"), "KeyboardInterrupt"),
        (InputError("1/0"), "tests.jobs.test_messages.InputError"),
    ],
)
def test_anything_else_is_a_bug_told_with_the_traceback_of_the_worker(error: BaseException, kind: str) -> None:
    back = sent(error)
    assert type(back) is WorkerBug
    message, hint, code = outcome(back)
    assert code == 1
    assert message.startswith("a bug in vidsr")
    assert "-v" in hint
    for part in (f"{kind} in a worker", "1/0", "the first cause", "in raised"):
        assert part in message


def test_events_have_defaults_that_need_not_be_said_twice() -> None:
    assert event_to_json(Notice("x")) == {"is": "Notice", "text": "x", "level": "info", "seconds": None}
    assert event_from_json({"is": "Stage", "name": "open", "detail": "y"}) == Stage("open", "y")
    assert DeviceError.exit_code == 6
