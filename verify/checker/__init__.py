"""The checker of certificates: Python's own library and nothing else, derive/ and SymPy included.

Read it in this order: ``formulas`` (what a certificate writes), ``terms`` and ``sums`` (when two
formulas are equal for every size), ``replay`` (what a certificate claims, and why it follows).
``python -m verify.checker proof.json`` runs where nothing is installed.
"""
