"""Attention as Triton kernels: which tiles to walk over, and the walk, forward and backward."""
