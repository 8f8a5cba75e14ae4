"""The tables that pass between stages, one module each: columns, types, units, keys.

``table`` says what a table is and holds it to that; every other module
declares one. What computes or draws belongs elsewhere.
"""
