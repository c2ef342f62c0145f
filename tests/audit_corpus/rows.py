"""Layer Norm and RMS Norm: every row over its own features."""

import numpy as np


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mean = x.mean(axis=-1, keepdims=True)
    rstd = 1.0 / np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    norm = (x - mean) * rstd
    return gamma * norm + beta, (norm, rstd, gamma)


def layernorm_backward(dout, cache):
    norm, rstd, gamma = cache
    lead = tuple(range(dout.ndim - 1))
    dnorm = dout * gamma
    dx = dnorm - dnorm.mean(-1, keepdims=True) - norm * (dnorm * norm).mean(-1, keepdims=True)
    return dx * rstd, (dout * norm).sum(lead), dout.sum(lead)


def layernorm_backward_gamma_outside(dout, cache):
    """gamma in front, as if it were constant along the row: right for Batch Norm only."""
    norm, rstd, gamma = cache
    lead = tuple(range(dout.ndim - 1))
    dx = dout - dout.mean(-1, keepdims=True) - norm * (dout * norm).mean(-1, keepdims=True)
    return gamma * dx * rstd, (dout * norm).sum(lead), dout.sum(lead)


def layernorm_backward_no_mean(dout, cache):
    norm, rstd, gamma = cache
    lead = tuple(range(dout.ndim - 1))
    dnorm = dout * gamma
    dx = dnorm - norm * (dnorm * norm).mean(-1, keepdims=True)
    return dx * rstd, (dout * norm).sum(lead), dout.sum(lead)


def layernorm_backward_batch_axis(dout, cache):
    """The mean of dnorm taken over the batch."""
    norm, rstd, gamma = cache
    lead = tuple(range(dout.ndim - 1))
    dnorm = dout * gamma
    total = dnorm.sum(lead) / dout.shape[-1]
    dx = dnorm - total - norm * (dnorm * norm).mean(-1, keepdims=True)
    return dx * rstd, (dout * norm).sum(lead), dout.sum(lead)


def layernorm_backward_loops(dout, x, weight, mean, rstd):
    """In C style, one row after the other."""
    width = x.shape[-1]
    rows, grads = x.reshape(-1, width), dout.reshape(-1, width)
    dinp, dweight, dbias = np.zeros_like(rows), np.zeros(width), np.zeros(width)
    for t, (row, g) in enumerate(zip(rows, grads)):
        norm = (row - mean.reshape(-1)[t]) * rstd.reshape(-1)[t]
        dnorm_mean = sum(weight * g) / width
        dnorm_norm_mean = sum(weight * g * norm) / width
        dbias += g
        dweight += norm * g
        dinp[t] = (weight * g - dnorm_mean - norm * dnorm_norm_mean) * rstd.reshape(-1)[t]
    return dinp.reshape(x.shape), dweight, dbias


def rmsnorm_backward(dy, x, weight, eps):
    rrms = 1.0 / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    h = dy * weight
    dx = rrms * (h - x * rrms**2 * (h * x).mean(-1, keepdims=True))
    return dx, (dy * x * rrms).reshape(-1, x.shape[-1]).sum(0)


def rmsnorm_backward_square(dy, x, weight, eps):
    """rrms once too few in the second term."""
    rrms = 1.0 / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    h = dy * weight
    dx = rrms * (h - x * rrms * (h * x).mean(-1, keepdims=True))
    return dx, (dy * x * rrms).reshape(-1, x.shape[-1]).sum(0)


def rmsnorm_backward_frozen(dy, x, weight, eps):
    rrms = 1.0 / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    return dy * weight * rrms, (dy * x * rrms).reshape(-1, x.shape[-1]).sum(0)


def layernorm_backward_staged(dout, x, gamma, eps):
    D = x.shape[-1]
    lead = tuple(range(x.ndim - 1))
    mu = x.mean(-1, keepdims=True)
    ivar = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    dxhat = dout * gamma
    dvar = (dxhat * (x - mu)).sum(-1, keepdims=True) * -0.5 * ivar**3
    dmu = -dxhat.sum(-1, keepdims=True) * ivar - 2 * dvar * (x - mu).mean(-1, keepdims=True)
    dx = dxhat * ivar + 2 * dvar * (x - mu) / D + dmu / D
    return dx, (dout * (x - mu) * ivar).sum(lead), dout.sum(lead)


def rmsnorm_backward_unrolled(grad_output, x, weight, rstd):
    n = x.shape[-1]
    m = grad_output * weight
    dot = (m * x).sum(-1, keepdims=True)
    dx = rstd * m - (1 / n) * rstd**3 * dot * x
    return dx, (grad_output * x * rstd).reshape(-1, n).sum(0)


def layernorm_backward_transposed(dout, x, gamma, eps):
    """Batch Norm's formula on the transposed matrix."""
    lead, width = tuple(range(x.ndim - 1)), x.shape[-1]
    g, data = (dout * gamma).reshape(-1, width).T, x.reshape(-1, width).T
    xhat = (data - data.mean(0)) / np.sqrt(data.var(0) + eps)
    dx = (g - g.mean(0) - xhat * (g * xhat).mean(0)) / np.sqrt(data.var(0) + eps)
    xhat = xhat.T.reshape(x.shape)
    return dx.T.reshape(x.shape), (dout * xhat).sum(lead), dout.sum(lead)
