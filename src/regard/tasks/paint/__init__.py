"""Painting: pictures like those of a folder."""
