"""Everything that vidsr raises on purpose.

VidsrError                    exit code
├── UsageError                2    the call itself is wrong; nothing was touched
│   └── ExistsError           2    the output is there already
├── InputError                3    the input cannot be used
├── OutputError               4    the output cannot be written
│   ├── VerificationError     4    what was written is not what was sent
│   └── BusyError             9    another run is writing the same output
├── WeightsError              5    the weights are missing, damaged or refused
├── DeviceError               6    the device is absent or failed
├── StoppedError              130/143  a signal asked us to stop
└── ReaderGoneError           141  the reader of our pipe is gone

Any other exception that leaves vidsr is a bug (exit code 1). A run that ends with declared loss is not an
exception: its Report carries exit code 7.
"""

from __future__ import annotations


class VidsrError(Exception):
    """Base of all errors that a user can do something about.

    `str(error)` is one sentence: what, which file or option, the value seen, what is allowed.
    `hint` says what to do next, or is empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(VidsrError):
    """The call is wrong: unknown names, values out of range, options that contradict each other."""

    exit_code = 2


class ExistsError(UsageError):
    """The output exists, and was not to be replaced."""


class InputError(VidsrError):
    """The input is missing, is no video, or holds no frame that can be decoded."""

    exit_code = 3


class OutputError(VidsrError):
    """The output cannot be written: no space, no folder, no right, or a stream its container cannot hold."""

    exit_code = 4


class VerificationError(OutputError):
    """The written file, opened again, does not hold what was sent to it."""


class BusyError(OutputError):
    """Another run holds the lock on the same output."""

    exit_code = 9


class WeightsError(VidsrError):
    """Weights are missing, fail their checksum, need code to load, or fit no known network."""

    exit_code = 5


class DeviceError(VidsrError):
    """The device is absent, out of memory at the smallest step, or gave values that are not finite."""

    exit_code = 6


class StoppedError(VidsrError):
    """A signal asked the run to stop.

    `signum` is the signal's number; the exit code is 128 + signum as shells have it.
    """

    def __init__(self, message: str, signum: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.signum = signum
        self.exit_code = 128 + signum


class ReaderGoneError(VidsrError):
    """The reader of our output pipe closed it."""

    exit_code = 141


def near_miss(value: str, allowed: list[str]) -> str:
    """`, did you mean 'x264'?` for the closest of `allowed`, or an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(value, allowed, n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""
