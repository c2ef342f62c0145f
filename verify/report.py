"""The one record that every check returns, whatever it checked.

A skipped check is never a pass: its ``ok`` is False and ``skipped`` says why it did not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Result:
    """The outcome of one named check.

    ``cases`` counts what was compared.  ``worst`` and ``limit`` are the largest error found and the
    largest allowed, in ``unit``; None where the check is a plain yes or no.
    """

    group: str
    name: str
    detail: str
    cases: int
    worst: float | None
    limit: float | None
    ok: bool
    unit: str = ""
    skipped: str = ""

    def __post_init__(self) -> None:
        if self.ok and self.skipped:
            raise ValueError(f"{self.group}: {self.name} was skipped and cannot have passed")

    @property
    def status(self) -> Literal["pass", "FAIL", "skipped"]:
        """What a table shows."""
        if self.skipped:
            return "skipped"
        return "pass" if self.ok else "FAIL"


def failures(results: list[Result]) -> list[Result]:
    """The checks that ran and did not hold."""
    return [result for result in results if result.status == "FAIL"]


def skipped(group: str, name: str, why: str) -> Result:
    """A check that did not run."""
    return Result(group, name, why, 0, None, None, False, skipped=why)
