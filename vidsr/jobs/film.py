"""One input on its way to one output, as the supervisor sees it: its tasks, its work folder, what is done of it."""

from __future__ import annotations

import hashlib
import json
import time
from array import array
from contextlib import ExitStack, suppress
from dataclasses import asdict
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError, UsageError
from ..events import Emit, Event, Notice, Stage, clock
from ..fs import Target, lock, same_file, short_name
from ..options import Options
from ..record import Report
from . import disk
from .journal import Identity, Journal, JournalError, differences, identify, set_aside
from .messages import Task, event_from_json, event_to_json
from .plan import ShardPlan, Span
from .segment import intact

FREE = {
    "overwrite", "dry_run", "verify", "allow_loss", "report", "report_page",
    "shards", "device", "devices", "cluster", "work_dir", "resume",
}  # fmt: skip
"""Options that may differ between the runs that make one film: they do not change its pictures."""


class Film:
    """Makes the tasks of one film and takes their results. Nothing has the output's name before `joined`.

    What is finished lies in a work folder: segments, and a journal that names them. A later run of the same command
    goes on from there.
    """

    def __init__(self, input: Path, output: Path | None, options: Options, emit: Emit) -> None:
        self.name = str(input)
        self.report: Report | None = None
        self.frames_total: int | None = None
        self.frames_done = 0
        self.rate = 0.0
        self._earlier = 0
        """Frames of an earlier run."""
        self._input, self._options, self._emit = input, options, emit
        words = options.model_dump(mode="json")
        self._spec: dict[str, Any] = {"input": str(input), "output": None, "options": words, "facts": None}
        self._spec["output"] = None if output is None else str(output)
        self._held = ExitStack()
        self._records: dict[int, dict[str, Any]] = {}
        self._said: dict[str, Event] = {}
        self._over = False
        self._journal: Journal | None = None
        self._identity: Identity | None = None
        self._begun = time.monotonic()

    def first(self) -> Task:
        shards = None if self._options.shards == "auto" else self._options.shards
        self._identity = identify(self._input)
        return Task("prepare", "prepare", {"film": self._spec, "shards": shards})

    def prepared(self, result: dict[str, Any]) -> list[Task]:
        """Lock the output, find what an earlier run finished, and give the segments that are left."""
        output = Path(result["output"])
        if same_file(self._input, output):  # by a link that a worker elsewhere does not see
            raise UsageError(f"output {output} is the input itself", "name another file with -o")
        self._check_input()
        self._hear(result["events"])
        self._target = self._held.enter_context(Target(output, overwrite=self._options.overwrite))
        self._spec = self._spec | {"output": str(output), "facts": result["facts"]}
        self._folder = work_folder(output, self._options.work_dir)
        self.rate = result["rate"]
        self._plan, journal = self._opened(ShardPlan.from_json(result["plan"]), result["facts"])
        self._held.callback(journal.close)
        self._journal = journal
        self._records = self._trusted(journal.records)
        self.frames_total = self._plan.frames
        self.frames_done = self._earlier = sum(record["frames"] for record in self._records.values())
        self._tell_plan()
        self._emit(Stage("upscale", str(output)))
        return [self._segment(span) for span in self._plan.spans if span.number not in self._records]

    def finished(self, task: str, result: dict[str, Any]) -> None:
        """Commit a segment: from now on it is not computed again."""
        self._check_input()
        number = int(task)
        record = {"segment": number, "file": _segment_name(number), **result}
        assert self._journal is not None, "the film is prepared"
        self._journal.append(record)
        self._records[number] = record
        self.frames_done += record["frames"]

    def joining(self) -> Task:
        records = [self._records[number] for number in sorted(self._records)]
        for record in records:
            self._hear(record["events"])
        segments = [{**record, "path": str(self._folder / record["file"]), "events": []} for record in records]
        events = [event_to_json(event) for event in self._said.values()]
        body = {"film": self._spec, "path": str(self._target.path), "segments": segments, "events": events}
        return Task("join", "join", body)

    def joined(self, result: dict[str, Any]) -> Report:
        """The output gets its name, and the work folder goes."""
        self._check_input()
        self._emit(Stage("commit", str(self._target.final)))
        self._target.commit()
        self._clear()  # before the locks go: another run may begin at once
        self._held.close()
        self.report, self._over = self._account(result["report"]), True
        self._emit(Stage("done", self.report.output))
        return self.report

    def _account(self, values: dict[str, Any]) -> Report:
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list) and key != "pts"}
        wall = time.monotonic() - self._begun
        own = values["frames_out"] - self._earlier
        rate = {"wall_seconds": round(wall, 3), "fps": round(own / wall, 3)}
        return Report(**values | lists | rate | {"pts": array("q", values["pts"])})

    def failed(self, error: BaseException) -> None:
        """Let go of the output. Finished segments stay, for the next run."""
        with self._held:  # the locks, until what is left is settled
            if not self._over:
                self._over = True
                self._keep()

    def _keep(self) -> None:
        """Keep the work folder, if anything in it is finished."""
        finished = self._finished()
        if finished:
            done = f"{len(finished)} of {len(self._plan.spans)} segments of {self.name} are done"
            self._emit(Notice(f"{done}: the same command goes on from there", "warning"))
        elif self._journal is not None:
            self._clear()

    def _finished(self) -> list[dict[str, Any]]:
        """The records that are on the disk: a signal may have come right after one was written."""
        if self._journal is None:
            return []
        try:
            with Journal.open(self._journal.path) as journal:
                return journal.records
        except OutputError:  # not readable now: what was known of it
            return self._journal.records

    def _check_input(self) -> None:
        """A film that is replaced while it is read would become a mix of two. Raises InputError."""
        if identify(self._input) != self._identity:
            raise InputError(
                f"input {self._input} was changed while it was upscaled",
                "the same command starts over; leave the input alone meanwhile",
            )

    def _clear(self) -> None:
        """Remove the work folder; what others put there stays."""
        ours = ("journal*", "lock", "*.segment", "*.segment.part")
        with suppress(OSError):
            for path in chain.from_iterable(map(self._folder.glob, ours)):
                path.unlink()
            self._folder.rmdir()

    def _hear(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._said[json.dumps(event)] = event_from_json(event)

    def _opened(self, plan: ShardPlan, facts: dict[str, Any]) -> tuple[ShardPlan, Journal]:
        """The journal of an earlier run that was just like this one, with its plan; else a new one."""
        header = self._header(plan, facts)
        path = self._folder / "journal"
        if self._folder.exists():
            why = self._why_not(path, header)
            if why:
                aside = set_aside(self._folder)
                self._emit(Notice(f"{why}: starting over, the earlier work is kept in {aside}", "warning"))
        with disk.writing_in(self._folder.parent):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._held.enter_context(lock(self._folder / "lock"))
        journal = Journal.open(path) if path.exists() else Journal.create(path, header)
        return ShardPlan.from_json(journal.first["plan"]), journal

    def _why_not(self, path: Path, header: dict[str, Any]) -> str:
        """Why an earlier run's work cannot be used; empty if it can, or if there is none."""
        if not path.exists():
            return ""
        if not self._options.resume:
            return "--no-resume"
        try:
            with Journal.open(path) as journal:
                found = differences(_comparable(journal.first, self._options), _comparable(header, self._options))
        except JournalError as error:
            return str(error)
        return f"not the same run as before ({', '.join(found)})" if found else ""

    def _header(self, plan: ShardPlan, facts: dict[str, Any]) -> dict[str, Any]:
        settings = {key: value for key, value in self._spec["options"].items() if key not in FREE}
        assert self._identity is not None, "the film has begun"
        return {"input": asdict(self._identity), "settings": settings, "facts": facts, "plan": plan.to_json()}

    def _trusted(self, records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """The finished segments whose files are still what they were; the others are computed again."""
        good = {}
        for record in records:
            if intact(self._folder / record["file"], record["size"], record["sha256"]):
                good[record["segment"]] = record
            else:
                lost = f"segment {record['segment']} is missing or damaged"
                self._emit(Notice(f"{lost}, it is computed again", "warning"))
        return good

    def _tell_plan(self) -> None:
        count = len(self._plan.spans)
        if self._plan.whole and self._options.shards != 1:
            self._emit(Notice(f"the input is not cut into segments: {self._plan.whole}"))
        if self._records:
            self._emit(Notice(f"resuming: {len(self._records)} of {count} segments are done"))
        elif count > 1:
            self._emit(Notice(f"{count} segments of {self._plan.frames // count} frames, about", "detail"))

    def _segment(self, span: Span) -> Task:
        body = {
            "film": self._spec,
            "span": asdict(span),
            "span_text": _span_text(span, Fraction(self._plan.time_base)),
            "path": str(self._folder / _segment_name(span.number)),
        }
        return Task(str(span.number), "segment", body)


def work_folder(output: Path, root: Path | None) -> Path:
    """Where the segments of `output` lie: beside it, or in `root` under a name that no other output has."""
    final = output.resolve()
    if root is None:
        return final.with_name(f".{short_name(final.name)}.vidsr")
    if same_file(root, final):
        raise UsageError(f"--work-dir: {root} is the output itself", "name a folder")
    return root / f"{short_name(final.name)}.{hashlib.sha256(str(final).encode()).hexdigest()[:12]}"


def _comparable(first: dict[str, Any], options: Options) -> dict[str, Any]:
    """What must be the same: the plan only where the number of segments was asked for."""
    count = {} if options.shards == "auto" else {"shards": len(first["plan"]["spans"])}
    return {key: value for key, value in first.items() if key != "plan"} | count


def _segment_name(number: int) -> str:
    return f"{number:05}.segment"


def _span_text(span: Span, base: Fraction) -> str:
    start = clock((span.start or 0) * base)
    return f"{start} to {'the end' if span.end is None else clock(span.end * base)}"
