"""Generated kernels: each module stands alone with its array library."""
