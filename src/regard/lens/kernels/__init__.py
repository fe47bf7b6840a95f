"""Passes over the weights that are compiled: C for the CPU, Triton for the GPU."""
