"""What the formulas of formulas.py look like: read these to judge the printing."""

PICTURES = {
    "batch norm: var": r"""
        1   m
σ²_B = ───  ∑  (xᵢ − μ_B)²
        m  i=1
""",
    "batch norm: x_hat": r"""
      xᵢ − μ_B
x̂ᵢ = ───────────
     √(σ²_B + ε)
""",
    "batch norm: dvar": r"""
 ∂ℓ        m      xᵢ − μ_B     ∂ℓ
───── = −  ∑  ──────────────── ───
∂σ²_B     i=1             3/2  ∂x̂ᵢ
               2(σ²_B + ε)
""",
    "batch norm: dmu": r"""
 ∂ℓ       m       1      ∂ℓ     ∂ℓ    m  2(xᵢ − μ_B)
──── = −  ∑  ─────────── ─── − ─────  ∑  ───────────
∂μ_B     i=1 √(σ²_B + ε) ∂x̂ᵢ   ∂σ²_B i=1      m
""",
    "batch norm: dx": r"""
∂ℓ         1      ∂ℓ    2(xᵢ − μ_B)  ∂ℓ      1   ∂ℓ
─── = ─────────── ─── + ─────────── ───── + ─── ────
∂xᵢ   √(σ²_B + ε) ∂x̂ᵢ        m      ∂σ²_B    m  ∂μ_B
""",
    "batch norm: dgamma": r"""
∂ℓ     m  ∂ℓ
─── =  ∑  ─── x̂ᵢ
∂γ    i=1 ∂yᵢ
""",
    "batch norm: dx_closed": r"""
∂ℓ          γ       ⎛  ∂ℓ     m  ∂ℓ        m  ∂ℓ    ⎞
─── = ───────────── ⎜m ─── −  ∑  ─── − x̂ᵢ  ∑  ─── x̂ⱼ⎟
∂xᵢ   m √(σ²_B + ε) ⎝  ∂yᵢ   j=1 ∂yⱼ      j=1 ∂yⱼ   ⎠
""",
    "batch norm: u": r"""
          γ
u = ─────────────
    m √(σ²_B + ε)
""",
    "batch norm: r": r"""
Rᵢⱼ = m δᵢⱼ − 1 − x̂ᵢ x̂ⱼ
""",
    "batch norm: jacobian": r"""
∂yᵢ
─── = u Rᵢⱼ
∂xⱼ
""",
    "batch norm: jacobian_cases": r"""
      ⎧  m − 1 − x̂ᵢ²
      ⎪ ─────────────   if i = j
∂x̂ᵢ   ⎪ m √(σ²_B + ε)
─── = ⎨
∂xⱼ   ⎪  −1 − x̂ᵢ x̂ⱼ
      ⎪ ─────────────   if i ≠ j
      ⎩ m √(σ²_B + ε)
""",
    "batch norm: y_dot": r"""
           γ       ⎛        m           m       ⎞
ẏᵢ = ───────────── ⎜m ẋᵢ −  ∑  ẋⱼ − x̂ᵢ  ∑  ẋⱼ x̂ⱼ⎟
     m √(σ²_B + ε) ⎝       j=1         j=1      ⎠
""",
    "layer norm: dgamma": r"""
∂ℓ     N   ∂ℓ
─── =  ∑  ──── x̂ᵣᵢ
∂γᵢ   r=1 ∂yᵣᵢ
""",
    "layer norm: dx": r"""
 ∂ℓ         1       ⎛      ∂ℓ     m      ∂ℓ         m      ∂ℓ     ⎞
──── = ──────────── ⎜m γᵢ ──── −  ∑  γⱼ ──── − x̂ᵣᵢ  ∑  γⱼ ──── x̂ᵣⱼ⎟
∂xᵣᵢ   m √(σ²ᵣ + ε) ⎝     ∂yᵣᵢ   j=1    ∂yᵣⱼ       j=1    ∂yᵣⱼ    ⎠
""",
    "softmax: p_full": r"""
        exp(xᵢ)
pᵢ = ─────────────
       m
       ∑  exp(xⱼ)
      j=1
""",
    "softmax: dx": r"""
∂ℓ       ⎛∂ℓ     m  ∂ℓ    ⎞
─── = pᵢ ⎜─── −  ∑  ─── pⱼ⎟
∂xᵢ      ⎝∂pᵢ   j=1 ∂pⱼ   ⎠
""",
}

ASCII = {
    "batch norm: mu": r"""
        1   m
mu_B = --- sum x_i
        m  i=1
""",
    "batch norm: dvar": r"""
    dl          m         x_i - mu_B           dl
---------- = - sum ------------------------ --------
dsigma^2_B     i=1 2(sigma^2_B + eps)^(3/2) dx_hat_i
""",
    "batch norm: dx_closed": r"""
 dl             gamma          /   dl     m   dl             m   dl         \
---- = ----------------------- |m ---- - sum ---- - x_hat_i sum ---- x_hat_j|
dx_i   m sqrt(sigma^2_B + eps) \  dy_i   j=1 dy_j           j=1 dy_j        /
""",
    "batch norm: r": r"""
R_ij = m delta_ij - 1 - x_hat_i x_hat_j
""",
    "batch norm: jacobian_cases": r"""
           /    m - 1 - x_hat_i^2
           | -----------------------   if i = j
dx_hat_i   | m sqrt(sigma^2_B + eps)
-------- = <
  dx_j     |  -1 - x_hat_i x_hat_j
           | -----------------------   if i != j
           \ m sqrt(sigma^2_B + eps)
""",
}

LINES = {
    "batch norm: var": "σ²_B = (1/m) Σᵢ (xᵢ − μ_B)²",
    "batch norm: x_hat": "x̂ᵢ = (xᵢ − μ_B)/√(σ²_B + ε)",
    "batch norm: dvar": "∂ℓ/∂σ²_B = −Σᵢ (xᵢ − μ_B)/(2(σ²_B + ε)^(3/2)) ∂ℓ/∂x̂ᵢ",
    "batch norm: dmu": "∂ℓ/∂μ_B = −Σᵢ (1/√(σ²_B + ε)) ∂ℓ/∂x̂ᵢ − ∂ℓ/∂σ²_B Σᵢ 2(xᵢ − μ_B)/m",
    "batch norm: dx": "∂ℓ/∂xᵢ = (1/√(σ²_B + ε)) ∂ℓ/∂x̂ᵢ + (2(xᵢ − μ_B)/m) ∂ℓ/∂σ²_B + (1/m) ∂ℓ/∂μ_B",
    "batch norm: dgamma": "∂ℓ/∂γ = Σᵢ ∂ℓ/∂yᵢ x̂ᵢ",
    "batch norm: dx_closed": "∂ℓ/∂xᵢ = γ/(m √(σ²_B + ε)) (m ∂ℓ/∂yᵢ − Σⱼ ∂ℓ/∂yⱼ − x̂ᵢ Σⱼ ∂ℓ/∂yⱼ x̂ⱼ)",
    "batch norm: u": "u = γ/(m √(σ²_B + ε))",
    "batch norm: r": "Rᵢⱼ = m δᵢⱼ − 1 − x̂ᵢ x̂ⱼ",
    "batch norm: jacobian": "∂yᵢ/∂xⱼ = u Rᵢⱼ",
    "batch norm: jacobian_cases": "∂x̂ᵢ/∂xⱼ = {(m − 1 − x̂ᵢ²)/(m √(σ²_B + ε)) if i = j; "
    "(−1 − x̂ᵢ x̂ⱼ)/(m √(σ²_B + ε)) if i ≠ j}",
    "batch norm: y_dot": "ẏᵢ = γ/(m √(σ²_B + ε)) (m ẋᵢ − Σⱼ ẋⱼ − x̂ᵢ Σⱼ ẋⱼ x̂ⱼ)",
    "layer norm: dgamma": "∂ℓ/∂γᵢ = Σᵣ ∂ℓ/∂yᵣᵢ x̂ᵣᵢ",
    "layer norm: dx": "∂ℓ/∂xᵣᵢ = 1/(m √(σ²ᵣ + ε)) (m γᵢ ∂ℓ/∂yᵣᵢ "
    "− Σⱼ γⱼ ∂ℓ/∂yᵣⱼ − x̂ᵣᵢ Σⱼ γⱼ ∂ℓ/∂yᵣⱼ x̂ᵣⱼ)",
    "softmax: p_full": "pᵢ = exp(xᵢ)/(Σⱼ exp(xⱼ))",
    "softmax: dx": "∂ℓ/∂xᵢ = pᵢ (∂ℓ/∂pᵢ − Σⱼ ∂ℓ/∂pⱼ pⱼ)",
}
