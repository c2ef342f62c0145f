"""The adjoints of the 2015 paper one by one, and the computational graph of a course."""

import numpy as np


def bn_backward(dout, x, gamma, mean, var, eps):
    """The paper's, with the term that vanishes."""
    N = x.shape[0]
    std_inv = 1.0 / np.sqrt(var + eps)
    x_mu = x - mean
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * x_mu, axis=0) * -0.5 * std_inv**3
    dmu = np.sum(dx_hat * -std_inv, axis=0) + dvar * np.mean(-2.0 * x_mu, axis=0)
    dx = dx_hat * std_inv + dvar * 2 * x_mu / N + dmu / N
    return dx, np.sum(dout * x_mu * std_inv, axis=0), np.sum(dout, axis=0)


def bn_backward_short(dout, x, gamma, mean, var, eps):
    """The same without it."""
    N = x.shape[0]
    std_inv = (var + eps) ** -0.5
    x_mu = x - mean
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * x_mu, axis=0) * -0.5 * std_inv**3
    dmu = -np.sum(dx_hat, axis=0) * std_inv
    return dx_hat * std_inv + dvar * 2 * x_mu / N + dmu / N


def graph_forward(x, gamma, beta, eps=1e-5):
    N, D = x.shape
    mu = 1.0 / N * np.sum(x, axis=0)
    xmu = x - mu
    sq = xmu**2
    var = 1.0 / N * np.sum(sq, axis=0)
    sqrtvar = np.sqrt(var + eps)
    ivar = 1.0 / sqrtvar
    xhat = xmu * ivar
    out = gamma * xhat + beta
    return out, (xhat, gamma, xmu, ivar, sqrtvar, var, eps)


def graph_backward(dout, cache):
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / sqrtvar**2 * divar
    dvar = 0.5 / np.sqrt(var + eps) * dsqrtvar
    dsq = 1.0 / N * np.ones((N, D)) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1.0 / N * np.ones((N, D)) * dmu
    return dx1 + dx2, dgamma, dbeta


def graph_backward_sqrt(dout, cache):
    """The square forgotten in the derivative of 1/sqrtvar."""
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dsqrtvar = -1.0 / sqrtvar * divar
    dvar = 0.5 / np.sqrt(var + eps) * dsqrtvar
    dx1 = dxhat * ivar + 2 * xmu * dvar / N
    dmu = -1 * np.sum(dx1, axis=0)
    return dx1 + dmu / N, np.sum(dout * xhat, axis=0), np.sum(dout, axis=0)


def graph_backward_no_half(dout, cache):
    """The 1/2 of the square root forgotten, the 2 of the square not."""
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dvar = -1.0 / sqrtvar**3 * divar
    dx1 = dxhat * ivar + 2 * xmu * dvar / N
    dmu = -1 * np.sum(dx1, axis=0)
    return dx1 + dmu / N, np.sum(dout * xhat, axis=0), np.sum(dout, axis=0)


def bn_backward_no_count(dout, x, gamma, mean, var, eps):
    """1/N forgotten behind dvar."""
    N = x.shape[0]
    std_inv = 1.0 / np.sqrt(var + eps)
    x_mu = x - mean
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * x_mu, axis=0) * -0.5 * std_inv**3
    dmu = np.sum(dx_hat * -std_inv, axis=0)
    return dx_hat * std_inv + dvar * 2 * x_mu + dmu / N


def bn_backward_saved(grad_output, input, weight, save_mean, save_invstd):
    """Saved statistics, as frameworks keep them."""
    x_hat = (input - save_mean) * save_invstd
    grad_bias = grad_output.sum(0)
    grad_weight = (grad_output * x_hat).sum(0)
    m = grad_output.shape[0]
    grad_input = (grad_output - (grad_bias + x_hat * grad_weight) / m) * weight * save_invstd
    return grad_input, grad_weight, grad_bias


def bn_backward_saved_twice(grad_output, input, weight, save_mean, save_invstd, eps):
    """An rsqrt applied to what is an inverse deviation already."""
    invstd = 1.0 / np.sqrt(save_invstd + eps)
    x_hat = (input - save_mean) * invstd
    grad_bias = grad_output.sum(0)
    grad_weight = (grad_output * x_hat).sum(0)
    m = grad_output.shape[0]
    grad_input = (grad_output - (grad_bias + x_hat * grad_weight) / m) * weight * invstd
    return grad_input, grad_weight, grad_bias


def bn_backward_outside(dout, x, gamma, mean, var, eps):
    """Epsilon added to the deviation."""
    m = len(x)
    std = np.sqrt(var) + eps
    x_hat = (x - mean) / std
    dgamma = (dout * x_hat).sum(0)
    dx = gamma / std * (dout - dout.mean(0) - x_hat * dgamma / m)
    return dx, dgamma, dout.sum(0)


def bn_backward_unbiased(dout, x, gamma, eps):
    """The variance with m - 1, and gradients as if with m."""
    m = len(x)
    x_hat = (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + eps)
    dgamma = (dout * x_hat).sum(0)
    std = np.sqrt(x.var(0, ddof=1) + eps)
    dx = gamma / (m * std) * (m * dout - dout.sum(0) - x_hat * dgamma)
    return dx, dgamma, dout.sum(0)


def bn_backward_moments(dy, x, gamma, eps):
    """The variance as the mean of squares less the square of the mean."""
    n = x.shape[0]
    mu = x.sum(0) / n
    r = 1 / np.sqrt((x * x).sum(0) / n - mu * mu + eps)
    s1, s2 = dy.sum(0), (dy * (x - mu)).sum(0)
    return gamma * r * (dy - s1 / n - (x - mu) * r * r * s2 / n), s2 * r, s1


def bn_backward_x(dy, x, gamma, mean, inv_std):
    """In terms of x itself, as dx = a dy + b x + c."""
    n = x.shape[0]
    ds, db = (dy * x).sum(0), dy.sum(0)
    a = gamma * inv_std
    b = (db * mean - ds) * a * inv_std**2 / n
    c = -b * mean - db * a / n
    return a * dy + b * x + c, (ds - db * mean) * inv_std, db


def bn_backward_x_sign(dy, x, gamma, mean, inv_std):
    """The same with the sign of c's second part turned."""
    n = x.shape[0]
    ds, db = (dy * x).sum(0), dy.sum(0)
    a = gamma * inv_std
    b = (db * mean - ds) * a * inv_std**2 / n
    c = -b * mean + db * a / n
    return a * dy + b * x + c, (ds - db * mean) * inv_std, db


def bn_backward_std(dout, xmu, std, gamma):
    """From the deviations and their root mean square alone."""
    m = xmu.shape[0]
    dxhat = gamma * dout
    dstd = -(dxhat * xmu).sum(axis=0) / std**2
    dxmu = dxhat / std + xmu * dstd / (m * std)
    return dxmu - dxmu.mean(axis=0)


def bn_backward_output(dy, x, gamma, beta, eps):
    """The output y taken for x_hat."""
    r = 1 / np.sqrt(x.var(0) + eps)
    y = gamma * (x - x.mean(0)) * r + beta
    dx = gamma * r * (dy - dy.mean(0) - (x - x.mean(0)) * r * (dy * (x - x.mean(0)) * r).mean(0))
    return dx, (dy * y).sum(0), dy.sum(0)


def bn_backward_larger(dy, x, gamma, eps):
    """Epsilon as a lower bound of the variance."""
    r = 1 / np.sqrt(np.maximum(x.var(0), eps))
    x_hat, g = (x - x.mean(0)) * r, dy * gamma
    dx = r * (g - g.mean(0) - x_hat * (g * x_hat).mean(0))
    return dx, (dy * x_hat).sum(0), dy.sum(0)


def bn_backward_mean_loss(dy, x, gamma, eps):
    """All of it divided by the size of the batch once more."""
    m = len(x)
    r = 1 / np.sqrt(x.var(0) + eps)
    x_hat, g = (x - x.mean(0)) * r, dy * gamma / m
    dx = r * (g - g.mean(0) - x_hat * (g * x_hat).mean(0))
    return dx, (dy * x_hat).mean(0), dy.mean(0)


def bn_backward_of_unbiased(dy, x, gamma, eps):
    """The right gradients of a layer that divides by m - 1."""
    m = len(x)
    r = 1 / np.sqrt(x.var(0, ddof=1) + eps)
    x_hat = (x - x.mean(0)) * r
    dgamma = (dy * x_hat).sum(0)
    return gamma * r * (dy - dy.mean(0) - x_hat * dgamma / (m - 1)), dgamma, dy.sum(0)


def bn_backward_two(dy, x, gamma, eps):
    """gamma forgotten, and m - 1 for m."""
    m = len(x)
    r = 1 / np.sqrt(x.var(0) + eps)
    x_hat = (x - x.mean(0)) * r
    dgamma, dbeta = (dy * x_hat).sum(0), dy.sum(0)
    return r / (m - 1) * (m * dy - dbeta - x_hat * dgamma), dgamma, dbeta
