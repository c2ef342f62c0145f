"""What a kernel gave on one probe."""

from __future__ import annotations

from dataclasses import dataclass

from verify.audit.predictor import Results
from verify.audit.probes import Probe

TOLERANCE = 1e-9  # of what is added up


@dataclass(frozen=True)
class Sample:
    """The results by name; ``tolerance`` is what equality means for their dtype."""

    probe: Probe
    results: Results
    tolerance: float = TOLERANCE
