"""The closed form in a few lines, as in lecture notes and blog posts."""

import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    std = np.sqrt(var + eps)
    x_norm = (x - mean) / std
    out = gamma * x_norm + beta
    cache = (x, x_norm, mean, var, std, gamma, eps)
    return out, cache


def batchnorm_backward_alt(dout, cache):
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_norm).sum(axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta - x_norm * dgamma)
    return dx, dgamma, dbeta


def batchnorm_backward_means(dout, cache):
    _, x_norm, _, _, std, gamma, _ = cache
    dx_norm = dout * gamma
    dx = dx_norm - dx_norm.mean(axis=0) - x_norm * (dx_norm * x_norm).mean(axis=0)
    return dx / std, np.sum(dout * x_norm, axis=0), np.sum(dout, axis=0)


def batchnorm_backward_matrix(dout, cache):
    """The dense Jacobian, a channel at a time."""
    _, x_norm, _, _, std, gamma, _ = cache
    N, D = dout.shape
    dx = np.empty_like(dout)
    for d in range(D):
        s = x_norm[:, d]
        J = (np.eye(N) - 1.0 / N - np.outer(s, s) / N) / std[d]
        dx[:, d] = gamma[d] * J @ dout[:, d]
    return dx, np.einsum("nd,nd->d", dout, x_norm), dout.sum(0)


def batchnorm_backward_no_xhat(dout, cache):
    """x_norm times the sum of dout, in the place of that of dout x_norm."""
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_norm).sum(axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta - x_norm * dbeta)
    return dx, dgamma, dbeta


def batchnorm_backward_no_mean_term(dout, cache):
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dgamma = (dout * x_norm).sum(axis=0)
    dx = gamma / (N * std) * (N * dout - x_norm * dgamma)
    return dx, dgamma, dout.sum(axis=0)


def batchnorm_backward_frozen(dout, cache):
    """As if the statistics were constants."""
    x, x_norm, mean, var, std, gamma, eps = cache
    return dout * gamma / std, (dout * x_norm).sum(axis=0), dout.sum(axis=0)


def batchnorm_backward_sign(dout, cache):
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_norm).sum(axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta + x_norm * dgamma)
    return dx, dgamma, dbeta


def batchnorm_backward_no_gamma(dout, cache):
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_norm).sum(axis=0)
    dx = 1.0 / (N * std) * (N * dout - dbeta - x_norm * dgamma)
    return dx, dgamma, dbeta


def batchnorm_backward_variance(dout, cache):
    """Divided by the variance in the place of the deviation."""
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_norm).sum(axis=0)
    dx = gamma / (N * (var + eps)) * (N * dout - dbeta - x_norm * dgamma)
    return dx, dgamma, dbeta


def batchnorm_backward_no_eps(dout, cache):
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_norm).sum(axis=0)
    dx = gamma / (N * np.sqrt(var)) * (N * dout - dbeta - x_norm * dgamma)
    return dx, dgamma, dbeta


def batchnorm_backward_m_minus_1(dout, cache):
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_norm).sum(axis=0)
    dx = gamma / ((N - 1) * std) * (N * dout - dbeta - x_norm * dgamma)
    return dx, dgamma, dbeta


def batchnorm_backward_axis(dout, cache):
    """The mean of dout over the channels."""
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dgamma = (dout * x_norm).sum(axis=0)
    total = dout.sum(axis=1, keepdims=True)
    dx = gamma / (N * std) * (N * dout - total - x_norm * dgamma)
    return dx, dgamma, dout.sum(axis=0)


def batchnorm_backward_averaged(dout, cache):
    """Parameter gradients averaged over the batch; dx is not."""
    dx, dgamma, dbeta = batchnorm_backward_alt(dout, cache)
    return dx, dgamma / len(dout), dbeta / len(dout)


def batchnorm_backward_swapped(dout, cache):
    dx, dgamma, dbeta = batchnorm_backward_alt(dout, cache)
    return dx, dbeta, dgamma


def batchnorm_backward_float32(dout, cache):
    x, x_norm, mean, var, std, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0, dtype=np.float32)
    dgamma = (dout * x_norm).sum(axis=0, dtype=np.float32)
    dx = gamma / (N * std) * (N * dout - dbeta - x_norm * dgamma)
    return dx, dgamma.astype(np.float64), dbeta.astype(np.float64)


def batchnorm_backward_dict(dout, cache):
    dx, dgamma, dbeta = batchnorm_backward_alt(dout, cache)
    return {"dbeta": dbeta, "dgamma": dgamma, "dx": dx}


def batchnorm_backward_reordered(dout, cache):
    dx, dgamma, dbeta = batchnorm_backward_alt(dout, cache)
    return dgamma, dbeta, dx


def batchnorm_backward_inplace(dout, cache):
    """Writes to dout, and is right all the same."""
    x, x_norm, mean, var, std, gamma, eps = cache
    dbeta, dgamma = dout.sum(axis=0), (dout * x_norm).sum(axis=0)
    dout *= gamma
    dout -= dout.mean(axis=0)
    dout -= x_norm * (dout * x_norm).mean(axis=0)
    dout /= std
    return dout, dgamma, dbeta


def batchnorm_backward_columns(dout, cache):
    """Plain loops."""
    x, x_norm, mean, var, std, gamma, eps = cache
    N, D = dout.shape
    dx = np.zeros((N, D))
    for j in range(D):
        a = b = 0.0
        for i in range(N):
            a += dout[i, j]
            b += dout[i, j] * x_norm[i, j]
        for i in range(N):
            dx[i, j] = gamma[j] / std[j] * (dout[i, j] - a / N - x_norm[i, j] * b / N)
    return dx


def batchnorm_backward_centred(dout, cache):
    """With dout less its mean in the second sum, which changes nothing."""
    x, x_norm, mean, var, std, gamma, eps = cache
    g = dout - dout.mean(axis=0)
    dx = gamma / std * (g - x_norm * (g * x_norm).mean(axis=0))
    return dx, (dout * x_norm).sum(axis=0), dout.sum(axis=0)
