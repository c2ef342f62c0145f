"""Damages to pieces of text that few modules have: the name, the text, and what takes its place.

:data:`PART_REWRITES` are of how the data are read, in parts and blocks, and of how a module finds
out whether float32 will do; :data:`LINE_REWRITES` of both for rows; :data:`ROW_REWRITES` and
:data:`SAMPLE_REWRITES` of how rows, and those of samples, are, and :data:`ORIGIN_REWRITES` of what
rows are read from; :data:`BLOCK_REWRITES` of the module of the block.
"""

from __future__ import annotations

PART_REWRITES: tuple[tuple[str, str, str], ...] = (
    # which type
    (
        "always in float32",
        "        return bool(\n            fits.all()\n",
        "        return True or bool(\n            fits.all()\n",
    ),
    ("never again in float64", "if work.again:", "if False:"),
    ("overflow not looked for", "            fits.all()\n", "            True\n"),
    ("what is left not looked at", "(_LEFT * part >= terms) & ", ""),
    ("sums not looked at", "_LEFT * self.part.most(k, part) >= terms.max()", "True"),
    ("not finite", " & (part < np.inf)", ""),
    ("any type narrowed", "np.can_cast(array.dtype, _NARROW) for", "True for"),
    # parts, blocks, rows
    ("one part", "for k in range(parts):", "for k in range(1):"),
    ("channels left out", "(layout, start, stop,", "(layout, start, max(stop - 1, 1),"),
    ("last rows left out", "range(0, rows, _ROWS)", "range(0, rows - rows % _ROWS, _ROWS)"),
    ("half of the products left out", "            sums += np.einsum", "            _ = np.einsum"),
    ("scratch used twice", "self.taken += 1", "pass"),
    (
        "rows left out",
        "stop = min(start + step, shape[cut])",
        "stop = min(start + step, shape[cut] - 1)",
    ),
    ("rows twice", "            start = stop\n", "            start = max(start + 1, stop - 1)\n"),
    ("positions added up as channels", "axis=(0, 2))", "axis=(0, 1))"),
    ("positions not repeated", "values.reshape(1, -1, 1)", "values.reshape(-1)[:1]"),
    ("written to a copy", "== self.work.dtype and array.flags.c_contiguous", "== self.work.dtype"),
    ("type of what is read", "array.dtype == self.work.dtype and array.flags", "array.flags"),
    ("left in scratch", "if self._lies_in(array):\n            return\n", "return\n"),
    # few elements
    ("pieces of scratch overlap", "self.taken = stop + -stop % 8", "self.taken = start + 1"),
    ("few elements never centred", "if self.small(sums, squares", "if True or self.small(sums"),
    ("positions left out of sums", ".dot(_ones(places))", "[:, 0]"),
)


LINE_REWRITES: tuple[tuple[str, str, str], ...] = (
    ("always in float32", "return _every(fits) and all(", "return True or all("),
    ("last rows left out", "    if whole < lines:\n", "    if False:\n"),
    ("piece of a line left out", "range(0, at.length, _PIECE)", "range(_PIECE, at.length, _PIECE)"),
    (
        "written to a copy",
        "own.dtype == _NARROW and own.flags.c_contiguous",
        "own.dtype == _NARROW",
    ),
    ("left in scratch", "        if _lies_narrow(own):\n            return\n", "        return\n"),
    (
        "statistics as they are",
        "(layout, cache.x):\n        return cache\n",
        "(layout, cache.x) or 1:\n        return cache\n",
    ),
    ("replaced before it is read", " or np.may_share_memory(dx, dy)", ""),
)

ROW_REWRITES: tuple[tuple[str, str, str], ...] = (
    ("last axis reduced", "block, axis=self.reduced", "block, axis=-1"),
    ("first axis of the rows", "block, axis=others", "block, axis=0"),
    ("last row left out", "lengths[cut], length)", "lengths[cut] - 1, length)"),
    ("first block left out", "range(0, lengths[cut],", "range(length, lengths[cut],"),
    ("blocks overlap", "slice(start, start + length)", "slice(start, start + length + 1)"),
    ("one outer block", "in np.ndindex(*lengths[:cut])", "in [(0,) * cut]"),
    ("what is left of rows not looked at", "_every(_LEFT * part >= terms)", "True"),
    ("rows never in pieces", "    if layout.m > _ROW:\n", "    if False:\n"),
    ("rows never in pieces", "    if layout.m > _BLOCK:\n", "    if False:\n"),
    ("gradients not zero at first", "np.zeros(self.of(part)", "np.empty(self.of(part)"),
    ("parameter not copied", "wide_gamma.astype(_WIDE)", "wide_gamma.astype(_WIDE, copy=False)"),
    ("all of an array", "cut if n > 1 else slice(None)", "slice(None)"),
    ("one value cut", "cut if n > 1 else slice(None)", "cut"),
    ("order of axes", "sorted(k % x.ndim for k in indices)", "[k % x.ndim for k in indices]"),
    ("axes not kept", "layout.reduced)\n", "(-1,))\n"),
    ("row 0 of the jacobian", "np.unravel_index(row % rows,", "np.unravel_index(0,"),
    ("default axes", "axes: Sequence[int] = (-1,)", "axes: Sequence[int] = (0,)"),
)

SAMPLE_REWRITES: tuple[tuple[str, str, str], ...] = (
    ("axis not kept", "layout.kept[1]", "1"),
    ("groups not kept", "        layout.rows[1],\n", "        1,\n"),
    ("axis of the samples", "if not index % x.ndim:", "if False:"),
    ("another number of groups", "channels % count", "channels < count"),
    ("groups interleaved", "count, channels // count", "channels // count, count"),
    ("all of a parameter", "c if k in layout.learnt", "c if not k"),
)

ORIGIN_REWRITES: tuple[tuple[str, str, str], ...] = (
    ("the smallest for the largest", "np.argmax(x[piece]", "np.argmin(x[piece]"),
    ("the last piece decides", "        if not start:", "        if True:"),
    ("the first piece decides", "found > largest", "found > np.inf"),
    ("the largest forgotten", "np.maximum(found, largest)", "largest"),
    ("a place in its piece", "here + start * _BLOCK", "here"),
    ("exp of the other sign", "np.exp(x_shifted", "np.exp(-x_shifted"),
    ("exp less 1", "np.exp(x_shifted", "np.expm1(x_shifted"),
    ("another ufunc", "np.subtract(", "np.add("),
    ("another ufunc", "np.multiply(", "np.divide("),
    ("scratch used twice", "scratch.like(2,", "scratch.like(0,"),
    ("scratch used twice", "scratch.read(1,", "scratch.read(0,"),
    ("default axis", "axis: int = -1,", "axis: int = 0,"),
    ("axis not kept", "layout.reduced[0])\n", "-1)\n"),
    ("negative axis", "k != index % x.ndim", "k != index"),
    ("gradient in a tuple", "    return dx\n", "    return (dx,)\n"),
)


BLOCK_REWRITES: tuple[tuple[str, str, str], ...] = (
    ("relu of the other side", "np.maximum(a, 0)", "np.minimum(a, 0)"),
    ("slope of the other side", "np.where(a > 0, 1, 0)", "np.where(a > 0, 0, 1)"),
    ("slope of another", "(_tanh, _tanh_slope)", "(_tanh, _sigmoid_slope)"),
    ("bias None means 1", '"b", b, len(W), 0', '"b", b, len(W), 1'),
    ("gamma None means 0", '"gamma", gamma, len(W), 1', '"gamma", gamma, len(W), 0'),
    ("beta None means 1", '"beta", beta, len(W), 0', '"beta", beta, len(W), 1'),
    ("default activation", '= "relu",', '= "tanh",'),
    ("default placement", 'placement: str = "before"', 'placement: str = "behind"'),
    ("placements confused", 'placement == "before"', 'placement != "before"'),
    ("a function may write", "given.flags.writeable = False", "pass"),
    ("not widened", "np.ascontiguousarray(array, _WIDE)", "np.ascontiguousarray(array)"),
    ("float64 result", "A_out = A_out.astype(A.dtype)", "pass"),
    ("float64 result", "column.reshape(-1).astype(dtype)", "column.reshape(-1)"),
    ("a column", "column.reshape(-1).astype(dtype)", "column.astype(dtype)"),
    ("bias with a gradient", "np.zeros_like(gamma)", "_total(dZ_tilde)"),
    ("gradients swapped", "db, dgamma, dbeta)", "db, dbeta, dgamma)"),
)

OTHER_REWRITES = (
    *(*PART_REWRITES, *LINE_REWRITES, *ROW_REWRITES, *SAMPLE_REWRITES),
    *(*ORIGIN_REWRITES, *BLOCK_REWRITES),
)
