"""Saliency maps to numbers: pure functions on arrays, one module per measure of docs/definitions."""
