r"""Definitions and formulas as text, parsed by an own grammar and never evaluated.

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
A formula is one equation about a layer, in LaTeX as it is printed
(:mod:`derive.grammar.latex_parser`) or in Python's syntax (:mod:`derive.grammar.python_syntax`)::

    \frac{\partial\ell}{\partial\beta} = \sum_{i=1}^m \frac{\partial\ell}{\partial y_i}
    dl/dbeta = sum[i](dl/dy[i])
    dx_hat[i]/dx[j] = (m*delta[i, j] - 1 - x_hat[i]*x_hat[j]) / (m*sqrt(var + eps))
    dbeta = np.sum(dy, axis=0)

Each parser ends in an :class:`~derive.grammar.equation.Equation`, whose letters
:func:`~derive.grammar.indices.indices_of` makes indices of axes and whose names
:func:`~derive.grammar.formulas.formula_of` makes quantities.  ``dl/dx[i]`` is the derivative of the
loss, ``dx_hat[i]/dx[j]`` that of another quantity, and ``delta[i, j]`` is Kronecker's δ.
"""

from derive.grammar.layer_file import load, parse_layer
from derive.grammar.text import to_text

__all__ = ["load", "parse_layer", "to_text"]
