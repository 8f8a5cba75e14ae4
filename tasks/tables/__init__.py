"""The tables that pass between stages, one module each: columns, types, units, keys.

``table`` says what a table is and holds it to that; ``figures`` makes columns
of declared figures; ``dictionary`` and ``definitions`` write pages of docs from
the declarations. Every other module declares a table. What computes or draws
belongs elsewhere.
"""
