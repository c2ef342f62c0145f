r"""Verdicts on formulas as people write them: of papers, of blogs, of code, right and wrong."""

from __future__ import annotations

import pytest

from derive.errors import InputError, SourceError
from derive.grammar import parse_layer
from derive.render.notation_file import notation
from verify.audit import formula, formula_exact, questions
from verify.audit.evidence import as_line, evidence, headline
from verify.audit.formula import CONDITIONAL, Judgement, judge
from verify.audit.formula_exact import Confirmation
from verify.audit.report import Answer, json_object
from verify.audit.subjects import subject, subject_of

EQUAL, IDENTITY, WRONG = "equal", "equal through an identity", "not equal"


def audit(text: str, layer: str = "batch_norm") -> Judgement:
    about = subject(layer)
    (question,) = questions.questions(text, about)
    return judge(question, about)


def words(judgement: Judgement) -> str:
    return " ".join(evidence(judgement, as_line(True)))


# The paper's formulas, section 3, with its own Σ −2(x_i − μ_B)/m in the adjoint of the mean.
PAPER = [
    (r"\mu_\mathcal{B} = \frac{1}{m}\sum_{i=1}^m x_i", EQUAL),
    (r"\sigma_\mathcal{B}^2 = \frac{1}{m} \sum_{i=1}^m (x_i - \mu_\mathcal{B})^2", EQUAL),
    (
        r"\widehat{x}_i = \frac{x_i - \mu_\mathcal{B}}{\sqrt{\sigma_\mathcal{B}^2 + \epsilon}}",
        EQUAL,
    ),
    (r"y_i = \gamma\widehat{x}_i + \beta", EQUAL),
    (
        r"\frac{\partial\ell}{\partial\widehat{x}_i}"
        r"= \frac{\partial\ell}{\partial y_i}\cdot\gamma",
        EQUAL,
    ),
    (
        r"\frac{\partial\ell}{\partial\sigma_\mathcal{B}^2} = \sum_{i=1}^m \frac{\partial\ell}"
        r"{\partial\widehat{x}_i}\cdot(x_i - \mu_\mathcal{B})\cdot\frac{-1}{2}"
        r"(\sigma_\mathcal{B}^2 + \epsilon)^{-3/2}",
        EQUAL,
    ),
    (
        r"\frac{\partial\ell}{\partial\mu_\mathcal{B}} = \left(\sum_{i=1}^m \frac{\partial\ell}"
        r"{\partial\widehat{x}_i}\cdot\frac{-1}{\sqrt{\sigma_\mathcal{B}^2 + \epsilon}}\right)"
        r"+ \frac{\partial\ell}{\partial\sigma_\mathcal{B}^2}\cdot"
        r"\frac{\sum_{i=1}^m -2(x_i - \mu_\mathcal{B})}{m}",
        EQUAL,
    ),
    (
        r"\frac{\partial\ell}{\partial x_i} = \frac{\partial\ell}{\partial\widehat{x}_i}\cdot"
        r"\frac{1}{\sqrt{\sigma_\mathcal{B}^2 + \epsilon}} + \frac{\partial\ell}"
        r"{\partial\sigma_\mathcal{B}^2}\cdot\frac{2(x_i - \mu_\mathcal{B})}{m}"
        r"+ \frac{\partial\ell}{\partial\mu_\mathcal{B}}\cdot\frac{1}{m}",
        EQUAL,
    ),
    (
        r"\frac{\partial\ell}{\partial\gamma} = \sum_{i=1}^m"
        r"\frac{\partial\ell}{\partial y_i}\cdot\widehat{x}_i",
        EQUAL,
    ),
]

G = r"\frac{\partial L}{\partial y_j}"
CLOSED = (
    r"\frac{\partial L}{\partial x_i} = \frac{PRE}{N DEV}\left(N\frac{\partial L}{\partial y_i}"
    rf" - \sum_{{j=1}}^N {G} - \hat{{x}}_i\sum_{{j=1}}^N {G}\hat{{x}}_j\right)"
)


def closed(pre: str, dev: str) -> str:
    return CLOSED.replace("PRE", pre).replace("DEV", dev)


ROOT = r"\sqrt{\sigma^2 + \epsilon}"
FOUND = [
    *PAPER,
    # The closed form that many blogs end with, and what they leave out
    (closed(r"\gamma", ROOT), IDENTITY),
    (closed(r"\gamma", r"\sigma"), CONDITIONAL),
    (closed("1", ROOT), CONDITIONAL),
    (closed("1", r"\sigma"), CONDITIONAL),
    (closed("2", ROOT), WRONG),
    (closed(r"\gamma", ROOT).replace("N DEV", ROOT), IDENTITY),
    (closed(r"\gamma", ROOT).replace(r"\frac{\gamma}{N ", r"\frac{\gamma}{"), WRONG),
    (closed(r"\gamma", r"(\sigma^2 + \epsilon)"), WRONG),
    # "Is this backward missing a term?"  The term is 0.
    (
        r"\frac{\partial\ell}{\partial\mu} = -\sum_i\frac{\partial\ell}{\partial\hat{x}_i}"
        r"/\sqrt{\sigma^2 + \epsilon}",
        IDENTITY,
    ),
    (r"\frac{\partial\ell}{\partial x_i} = \frac{\gamma}{\sigma} \frac{\partial\ell}{\partial y_i}",
     WRONG),
    # Facts
    (r"\sum_{i=1}^m (x_i - \mu) = 0", IDENTITY),
    (r"\sum_{i=1}^m \frac{\partial\ell}{\partial x_i} = 0", EQUAL),
    (r"\sum_{i=1}^m \hat{x}_i \frac{\partial\ell}{\partial x_i} = 0", CONDITIONAL),
    (r"\frac1m\sum_{i=1}^m \hat{x}_i^2 = 1", CONDITIONAL),
    (r"\frac1m\sum_{i=1}^m \hat{x}_i^2 = \frac{\sigma^2}{\sigma^2 + \epsilon}", IDENTITY),
    (r"\sigma = \sqrt{\frac1m\sum_{i=1}^m (x_i - \mu)^2}", EQUAL),
    (r"\sigma^2 = \frac1m\sum_i x_i^2 - \mu^2", IDENTITY),
    (r"\sigma^2 = \frac{1}{m - 1}\sum_i (x_i - \mu)^2", WRONG),
    (r"y_i = \gamma\hat{x}_i", CONDITIONAL),
    (
        r"\frac{\partial y_i}{\partial x_j} = \frac{\gamma}{m\sqrt{\sigma^2 + \epsilon}}"
        r"(m\delta_{ij} - 1 - \hat{x}_i\hat{x}_j)",
        IDENTITY,
    ),
    (
        r"\frac{\partial y_i}{\partial x_j} = \frac{-\gamma}{m\sqrt{\sigma^2 + \epsilon}}"
        r"(1 + \hat{x}_i\hat{x}_j)",
        CONDITIONAL,
    ),
    # Code
    ("dx = gamma*inv_std/m * (m*dy - dy.sum(axis=0) - x_hat*np.sum(dy*x_hat, axis=0))", IDENTITY),
    ("dx = gamma*inv_std/m * (m*dy - dbeta - x_hat*dgamma)", IDENTITY),
    ("dx = gamma*inv_std * (dy - np.mean(dy, axis=0))", WRONG),
    ("var = np.mean(x**2, axis=0) - np.mean(x, axis=0)**2", IDENTITY),
]  # fmt: skip


@pytest.mark.parametrize(("text", "verdict"), FOUND)
def test_the_verdict(text: str, verdict: str) -> None:
    found = audit(text)
    assert found.verdict == verdict
    if found.verdict == WRONG:
        assert found.example is not None
        assert found.example.expected != found.example.got
        assert found.right is not None
    else:
        assert found.cases


CONDITIONS = [
    (closed(r"\gamma", r"\sigma"), "sigma^2 contains epsilon"),
    (closed("1", ROOT), "gamma = 1"),
    (r"\sum_{i=1}^m \hat{x}_i^2 = m", "eps = 0"),
    (r"\sum_{i=1}^m \hat{x}_i \frac{\partial\ell}{\partial x_i} = 0", "eps = 0"),
    (r"y_i = \gamma\hat{x}_i", "beta = 0"),
    (r"y_i = \hat{x}_i", "gamma = 1, beta = 0"),
    (r"\frac{\partial y_i}{\partial x_j} = u(m - 1 - \hat{x}_i\hat{x}_j)", "i = j"),
    (r"\frac{\partial y_i}{\partial x_j} = -u(1 + \hat{x}_i\hat{x}_j)", "i != j"),
]


@pytest.mark.parametrize(("text", "condition"), CONDITIONS)
def test_the_condition_is_named(text: str, condition: str) -> None:
    found = audit(text)
    assert found.verdict == CONDITIONAL
    assert found.condition is not None
    assert found.condition.name == condition
    assert headline(found) == f"equal under a condition: {condition}"


def quotient(of: str, wrt: str) -> str:
    return rf"\frac{{\partial {of}}}{{\partial {wrt}}}"


X_HAT, MU, VAR = r"\hat{x}_i", r"\mu", r"\sigma^2"
THROUGH = [quotient("L", name) + quotient(name, "x_i") for name in (X_HAT, MU, VAR)]
CHAIN = [
    (quotient("L", "x_i") + " = " + " + ".join(THROUGH), EQUAL, "partial derivatives"),
    (
        quotient("L", "x_i") + r" = \sum_j " + quotient("L", "y_j") + quotient("y_j", "x_i"),
        EQUAL,
        "",
    ),
    (quotient(X_HAT, "x_i") + rf" = 1/{ROOT}", CONDITIONAL, "partial derivatives"),
    (quotient(VAR, MU) + r" = -\frac2m\sum_i (x_i - \mu)", EQUAL, ""),
]


@pytest.mark.parametrize(("text", "verdict", "condition"), CHAIN)
def test_partial_and_total_derivatives(text: str, verdict: str, condition: str) -> None:
    """∂ is printed for both: the total one, of a Jacobian, is tried first."""
    found = audit(text)
    assert (found.verdict, found.cases > 0) == (verdict, True)
    assert (found.condition.name if found.condition else "") == condition
    if condition:
        assert "the other quantities in it held constant" in words(found)


def test_a_chain_rule_that_lacks_a_way_is_wrong() -> None:
    assert audit(quotient("L", "x_i") + " = " + " + ".join(THROUGH[:2])).verdict == WRONG


def test_a_formula_for_one_element_alone_is_wrong_and_says_so() -> None:
    found = audit(r"\frac{\partial\ell}{\partial x_i} = 2\frac{\partial\ell}{\partial x_i}")
    assert found.verdict == WRONG
    assert words(found).startswith("It holds where there is one element, m = 1, and not for more.")


def test_nothing_over_nothing_is_no_equality() -> None:
    """(m - 1) divides, so m = 1 is no case of it."""
    found = audit(r"\sigma^2 = \frac{1}{m - 1}\sum_i (x_i - \mu)^2")
    assert found.condition is None


def test_the_evidence_of_a_wrong_formula() -> None:
    found = audit(
        r"\frac{\partial\ell}{\partial\gamma} = \sum_i \frac{\partial\ell}{\partial y_i} x_i"
    )
    said = words(found)
    assert "At m = 2, x = (0, 1), eps = 3/4, dy = (0, 1) the right side gives 1" in said
    assert said.endswith("The derivation gives dl/dgamma = sum_i dl/dy_i x_hat_i.")


def test_the_difference_is_in_closed_form() -> None:
    found = audit("dx = gamma*inv_std/m*(m*dy - dbeta)")
    assert "off by gamma x_hat_i/(m sqrt(sigma^2_B + eps)) sum_j dl/dy_j x_hat_j." in words(found)


def test_a_root_that_a_field_lacks_refutes_nothing() -> None:
    """sqrt(var) is irrational at most points: that is no counterexample."""
    found = audit(r"\hat{x}_i \sigma/\sigma = \hat{x}_i")
    assert found.verdict in (EQUAL, "cannot be proved")


@pytest.mark.parametrize(
    ("layer", "text", "verdict"),
    [
        (
            "layer_norm",
            "dx = inv_std/m * (m*gamma*dy - np.sum(gamma*dy, axis=-1, keepdims=True)"
            " - x_hat*np.sum(gamma*dy*x_hat, axis=-1, keepdims=True))",
            IDENTITY,
        ),
        (
            "layer_norm",
            "dx = gamma*inv_std/m * (m*dy - np.sum(dy, axis=-1, keepdims=True)"
            " - x_hat*np.sum(dy*x_hat, axis=-1, keepdims=True))",
            CONDITIONAL,
        ),
        ("layer_norm", "dgamma = np.sum(dy*x_hat, axis=0)", EQUAL),
        ("softmax", r"\sum_c p_c = 1", IDENTITY),
        ("softmax", r"\frac{\partial p_i}{\partial x_j} = p_i(\delta_{ij} - p_j)", EQUAL),
        ("softmax", r"\frac{\partial p_i}{\partial x_j} = p_i(1 - p_i)", CONDITIONAL),
        ("batch_norm_inference", "dx = gamma*dy/np.sqrt(variance + eps)", EQUAL),
        ("running_statistics", r"Var[x] \leftarrow \frac{m}{m - 1}E_B[\sigma_B^2]", EQUAL),
        ("running_statistics", r"Var[x] \leftarrow E_B[\sigma_B^2]", WRONG),
    ],
)
def test_other_layers(layer: str, text: str, verdict: str) -> None:
    assert audit(text, layer).verdict == verdict


def test_a_sum_over_another_axis_is_printed() -> None:
    found = audit("dgamma = 2*np.sum(dy*x_hat, axis=0)", "layer_norm")
    assert words(found).endswith("The derivation gives dl/dgamma_i = sum_r dl/dy_ri x_hat_ri.")


def test_a_layer_of_a_users_own() -> None:
    layer = parse_layer(
        "axes: n (m), c (C)\nx[n, c]; gamma[c]; eps > 0\n"
        "power[c] = mean[n](x^2)\ny[n, c] = gamma * x / sqrt(power + eps)\n"
    )
    about = subject_of(layer)
    (asked,) = questions.questions("dgamma = np.sum(dy*x, axis=0)/np.sqrt(power + eps)", about)
    found = judge(asked, about)
    assert (found.verdict, found.cases > 0) == (EQUAL, True)


# --- What holds it together -----------------------------------------------------------------------


def test_an_oracle_without_points_confirms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula_exact, "confirm", lambda _: Confirmation())
    assert audit(closed("1", ROOT)).verdict == "cannot be proved"


def test_without_the_conditions_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula, "VALUES", ())
    assert audit(closed("1", ROOT)).verdict == WRONG


def test_names_that_cannot_be_given() -> None:
    about = subject("batch_norm")
    with pytest.raises(InputError, match="u_B cannot stand for mean, which is no quantity"):
        questions.questions("u_B = 0", about, others={"u_B": "mean"})
    with pytest.raises(SourceError, match="unknown name q"):
        questions.questions(r"q_B = \gamma", about, others={"u_B": "mu"})


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        (r"y = \gamma", "latex"),
        ("y_i = x_i", "latex"),
        ("y^2 = x", "latex"),
        ("y' = x", "latex"),
        ("$y = x$", "latex"),
        ("y = x", "python"),
        ("y[i] = x_hat[i]", "python"),
        ("dvar_ = 2 * (x - sample_mean) / N", "python"),
        ("var = mean[i](x[i]^2)", "python"),
    ],
)
def test_the_syntax_is_seen(text: str, syntax: str) -> None:
    assert questions.syntax_of(text) == syntax


def test_verdicts_as_data() -> None:
    about = subject("batch_norm")
    texts = [closed("1", ROOT), r"\sum_i (x_i - \mu) = 0"]
    asked = [(text, questions.questions(text, about)[0]) for text in texts]
    answers: list[Answer] = [(text, each, judge(each, about)) for text, each in asked]
    data = json_object("batch_norm", answers, notation("paper"))
    wrong, right = data["formulas"]
    assert (wrong["verdict"], wrong["condition"]) == (CONDITIONAL, "gamma = 1")
    assert wrong["counterexample"]["left"] != wrong["counterexample"]["right"]
    assert wrong["right"]["ascii"].startswith("dl/dx_i = ")
    assert right["identities"][0]["latex"] == r"\sum_{i=1}^{m} \hat{x}_i = 0"
    assert right["read_as"] == "sum[i](x[i] - mu) = 0"
