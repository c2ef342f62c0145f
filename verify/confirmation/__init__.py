"""Our gradients held against differentiators that have nothing in common with ours.

* ``problem``: a layer with numbers for everything, and cotangents of the first and second order;
* ``ours``: the closed forms in extended precision, and the generated kernels in float64;
* ``automatic``: PyTorch's and JAX's own differentiation in float64, where they are installed;
* ``differences``: finite differences of the references in extended precision;
* ``page``: who was asked what, how often, and whether they agreed.

``python -m verify.confirmation`` asks everybody and writes docs/confirmation.md.
"""
