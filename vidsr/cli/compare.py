"""`vidsr compare`: how two films differ, and what is wrong with the second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import OutputError, UsageError
from ..fs import same_file
from .messages import say, table
from .progress import current, listening

if TYPE_CHECKING:
    from ..report.compare import Comparison
    from ..report.model import Table

FAILED = 7
"""Exit code where a limit was missed, as after a run with declared loss."""


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--reference", type=click.Path(path_type=Path), help="A third film against which A and B are held.")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write JSON to this file; - prints it.")
@click.option("--page", type=click.Path(path_type=Path), help="Write a page with plots and the worst pictures.")
@click.option(
    "--fail-under", "limits", metavar="METRIC=VALUE", multiple=True,
    help="Exit with 7 if the metric of the whole film is less, such as psnr=40, ssim_min=0.9 or psnr_u=38. May be"
    " repeated.",
)  # fmt: skip
@click.option("--fail-on-findings", is_flag=True, help="Exit with 7 if anything is found to be wrong.")
def compare(
    a: Path, b: Path, reference: Path | None, target: Path | None, page: Path | None, limits: tuple[str, ...],
    fail_on_findings: bool,
) -> None:  # fmt: skip
    """Hold the film B against A, picture by picture, or both against a reference.

    Pictures belong together by their times; sizes, rates, depths and colours may differ. Measured are PSNR and SSIM of
    each plane, flicker, shifts of colour, and how late the sound is. Found are pictures that are missing, doubled or
    black, levels and matrices that are wrong, and sound that is off. The tables go to stdout.
    """
    from ..report.compare import compare as run
    from ..report.compare import parse_limits

    least = parse_limits(limits)
    films = [path for path in (a, b, reference) if path is not None]
    _check_target("--json", target, films)
    _check_target("--page", page, films)
    with listening() as emit:
        comparison = run(a, b, reference, emit)
        if page is not None:
            from ..report.compare_page import compare_page
            from ..report.page import write_page

            write_page(page, compare_page(comparison, emit))
    _tell(comparison, target)
    failed = comparison.failures(least)
    if fail_on_findings and comparison.found:
        failed.append(f"{comparison.found} findings, none is wanted")
    for text in failed:
        say(f"failed: {text}")
    click.get_current_context().exit(FAILED if failed else 0)


def _check_target(option: str, path: Path | None, films: list[Path]) -> None:
    """Refuse before any film is read what could not be written, or would replace a film."""
    if path is None or str(path) == "-":
        if option == "--page" and path is not None:
            raise UsageError("--page: - is stdout, a file is needed", "name a file that ends in .html")
        return
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise UsageError(f"{option}: {path} is no file in an existing folder", "name a file, and create its folder")
    if any(same_file(film, path) for film in films):
        raise UsageError(f"{option}: {path} is one of the films itself", "name another file")


def _tell(comparison: Comparison, target: Path | None) -> None:
    if target is not None and str(target) == "-":
        for piece in comparison.json_pieces():
            click.echo(piece, nl=False)
        return
    if target is not None:
        _write(target, comparison.json_pieces())
    if not current().quiet:
        click.echo("\n\n".join(_sections(comparison)))


def _write(path: Path, pieces: Iterable[str]) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
    except OSError as error:
        raise OutputError(f"--json: {path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def _sections(comparison: Comparison) -> Iterator[str]:
    from ..report.compare_page import films_table, metrics_table

    yield _text(films_table(comparison.films))
    yield _text(metrics_table(comparison.matches, [Path(match.second).name for match in comparison.matches]))
    for match in comparison.matches:
        unpaired = "".join(
            f", {count} of {Path(path).name} without partner"
            for count, path in zip(match.unpaired, (match.first, match.second), strict=True)
            if count
        )
        lines = [f"{Path(match.second).name} against {Path(match.first).name}: {match.pairs} pairs{unpaired}"]
        lines += [f"  {finding}" for finding in match.findings] or ["  nothing found"]
        yield "\n".join(lines)
    if comparison.notes:
        yield "\n".join(f"note: {note}" for note in comparison.notes)


def _text(shown: Table) -> str:
    return table([tuple(shown.head), *(tuple(row) for row in shown.rows)])
