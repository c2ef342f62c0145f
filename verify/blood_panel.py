"""A made-up blood panel: four quantities of one sample of blood, in units 10¹⁰ apart.

Red cells, white cells and platelets are counted per litre and haemoglobin is weighed in grams per
litre, so the columns of one batch differ by ten orders of magnitude: the plainest reason why one
normalises.  The values are drawn uniformly from the ranges that are usual in healthy adults and
belong to nobody.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RANGES: dict[str, tuple[float, float]] = {
    "red cells per litre": (3.5e12, 5.5e12),
    "white cells per litre": (4e9, 10e9),
    "platelets per litre": (1.5e11, 3.5e11),
    "haemoglobin in g per litre": (110.0, 160.0),
}
SAMPLES = 200


def blood_panel(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Values of shape (m, 4, *spatial), one channel for each of :data:`RANGES`; ``shape`` is
    (m, *spatial)."""
    return np.stack([rng.uniform(low, high, shape) for low, high in RANGES.values()], axis=1)
