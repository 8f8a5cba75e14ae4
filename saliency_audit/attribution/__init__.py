"""Explanation methods, one module each, behind one small interface, and their registry."""
