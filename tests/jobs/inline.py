"""An executor without processes: every task is done at once, where it is submitted."""

from __future__ import annotations

from vidsr.events import Event, Progress
from vidsr.flow import Cancel
from vidsr.jobs.messages import Done, Message, Said, Task, error_to_failed, from_line, to_line
from vidsr.jobs.shard import Workshop


class Inline:
    """One worker for each of `workers`; messages and tasks go through their JSON as between processes."""

    def __init__(self, workers: int = 1, device: str = "cpu") -> None:
        self._workshops = [Workshop(device) for _ in range(workers)]
        self._said: list[Message] = []
        self.tasks: list[Task] = []
        """What was done, in order."""

    @property
    def segments(self) -> list[int]:
        """Numbers of the segments that were computed."""
        return [task.body["span"]["number"] for task in self.tasks if task.kind == "segment"]

    @property
    def capacity(self) -> int:
        return len(self._workshops)

    @property
    def free(self) -> int:
        return len(self._workshops) if not self._said else 0

    def submit(self, task: Task) -> None:
        again = from_line(to_line(task))
        assert isinstance(again, Task)
        self.tasks.append(task)
        workshop = self._workshops[len(self.tasks) % len(self._workshops)]

        def say(event: Event) -> None:
            if not isinstance(event, Progress):
                self._said.append(Said(task.id, event))

        try:
            self._said.append(Done(task.id, workshop.do(again, say, Cancel())))
        except Exception as error:
            self._said.append(error_to_failed(task.id, error))

    def wait(self, timeout: float) -> list[Message]:
        said, self._said = self._said, []
        return [message for item in said if not isinstance(message := from_line(to_line(item)), Task)]

    def cancel(self, task_id: str) -> None:
        """Nothing runs when this is called."""

    def close(self) -> None:
        self._workshops = []
