"""Batch Normalisation in test mode: training's definition with its statistics frozen.

Ioffe & Szegedy 2015, Algorithm 2: E[x] and Var[x] were estimated in training (as population
statistics or as running averages) and are constants.  No gradient flows through them.
"""

from dataclasses import replace

from derive.expr import Definition, Var, substitute
from derive.layers.batch_norm import BATCH_NORM, c, mu, var

mean, variance = Var("mean", c), Var("variance", c, nonnegative=True)

FROZEN = {mu.label: Definition(mu, mean), var.label: Definition(var, variance)}

BATCH_NORM_INFERENCE = replace(
    BATCH_NORM,
    name="batch_norm_inference",
    title="Batch Normalisation in test mode",
    source="Ioffe & Szegedy 2015, Algorithm 2",
    parameters=(*BATCH_NORM.parameters, mean, variance),
    definitions=tuple(
        replace(definition, expr=substitute(definition.expr, FROZEN))
        for definition in BATCH_NORM
        if definition.var.label not in FROZEN
    ),
)
