"""What ``audit kernel`` has to say about each backward pass of the corpus.

The mistake is (kind, line): one that the derivation has several names for may be told by any, and
``expected`` is the one that was made.
"""

from __future__ import annotations

from dataclasses import dataclass

LAYERS = {"layer": "layer_norm", "rms": "rms_norm"}


@dataclass(frozen=True)
class Expected:
    """A kernel of the corpus; ``wrong`` maps the gradients that are to the mistake and its line."""

    file: str
    name: str
    wrong: tuple[tuple[str, tuple[str, str]], ...] = ()

    @property
    def layer(self) -> str:
        """The layer that it is the backward pass of."""
        return next((v for k, v in LAYERS.items() if self.name.startswith(k)), "batch_norm")

    @property
    def needs_torch(self) -> bool:
        return self.file == "with_torch"


def _wrong(file: str, name: str, kind: str, line: str, *gradients: str) -> Expected:
    return Expected(file, name, tuple((gradient, (kind, line)) for gradient in gradients))


RIGHT: tuple[Expected, ...] = tuple(
    Expected(file, name)
    for file, names in {
        "one_line": "batchnorm_backward_alt batchnorm_backward_means batchnorm_backward_matrix "
        "batchnorm_backward_dict batchnorm_backward_reordered batchnorm_backward_inplace "
        "batchnorm_backward_columns batchnorm_backward_centred",
        "staged": "bn_backward bn_backward_short graph_backward bn_backward_saved "
        "bn_backward_moments bn_backward_x bn_backward_std",
        "images": "caffe_backward spatial_backward spatial_backward_planes darknet_backward "
        "mxnet_backward",
        "classes": "BatchNormalization BatchNorm1d BatchNormLayer",
        "rows": "layernorm_backward layernorm_backward_loops layernorm_backward_staged "
        "layernorm_backward_transposed "
        "rmsnorm_backward rmsnorm_backward_unrolled",
        "with_torch": "by_autograd BatchNormFunction Norm layer_norm rms_norm",
    }.items()
    for name in names.split()
)

_ONE, _CLOSED = "one_line", "batchnorm_backward"
WRONG: tuple[Expected, ...] = (
    _wrong(_ONE, f"{_CLOSED}_no_xhat", "factor missing", "dx", "dx"),
    _wrong(_ONE, f"{_CLOSED}_no_mean_term", "mu held constant", "dx", "dx"),
    _wrong(_ONE, f"{_CLOSED}_frozen", "mu, var held constant", "dx", "dx"),
    _wrong(_ONE, f"{_CLOSED}_sign", "sign flipped", "dx", "dx"),
    _wrong(_ONE, f"{_CLOSED}_no_gamma", "gamma missing", "dx", "dx"),
    _wrong(_ONE, f"{_CLOSED}_variance", "variance for deviation", "dx", "dx"),
    _wrong(_ONE, f"{_CLOSED}_no_eps", "eps missing", "dx", "dx"),
    _wrong(_ONE, f"{_CLOSED}_m_minus_1", "m-1 for m", "dx", "dx"),
    _wrong(_ONE, f"{_CLOSED}_axis", "wrong axis", "dx", "dx"),
    Expected(
        _ONE,
        f"{_CLOSED}_averaged",
        (("dgamma", ("1/m too many", "dgamma")), ("dbeta", ("1/m too many", "dbeta"))),
    ),
    _wrong(_ONE, f"{_CLOSED}_swapped", "exchanged", "dgamma", "dgamma", "dbeta"),
    _wrong(_ONE, f"{_CLOSED}_float32", "float32 sums", "", "dx", "dgamma", "dbeta"),
    _wrong("staged", "graph_backward_sqrt", "wrong power", "dvar", "dx"),
    _wrong("staged", "graph_backward_no_half", "doubled", "dvar", "dx"),
    _wrong("staged", "bn_backward_no_count", "1/m missing", "dx", "dx"),
    _wrong(
        "staged",
        "bn_backward_saved_twice",
        "inverse deviation for variance",
        "inv_std",
        "dx",
        "dgamma",
    ),
    _wrong("staged", "bn_backward_outside", "eps outside the root", "inv_std", "dx", "dgamma"),
    _wrong("staged", "bn_backward_unbiased", "m-1 for m", "var", "dx", "dgamma"),
    _wrong("staged", "bn_backward_x_sign", "sign flipped", "dx", "dx"),
    _wrong("staged", "bn_backward_output", "another quantity", "dgamma", "dgamma"),
    _wrong("staged", "bn_backward_larger", "larger for sum", "inv_std", "dx", "dgamma"),
    _wrong("staged", "bn_backward_mean_loss", "cotangent", "dy", "dx", "dgamma", "dbeta"),
    _wrong(
        "staged",
        "bn_backward_of_unbiased",
        "another definition: m-1 for m",
        "var",
        "dx",
        "dgamma",
    ),
    _wrong("staged", "bn_backward_two", "m-1 for m and gamma missing", "dx", "dx"),
    _wrong("images", "spatial_backward_batch_count", "wrong count", "dx", "dx"),
    _wrong("images", "spatial_backward_one_axis", "averaged", "dbeta", "dbeta"),
    _wrong("images", "darknet_backward_minus_1", "m-1 for m", "dx", "dx"),
    _wrong("images", "mxnet_backward_gmean", "gamma missing", "dmu", "dx"),
    _wrong("classes", "BatchNormalizationNoMean", "mu held constant", "dx", "dx"),
    _wrong("classes", "BatchNorm1dDoubled", "doubled", "dbeta", "dbeta"),
    _wrong("rows", "layernorm_backward_gamma_outside", "gamma outside the sum", "dx", "dx"),
    _wrong("rows", "layernorm_backward_no_mean", "mu held constant", "dx", "dx"),
    _wrong("rows", "layernorm_backward_batch_axis", "wrong axis", "dx", "dx"),
    _wrong("rows", "rmsnorm_backward_square", "another quantity", "dx", "dx"),
    _wrong("rows", "rmsnorm_backward_frozen", "mean_square held constant", "dx", "dx"),
    _wrong("with_torch", "by_autograd_detached", "var held constant", "dx", "dx"),
    _wrong("with_torch", "BatchNormFunctionUnbiased", "m-1 for m", "var", "dx", "dgamma"),
)

CORPUS = RIGHT + WRONG
