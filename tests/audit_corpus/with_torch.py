"""PyTorch: an autograd.Function with a backward of its own, a module, and plain functions."""

import torch


def by_autograd(x, gamma, beta, eps):
    mean = x.mean(0)
    var = ((x - mean) ** 2).mean(0)
    return gamma * (x - mean) / torch.sqrt(var + eps) + beta


def by_autograd_detached(x, gamma, beta, eps):
    """The variance detached."""
    mean = x.mean(0)
    var = ((x - mean) ** 2).mean(0).detach()
    return gamma * (x - mean) / torch.sqrt(var + eps) + beta


class BatchNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, eps):
        inv = 1 / torch.sqrt(x.var(0, unbiased=False) + eps)
        x_hat = (x - x.mean(0)) * inv
        ctx.save_for_backward(x_hat, gamma, inv)
        return gamma * x_hat + beta

    @staticmethod
    def backward(ctx, grad):
        x_hat, gamma, inv = ctx.saved_tensors
        g = grad * gamma
        dx = inv * (g - g.mean(0) - x_hat * (g * x_hat).mean(0))
        return dx, (grad * x_hat).sum(0), grad.sum(0), None


class BatchNormFunctionUnbiased(BatchNormFunction):
    """torch.var as it is: with m - 1."""

    @staticmethod
    def forward(ctx, x, gamma, beta, eps):
        inv = 1 / torch.sqrt(x.var(0) + eps)
        x_hat = (x - x.mean(0)) * inv
        ctx.save_for_backward(x_hat, gamma, inv)
        return gamma * x_hat + beta


class Norm(torch.nn.Module):
    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(num_features))
        self.bias = torch.nn.Parameter(torch.zeros(num_features))
        self.eps = eps

    def forward(self, x):
        return torch.nn.functional.batch_norm(
            x, None, None, self.weight, self.bias, training=True, eps=self.eps
        )


def layer_norm(x, weight, bias, eps):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def rms_norm(x, weight, eps):
    return weight * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
