"""Images: channels on axis 1, counts of N, H and W, flat arrays of filters and positions."""

import numpy as np


def caffe_backward(top_diff, bottom_data, eps):
    """No gamma: the scale is a layer of its own there.  dE/dX = (dE/dY - mean - mean(..Y) Y)/std"""
    N, C, H, W = bottom_data.shape
    axes = (0, 2, 3)
    mean = bottom_data.mean(axis=axes, keepdims=True)
    var = ((bottom_data - mean) ** 2).mean(axis=axes, keepdims=True)
    Y = (bottom_data - mean) / np.sqrt(var + eps)
    m1 = top_diff.mean(axis=axes, keepdims=True)
    m2 = (top_diff * Y).mean(axis=axes, keepdims=True)
    return (top_diff - m1 - m2 * Y) / np.sqrt(var + eps)


def spatial_backward(dout, x, gamma, eps):
    """Transposed, and then as a matrix."""
    N, C, H, W = x.shape
    x_flat = x.transpose(0, 2, 3, 1).reshape(-1, C)
    g = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    m = N * H * W
    std = np.sqrt(x_flat.var(axis=0) + eps)
    x_hat = (x_flat - x_flat.mean(axis=0)) / std
    dgamma, dbeta = (g * x_hat).sum(axis=0), g.sum(axis=0)
    dx = gamma / (m * std) * (m * g - dbeta - x_hat * dgamma)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


def spatial_backward_batch_count(dout, x, gamma, eps):
    """N counted in the place of N H W."""
    axes = (0,) + tuple(range(2, x.ndim))
    shape = [1, -1] + [1] * (x.ndim - 2)
    m = x.shape[0]
    std = np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=axes, keepdims=True)) / std
    dgamma, dbeta = (dout * x_hat).sum(axis=axes), dout.sum(axis=axes)
    total = dbeta.reshape(shape) + x_hat * dgamma.reshape(shape)
    dx = gamma.reshape(shape) / std * (dout - total / m)
    return dx, dgamma, dbeta


def spatial_backward_one_axis(dout, x, gamma, eps):
    """dbeta averaged over the columns."""
    axes = (0,) + tuple(range(2, x.ndim))
    shape = [1, -1] + [1] * (x.ndim - 2)
    std = np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=axes, keepdims=True)) / std
    g = dout * gamma.reshape(shape)
    dx = g - g.mean(axis=axes, keepdims=True)
    dx = (dx - x_hat * (g * x_hat).mean(axis=axes, keepdims=True)) / std
    dgamma = (dout * x_hat).sum(axis=axes)
    dbeta = dout.sum(axis=axes) / x.shape[-1] if x.ndim == 4 else dout.sum(axis=axes)
    return dx, dgamma, dbeta


def darknet_backward(delta, x, mean, variance):
    """mean_delta, variance_delta and normalize_delta over batch, filters and spatial."""
    batch, filters, spatial = x.shape
    eps = 0.00001
    mean, variance = mean.reshape(1, -1, 1), variance.reshape(1, -1, 1)
    mean_delta = delta.sum(axis=(0, 2), keepdims=True) * (-1.0 / np.sqrt(variance + eps))
    variance_delta = (delta * (x - mean)).sum(axis=(0, 2), keepdims=True)
    variance_delta *= -0.5 * np.power(variance + eps, -1.5)
    m = batch * spatial
    out = delta / np.sqrt(variance + eps)
    out = out + variance_delta * 2.0 * (x - mean) / m + mean_delta / m
    return out


def darknet_backward_minus_1(delta, x, mean, variance):
    """normalize_delta divides by the count that an unbiased variance has."""
    batch, filters, spatial = x.shape
    eps = 0.00001
    mean, variance = mean.reshape(1, -1, 1), variance.reshape(1, -1, 1)
    mean_delta = delta.sum(axis=(0, 2), keepdims=True) * (-1.0 / np.sqrt(variance + eps))
    variance_delta = (delta * (x - mean)).sum(axis=(0, 2), keepdims=True)
    variance_delta *= -0.5 * np.power(variance + eps, -1.5)
    out = delta / np.sqrt(variance + eps)
    return out + (variance_delta * 2.0 * (x - mean) + mean_delta) / (batch * spatial - 1)


def mxnet_backward(out_grad, data, gamma, mean, inv_var):
    """gslope and gbias, then a plane at a time; the paths through variance and mean apart."""
    axes = (0,) + tuple(range(2, data.ndim))
    shape = [1, -1] + [1] * (data.ndim - 2)
    scale = 1.0 / (data.size // data.shape[1])
    slope, mean, inv = (a.reshape(shape) for a in (gamma, mean, inv_var))
    centred = data - mean
    gvar = -0.5 * (out_grad * slope * centred).sum(axis=axes, keepdims=True) * inv**3
    gmean = -(out_grad * slope).sum(axis=axes, keepdims=True) * inv
    gmean = gmean + gvar * scale * (-2 * centred).sum(axis=axes, keepdims=True)
    grad = out_grad * slope * inv + gvar * scale * 2.0 * centred + gmean * scale
    gslope = (out_grad * centred * inv).sum(axis=axes)
    return grad, gslope, out_grad.sum(axis=axes)


def mxnet_backward_gmean(out_grad, data, gamma, mean, inv_var):
    """gmean taken without the slope."""
    axes = (0,) + tuple(range(2, data.ndim))
    shape = [1, -1] + [1] * (data.ndim - 2)
    scale = 1.0 / (data.size // data.shape[1])
    slope, mean, inv = (a.reshape(shape) for a in (gamma, mean, inv_var))
    centred = data - mean
    gvar = -0.5 * (out_grad * slope * centred).sum(axis=axes, keepdims=True) * inv**3
    gmean = -out_grad.sum(axis=axes, keepdims=True) * inv
    grad = out_grad * slope * inv + gvar * scale * 2.0 * centred + gmean * scale
    gslope = (out_grad * centred * inv).sum(axis=axes)
    return grad, gslope, out_grad.sum(axis=axes)


def spatial_backward_planes(dout, x, gamma, eps):
    """One channel after the other."""
    dx, dgamma, dbeta = np.empty_like(x), np.empty_like(gamma), np.empty_like(gamma)
    for c in range(x.shape[1]):
        d = x[:, c] - x[:, c].mean()
        r = 1 / np.sqrt((d * d).mean() + eps)
        g = dout[:, c]
        dgamma[c], dbeta[c] = (g * d * r).sum(), g.sum()
        dx[:, c] = gamma[c] * r * (g - g.mean() - d * r * (g * d * r).mean())
    return dx, dgamma, dbeta
