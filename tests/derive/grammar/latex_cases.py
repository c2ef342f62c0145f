r"""Formulas in LaTeX with what they say, and such as nobody could be sure of.

``READ`` maps each text to its reading in the syntax of array indices.  ``REFUSED`` gives the column
of the first thing that could be read in two ways, or not at all, and what is said about it.
"""

READ: dict[str, str] = {
    # Fractions and roots
    r"y_i = \frac12 x_i": "y[i] = 1/2*x[i]",
    r"y_i = \frac1m x_i": "y[i] = 1/m*x[i]",
    r"y_i = \frac{1}{2}x_i": "y[i] = 1/2*x[i]",
    r"y_i = \frac\gamma m x_i": "y[i] = gamma/m*x[i]",
    r"y_i = {x_i \over m}": "y[i] = x[i]/m",
    r"y_i = {{x_i} \over {m + 1}} \gamma": "y[i] = x[i]/(m + 1)*gamma",
    r"y_i = x_i/2": "y[i] = x[i]/2",
    r"y_i = 2x_i/m": "y[i] = 2*x[i]/m",
    r"y_i = x_i/(2m)": "y[i] = x[i]/(2*m)",
    r"y_i = \frac{\frac{1}{m}}{\frac{2}{x_i}}": "y[i] = 1/m/(2/x[i])",
    r"y_i = \sqrt2 x_i": "y[i] = sqrt(2)*x[i]",
    r"y_i = \sqrt{x_i}^2": "y[i] = sqrt(x[i])**2",
    r"y_i = \sqrt[3]{x_i}": "y[i] = x[i]**(1/3)",
    # Powers and signs
    r"y_i = -x_i^2": "y[i] = -x[i]**2",
    r"y_i = (-x_i)^2": "y[i] = (-x[i])**2",
    r"y_i = x^2_i": "y[i] = x[i]**2",
    r"y_i = x_i^2": "y[i] = x[i]**2",
    r"y_i = {x_i}^2": "y[i] = x[i]**2",
    r"y_i = x_i^{-1/2}": "y[i] = x[i]**(-1/2)",
    r"y_i = x_i^{-\frac{3}{2}}": "y[i] = x[i]**(-3/2)",
    r"y_i = (\sigma^2 + \epsilon)^{-0.5}": "y[i] = (var + eps)**(-1/2)",
    r"y_i = 1.5x_i - 2.25": "y[i] = 3/2*x[i] - 9/4",
    r"y_i = x_i \cdot -2": "y[i] = x[i]*(-2)",
    r"y_i = - x_i - \mu": "y[i] = -x[i] - mu",
    # Names
    r"y_i = \gamma \hat x_i + \beta": "y[i] = gamma*x_hat[i] + beta",
    r"y_i = \gamma \hat{x}_i + \beta": "y[i] = gamma*x_hat[i] + beta",
    r"y_i = \gamma \hat{x_i} + \beta": "y[i] = gamma*x_hat[i] + beta",
    r"y_i = \gamma {\widehat x}_i + \beta": "y[i] = gamma*x_hat[i] + beta",
    r"\boldsymbol{y}_i = \gamma \widehat{\mathbf{x}}_i": "y[i] = gamma*x_hat[i]",
    r"y^{(i)} = x^{(i)}": "y[i] = x[i]",
    r"\mu_B = \mu": "mu = mu",
    r"\mu_{\mathcal{B}} = \mu_\mathcal{B}": "mu = mu",
    r"\sigma^2_B = \sigma_B^{2}": "var = var",
    r"\sigma^{2}_{\mathcal B} = 1": "var = 1",
    r"\sigma_B = 1": "sqrt(var) = 1",
    r"\sigma^3 = 1": "var**(3/2) = 1",
    r"y_i = x_i/\sigma": "y[i] = x[i]/sqrt(var)",
    r"y_i = \varepsilon + \epsilon": "y[i] = eps + eps",
    r"\mu = C": "mu = C",
    # Products
    r"y_i = 2\gamma(x_i - \mu)m": "y[i] = 2*gamma*(x[i] - mu)*m",
    r"y_i = (x_i - \mu)(x_i + \mu)": "y[i] = (x[i] - mu)*(x[i] + mu)",
    r"y_i = \left( x_i - \left[ \mu + 1 \right] \right) \times 2": "y[i] = (x[i] - (mu + 1))*2",
    r"y_i = \bigl( x_i - \mu \bigr)": "y[i] = x[i] - mu",
    r"y_i = \{x_i - \mu\}\,\gamma": "y[i] = (x[i] - mu)*gamma",
    # Sums
    r"\mu = \frac1m\sum_{i=1}^m x_i": "mu = 1/m*sum[i](x[i])",
    r"\mu = \sum_{i=1}^m x_i / m": "mu = sum[i](x[i]/m)",
    r"\mu = \sum_i x_i \gamma + \beta": "mu = sum[i](x[i]*gamma) + beta",
    r"\mu = \sum_{i=1}^{m} x_i - m\mu": "mu = sum[i](x[i]) - m*mu",
    r"\mu = \sum_{i=1}^{m} (x_i - \mu)": "mu = sum[i](x[i] - mu)",
    r"\mu = \sum_{i=1}^m -2(x_i - \mu)": "mu = sum[i](-2*(x[i] - mu))",
    r"\mu = \sum_{i=0}^{m-1} x_i": "mu = sum[i](x[i])",
    r"\mu = \frac1N\sum_{i=1}^N x_i": "mu = 1/N*sum[i](x[i])",
    r"\mu = \frac{1}{|B|}\sum_{i \in B} x_i": "mu = 1/m*sum[i](x[i])",
    r"\mu = \frac{1}{\lvert \mathcal B \rvert}\sum_{i\in\mathcal{B}} x_i": "mu = 1/m*sum[i](x[i])",
    r"\mu = \sum_j x_j\sum_k y_k": "mu = sum[j](x[j]*sum[k](y[k]))",
    r"\mu = \sum_{i,j} x_i y_j": "mu = sum[i, j](x[i]*y[j])",
    r"y_i = \sum_j x_j + \sum_j y_j": "y[i] = sum[j](x[j]) + sum[j](y[j])",
    r"\sum_{i=1}^m (x_i - \mu) = 0": "sum[i](x[i] - mu) = 0",
    # Derivatives
    r"\frac{\partial \ell}{\partial x_i} = 0": "dl/dx[i] = 0",
    r"\frac{\partial L}{\partial \hat{x}_i} = \gamma \frac{\partial L}{\partial y_i}": (
        "dl/dx_hat[i] = gamma*dl/dy[i]"
    ),
    r"\partial L/\partial x_i = \gamma\,\partial L/\partial y_i": "dl/dx[i] = gamma*dl/dy[i]",
    r"\frac{\partial\mathcal{L}}{\partial\sigma_B^2} = 0": "dl/dvar = 0",
    r"{{\partial l} \over {\partial {{\widehat x}_i}}} = 0": "dl/dx_hat[i] = 0",
    r"\frac{d\mu}{dx_i} = \frac{\mathrm{d} \mu}{\mathrm{d} x_i}": "dmu/dx[i] = dmu/dx[i]",
    r"\frac{\partial L/\partial y_i}{\partial L/\partial x_i} = 1": "dl/dy[i]/(dl/dx[i]) = 1",
    r"\frac{\partial x_i}{\partial x_j} = \delta_{ij}": "dx[i]/dx[j] = delta[i, j]",
    r"\frac{\partial y_i}{\partial x_j} = u R_{ij}": "dy[i]/dx[j] = u*R[i, j]",
    r"\frac{\partial y_i}{\partial x_j} = 1, \quad i \neq j": "dy[i]/dx[j] = 1, i != j",
    r"\frac{\partial y_i}{\partial x_j} = 1, \text{if } i = j": "dy[i]/dx[j] = 1, i = j",
    # Several indices
    r"y_{ij} = \gamma_j x_{i,j}": "y[i, j] = gamma[j]*x[i, j]",
    r"y^{(k)} = \gamma^{(k)} x^{(k)} + \beta^{(k)}": "y[k] = gamma[k]*x[k] + beta[k]",
    r"\frac{\partial\ell}{\partial\gamma_k} = \sum_n \frac{\partial\ell}{\partial y_{nk}}": (
        "dl/dgamma[k] = sum[n](dl/dy[n, k])"
    ),
    # Around a formula
    r"$y_i = x_i$": "y[i] = x[i]",
    r"\[ y_i = x_i. \]": "y[i] = x[i]",
    r"y_i \leftarrow x_i": "y[i] = x[i]",
    r"\exp(x_i) = \max(0, y_i)": "exp(x[i]) = max(0, y[i])",
    r"y_i = \operatorname{sigmoid}(x_i)^2": "y[i] = sigmoid(x[i])**2",
    r"y^{(i,k)} = x^{(ik)}": "y[i, k] = x[i, k]",
}

# As the source documents have them, made by a formula editor.
EDITED: dict[str, str] = {
    r"\sigma _B^2 = {1 \over m}\sum\limits_{i = 1}^m {({x_i}}  - {\mu _B}{)^2}": (
        "var = 1/m*sum[i]((x[i] - mu)**2)"
    ),
    r"{{\partial l} \over {\partial \sigma _B^2}} = {\sum\limits_{i = 1}^m {{{\partial l} \over "
    r"{\partial {{\widehat x}_i}}}({x_i} - {\mu_B}){{ - 1} \over 2}(\sigma _B^2 + \varepsilon )} "
    r"^{ - {3 \over 2}}}": (
        "dl/dvar = sum[i](dl/dx_hat[i]*(x[i] - mu)*(-1)/2*(var + eps)**(-3/2))"
    ),
    r"{{\partial l} \over {\partial {\mu_B}}} = \sum\limits_{{\rm{i = 1}}}^m {{{\partial l} \over "
    r"{\partial {{\widehat x}_i}}}} {{ - 1} \over {\sqrt {\sigma _B^2 + \varepsilon } }}": (
        "dl/dmu = sum[i](dl/dx_hat[i]*(-1)/sqrt(var + eps))"
    ),
    r"{{\partial l} \over {\partial \gamma }} = \sum\limits_{i = 1}^m {{{\partial l} \over "
    r"{\partial {y_i}}}} {\widehat x_i}": "dl/dgamma = sum[i](dl/dy[i]*x_hat[i])",
    r"{y^{(k)}} = {\gamma ^{(k)}}{\widehat x^{(k)}} + {\beta ^{(k)}}": (
        "y[k] = gamma[k]*x_hat[k] + beta[k]"
    ),
}

DEEP = 500
LONG = 10_000

REFUSED: list[tuple[str, int, str]] = [
    # Two readings
    (r"y_i = 1/2 x_i", 11, r"does this divide as well?"),
    (r"y_i = 1/2 \cdot x_i", 17, r"does this divide as well?"),
    (r"y_i = x_i/m/2", 12, r"two / in a row"),
    (r"y_i = x_i2", 10, r"write _{i2}"),
    (r"y_i = x_i^10", 12, r"write ^{10}"),
    (r"y_i = \frac123", 14, r"a number behind a factor needs its sign"),
    (r"y_i = \gamma 2", 14, r"a number behind a factor needs its sign"),
    (r"y_i = 1 2", 9, r"a space inside a number"),
    (r"y_i = x_ij", 10, r"braces belong around it: x_{ij}"),
    (r"y_i = \frac{x_i}{m}^2", 20, r"the power of a fraction needs parentheses"),
    (r"y_i = {x_i \over m}^2", 20, r"the power of a fraction needs parentheses"),
    (r"x_i \over m = y_i", 5, r"\over needs braces around it"),
    (r"y_i = {x_i + \mu}\gamma", 7, r"these braces do not print"),
    (r"y_i = \gamma{x_i + \mu}", 13, r"these braces do not print"),
    (r"y_i = {x_i + \mu}^2", 7, r"these braces do not print"),
    (r"y_i = {-x_i}^2", 7, r"these braces do not print"),
    (r"y_i = \mu{-x_i}", 10, r"these braces do not print"),
    (r"y_i = x_i - {\mu + 1}", 13, r"these braces do not print"),
    (r"\mu = \sum_i {x_i + 1}", 14, r"these braces do not print"),
    (r"y_i = \gamma(x_i)", 13, r"is this a function of x?"),
    (r"y_i = \sigma(x_i - \mu)", 13, r"may be the sigmoid"),
    (r"y_i = x_i^j", 11, r"an exponent is a number; an index stands below"),
    (r"y_i = x'_i", 7, r"unknown name x'"),
    (r"y_i = x_i'", 7, r"unknown name x'"),
    (r"y_i = \mathbf{x}_i + x_i", 22, r"x in two fonts"),
    (r"y_i = \bar{x}_i", 7, r"unknown name \bar{x}"),
    (r"\frac{\partial L}{\partial x_i} = \frac{\partial \ell}{\partial y_i}", 50, r"two losses"),
    (r"y_i = x_i^{(2)}", 7, r"is (2) an index or an exponent?"),
    (r"y_i = \hat{x_i^2}", 7, r"an exponent stands behind the accent"),
    (r"y_i = 1\frac{1}{2}", 8, r"is this a sum, as in 1 + 1/2, or a product?"),
    (
        r"\frac{\partial\ell}{\partial x} = "
        r"\frac{\partial\ell}{\partial y}\frac{\partial y}{\partial x}",
        66,
        r"which element of y by which of x?",
    ),
    # Indices
    (r"y_i = \gamma \hat{x} + \beta", 14, r"x_hat has no index along the axis n"),
    (r"\mu = \sum_{i=1}^m x", 20, r"x has no index along the axis n"),
    (r"y_i = x_j", 9, r"the index j is neither on the left nor summed over"),
    (r"y_i = \sum_{i=1}^m x_i", 13, r"the index i is in use here already"),
    (r"\mu = \sum_i x_i \sum_i y_i", 23, r"the index i is in use here already"),
    (r"\mu = \sum_{i=1}^m x_i + y_i", 28, r"the sum over i ends before this"),
    (r"y_i = \sum_j x_i", 5, r"the sum over j has no j in it"),
    (r"\mu = \sum x_i", 7, r"a sum needs its index"),
    (r"\mu = \sum_{i=1} x_i", 7, r"the sum has no last index"),
    (r"\mu = \sum_{i=2}^m x_i", 13, r"a sum runs over all"),
    (r"\mu = \sum_{i=1}^{m-1} x_i", 19, r"a sum runs over all"),
    (r"\mu = \sum_{i=0}^{m} x_i", 19, r"a sum runs over all"),
    (r"\mu = \sum_{i \neq j} x_i", 13, r"a sum runs over all"),
    (r"\mu = \sum_{m=1}^C x_m", 13, r"m is a name here, so it is no index"),
    (r"\mu = \frac1m\sum_{i=1}^N x_i", 20, r"N and m would both be the number of elements"),
    (r"\mu = \frac1N\sum_{i=1}^m x_i", 13, r"unknown name N"),
    (r"\mu = x_1", 9, r"an index is a small letter"),
    (r"\mu = x_{i+1}", 11, r"an index is a small letter"),
    (r"y_{ij} = x_{ij} + x_{ji}", 23, r"the indices of x stand in the order n, c"),
    (r"y_{ij} = \gamma_i x_{ij}", 5, r"the indices of y stand in the order n, c"),
    (r"y_c = x_c", 3, r"c is the name of an axis, and this would run along n"),
    (r"y_{ijk} = x_{ijk}", 5, r"y varies over n, c: too many indices"),
    (r"y_{ij} = \gamma_i", 5, r"the indices of y stand in the order n, c"),
    (r"y_i = m_i", 9, r"i runs along the axis"),
    # Derivatives
    (r"\frac{\partial^2 \ell}{\partial x_i^2} = 0", 15, r"second derivatives are not read"),
    (r"\frac{\partial}{\partial x_i} \ell = 0", 7, r"\partial of what?"),
    (r"\frac{\partial \ell y_i}{\partial x_i} = 0", 7, r"a \partial belongs to a quotient of two"),
    (r"\frac{\partial \ell}{x_i} = 0", 1, r"a \partial above and none below"),
    (r"\frac{\partial y_i}{\partial \ell} = 0", 21, r"the loss stands above a \partial"),
    (r"\frac{\partial \ell}{\partial \sigma} = 0", 31, r"not of their powers"),
    (r"\partial_{x_i} \ell = 0", 9, r"\partial takes no subscript"),
    (r"\partial \ell = 0", 1, r"a \partial belongs to a quotient of two"),
    (r"\nabla_x \ell = 0", 1, r"the command \nabla is not known here"),
    (r"\ell = 0", 1, r"\ell is the loss here"),
    # What is not known
    (r"y_i = \sin x_i", 7, r"the command \sin is not known here"),
    (r"y_i = \exp x_i", 7, r"\exp needs its argument in parentheses"),
    (r"y_i = \exp(x_i)_j", 16, r"expected an operator or the end"),
    (r"y_i = \tanh^2(x_i)", 7, r"\tanh needs its argument in parentheses"),
    (r"y_i = \input{secrets}", 7, r"the command \input is not known here"),
    (r"y_i = \sqrt{}", 7, r"found the end of the root"),
    (r"y_i = x_i \% 2", 11, r"found '\%'"),
    (r"y_i < x_i", 5, r"LESS-THAN SIGN"),
    (r"y_i \approx x_i", 5, r"found '\approx'"),
    (r"y_i = x_i, i > 2", 14, r"GREATER-THAN SIGN"),
    (r"y_i = |x_i|", 7, r"the size of the batch alone"),
    (r"\mathrm{E}[x] = 1", 1, r"E[...] is no quantity of this layer"),
    # Brackets
    (r"\left(y_i = x_i", 11, r"found '='"),
    (r"y_i = \left(x_i\right]", 22, r"expected an operator or ')'"),
    (r"y_i = \left(x_i)", 16, r"expected an operator or \right)"),
    (r"y_i = (x_i\right)", 11, r"\right without its \left"),
    (r"y_i = (x_i]", 11, r"found ']'"),
    (r"y_i = (x_i", 11, r"expected an operator or ')'"),
    (r"y_i = x_i)", 10, r"found ')'"),
    (r"y_i = {x_i", 7, r"this brace is not closed"),
    (r"y_i = \frac{1}{m", 15, r"this brace is not closed"),
    (r"y_i = x_i}", 10, r"no brace is open here"),
    (r"y_i = x_i^2^3", 12, r"a second ^ at one place"),
    (r"y_i = \frac{x_i}", 17, r"needs braces behind it"),
    (r"$y_i = x_i", 1, r"does not end with $"),
    # Shapes of a formula
    (r"y_i \gamma", 11, r"expected an operator or '='"),
    (r"y_i = {}", 9, r"expected a name, a number or '('"),
    (r"\gamma = ", 9, r"expected a name, a number or '('"),
    (r"y_i = x_i + + \mu", 13, r"expected a name, a number or '('"),
    (r"\begin{matrix} y_i = x_i \end{matrix}", 1, r"the environment matrix is not read"),
    # Look-alikes
    ("\\gamma = \N{CYRILLIC SMALL LETTER HA}_i", 10, "CYRILLIC SMALL LETTER HA"),
    ("\\gamma = \N{GREEK SMALL LETTER MU}", 10, r"write \mu"),
    ("\\gamma = \N{MICRO SIGN}", 10, r"write \mu"),
    ("\\gamma = \N{SCRIPT SMALL L}", 10, r"write \ell"),
    ("\\gamma = \\beta \N{MINUS SIGN} 1", 16, "write -"),
    ("\\gamma = \\beta\N{SUPERSCRIPT TWO}", 15, "write ^2"),
    ("\\gamma = \N{FULLWIDTH LATIN SMALL LETTER X}_i", 10, "write x"),
    ("\\gamma = \\beta\N{ZERO WIDTH SPACE}", 15, "delete it"),
    ("\\gamma = \N{N-ARY SUMMATION}_i x_i", 10, r"write \sum"),
    # Too long, too deep
    (r"\mu = " + "x" * LONG, 1, "a formula has at most 4000 characters"),
    (r"y_i = " + "(" * DEEP + "x_i" + ")" * DEEP, 57, "nested more than 50 deep"),
    (r"y_i = " + "{" * DEEP + "x_i" + "}" * DEEP, 47, "braces nested more than 40 deep"),
    (r"\mu = " + r"\sum_i" * DEEP + " x_i", 301, "nested more than 50 deep"),
    (r"y_i = " + r"\sqrt{" * DEEP + "x_i" + "}" * DEEP, 252, "braces nested more than 40 deep"),
    (r"y_i = " + "-" * DEEP + "x_i", 8, "two signs in a row"),
]
