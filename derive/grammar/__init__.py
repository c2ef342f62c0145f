"""Definitions and formulas as text, parsed by an own grammar and never evaluated.

Layer files
===========
::

    # Whatever follows a # is a comment.
    layer batch_norm: Batch Normalisation       # if left out, the file's name is the layer's
    source: Ioffe & Szegedy 2015, Algorithm 1   # may be left out
    axes: n (m), c (C)                          # without sizes they are called N and C
    x[n, c]; gamma[c]; beta[c]; eps > 0
    mu[c]      = mean[n](x)                     : mini-batch mean
    var[c]     = mean[n]((x - mu)^2)            : a note may follow each definition
    x_hat[n,c] = (x - mu) / sqrt(var + eps)
    y[n,c]     = gamma * x_hat + beta

A statement ends with its line or with a semicolon; text after a colon, which is a title, a source
or a note, goes on to the end of the line.

* **Declarations.** ``x[n, c]`` is an input over two axes, ``scale`` one without axes.  The first is
  the data, the others are learnt.  ``x[n, c] > 0`` is a positive input.  ``eps > 0`` and ``eps >=
  0``, without brackets, are parameters: constants that get no gradient; ``constant shift`` is one
  of any sign, ``constant mean[c]`` one over an axis.
* **Definitions** stand in order, each after all that it uses; the last is the output.  The
  left-hand side has just the axes that the right-hand side varies over.  Whether a quantity is
  positive is found from its definition.
* ``stages: z, y`` at any place names definitions whose adjoints keep their names in closed forms.
* **Names** are ASCII: a letter, then letters, digits and _.  Inside formulas axes are left out, as
  ``x[n, c]`` can vary over n and c only.
* **Operations**: ``+ - * /``, rational powers ``^`` or ``**`` up to 64, which bind as in Python
  (``-x^2`` is −(x²), ``a/b*c`` is (a/b)c); ``sum[n](...)``, ``mean[n, h](...)``; ``sqrt exp log
  tanh sigmoid erf abs max relu``, ``g`` for any function, and the slopes ``gauss sign step``
  (:mod:`derive.functions` says what they are at a kink).  A product needs its ``*``.
* **Numbers** are integers and decimals, read as exact fractions: 0.1 is 1/10.  The size of an axis
  is a number too: ``sum[n](x)/(m - 1)``.

Formulas
========
:func:`parse_formula` reads one equation, on one line, with explicit indices::

    dl/dx[i] = gamma/(m*sqrt(var + eps)) * (m*dl/dy[i] - sum[j](dl/dy[j])
                                                  - x_hat[i]*sum[j](dl/dy[j]*x_hat[j]))
    dx_hat[i]/dx[j] = (m*delta[i, j] - 1 - x_hat[i]*x_hat[j]) / (m*sqrt(var + eps))
    dvar/dx[i] = 2/m * sum[t]((x[t] - mu) * (dx[t]/dx[i] - dmu/dx[i]))

The syntax of expressions is that of layer files, and:

* ``x[i]`` is x at the index i.  The caller says which axis each letter runs along; an axis without
  a letter keeps its own index, so that formulas about one channel need not speak of channels.
* ``dl/dx[i]`` is the derivative of the loss, ``dx_hat[i]/dx[j]`` that of another quantity.  ``d``
  may stand apart: ``d mu/d x[i]``.  The two names with their slash are one term, whatever is beside
  them: ``a*dl/dx[i]`` is a·(∂ℓ/∂xᵢ).
* ``delta[i, j]`` is Kronecker's δ.
* A sum over an index that its summand does not have is refused, and so is an index on the right
  that is neither summed over nor on the left.
"""

from derive.grammar.formulas import Formula, parse_formula
from derive.grammar.layer_file import load, parse_layer
from derive.grammar.text import to_text

__all__ = ["Formula", "load", "parse_formula", "parse_layer", "to_text"]
