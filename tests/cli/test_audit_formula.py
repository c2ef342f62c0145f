"""``audit formula``: verdicts and exit codes."""

from __future__ import annotations

import pytest

from tests.cli.calling import call


@pytest.mark.parametrize(
    ("formula", "status", "verdict"),
    [
        ("dl/dgamma = sum[i](dl/dy[i]*x_hat[i])", 0, "equal: "),
        ("dl/dmu = -sum[i](dl/dx_hat[i])/sqrt(var + eps)", 0, "equal through an identity: "),
        ("dl/dgamma = sum[i](dl/dy[i]*x[i])", 1, "wrong: "),
    ],
)
def test_the_verdict_and_its_exit_code(formula: str, status: int, verdict: str) -> None:
    shown = call("audit", "formula", formula)
    assert (shown.status, shown.err) == (status, "")
    assert shown.out.startswith(verdict)


def test_what_cannot_be_read_is_refused_at_its_place() -> None:
    shown = call("audit", "formula", "dl/dgamma = sum[i](dl/dy[i]*x_hut[i])")
    assert (shown.status, shown.out) == (2, "")
    assert shown.err.splitlines()[0].endswith("unknown name x_hut; did you mean x_hat?")
    assert shown.err.splitlines()[2].strip() == "^" * len("x_hut")
