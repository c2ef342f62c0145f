"""Layers as objects, as in textbooks that build a network from scratch."""

import numpy as np


class BatchNormalization:
    def __init__(self, gamma, beta, momentum=0.9):
        self.gamma = gamma
        self.beta = beta
        self.momentum = momentum
        self.running_mean = None

    def forward(self, x, train_flg=True):
        mu = x.mean(axis=0)
        self.batch_size = x.shape[0]
        self.xc = x - mu
        var = np.mean(self.xc**2, axis=0)
        self.std = np.sqrt(var + 10e-7)
        self.xn = self.xc / self.std
        self.running_mean = mu
        return self.gamma * self.xn + self.beta

    def backward(self, dout):
        self.dbeta = dout.sum(axis=0)
        self.dgamma = np.sum(self.xn * dout, axis=0)
        dxn = self.gamma * dout
        dxc = dxn / self.std
        dstd = -np.sum((dxn * self.xc) / (self.std * self.std), axis=0)
        dvar = 0.5 * dstd / self.std
        dxc += (2.0 / self.batch_size) * self.xc * dvar
        dmu = np.sum(dxc, axis=0)
        return dxc - dmu / self.batch_size


class BatchNormalizationNoMean(BatchNormalization):
    """The mean's path forgotten at the end."""

    def backward(self, dout):
        super().backward(dout)
        dxn = self.gamma * dout
        dstd = -np.sum((dxn * self.xc) / (self.std * self.std), axis=0)
        return dxn / self.std + (2.0 / self.batch_size) * self.xc * 0.5 * dstd / self.std


class BatchNorm1d:
    """Parameters made inside, gradients in a dictionary, epsilon as an attribute."""

    def __init__(self, num_features):
        self.eps = 1e-5
        self.gamma = np.ones((1, num_features))
        self.beta = np.zeros((1, num_features))
        self.grads = {}

    def forward(self, x):
        self.x_hat = (x - x.mean(0)) / np.sqrt(x.var(0) + self.eps)
        self.inv = 1.0 / np.sqrt(x.var(0) + self.eps)
        return self.gamma * self.x_hat + self.beta

    def backward(self, dy):
        m = len(dy)
        self.grads["gamma"] = (dy * self.x_hat).sum(0, keepdims=True)
        self.grads["beta"] = dy.sum(0, keepdims=True)
        g = dy * self.gamma
        return self.inv / m * (m * g - g.sum(0) - self.x_hat * (g * self.x_hat).sum(0))


class BatchNorm1dDoubled(BatchNorm1d):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["beta"] = 2 * self.grads["beta"]
        return dx


class BatchNormLayer:
    """Parameters in a dictionary, forward with running statistics."""

    def __init__(self, dim):
        self.params = {"gamma": np.ones(dim), "beta": np.zeros(dim)}
        self.eps = 1e-5

    def forward(self, x, running_mean, running_var, momentum, is_training):
        assert is_training
        running_mean[:] = momentum * running_mean + (1 - momentum) * x.mean(0)
        self.xc = x - x.mean(0)
        self.inv = (x.var(0) + self.eps) ** -0.5
        return self.params["gamma"] * self.xc * self.inv + self.params["beta"]

    def backward(self, dy):
        xhat = self.xc * self.inv
        g = dy * self.params["gamma"]
        self.dgamma, self.dbeta = (dy * xhat).sum(0), dy.sum(0)
        return self.inv * (g - g.mean(0) - xhat * (g * xhat).mean(0))
