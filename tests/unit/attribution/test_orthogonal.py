"""Orthogonal designs: balance, and effects that are told apart exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.attribution.orthogonal import hadamard, orthogonal_block

factors_and_seeds = given(st.integers(1, 40), st.integers(0, 2**32 - 1))


@pytest.mark.parametrize("least", [1, 2, 3, 4, 9, 16, 25])
def test_columns_of_a_hadamard_matrix_are_orthogonal(least):
    matrix = hadamard(least).astype(int)
    assert least <= len(matrix) < 2 * least or least == 1
    np.testing.assert_array_equal(matrix.T @ matrix, len(matrix) * np.eye(len(matrix)))


@factors_and_seeds
def test_each_factor_is_on_in_half_of_a_block_and_any_two_in_a_quarter(factors, seed):
    block = orthogonal_block(factors, np.random.default_rng(seed)).astype(int)
    rows = len(block)
    expected = np.full((factors, factors), rows / 4)
    np.fill_diagonal(expected, rows / 2)
    np.testing.assert_array_equal(block.T @ block, expected)
    np.testing.assert_array_equal(block[0::2], 1 - block[1::2])


@factors_and_seeds
def test_effects_are_exact_whatever_pairs_and_fours_do(factors, seed):
    """A least-squares fit of the factors alone finds their effects in f, which has more in it."""
    random = np.random.default_rng(seed)
    block = orthogonal_block(factors, random)
    signs = np.where(block, 1.0, -1.0)
    effects, pairs = random.normal(size=factors), random.normal(size=(factors, factors))
    even = np.einsum("ni,ij,nj->n", signs, pairs, signs)
    f = signs @ effects + even + even**2
    design = np.column_stack([np.ones(len(signs)), signs])
    found = np.linalg.lstsq(design, f, rcond=None)[0][1:]
    np.testing.assert_allclose(found, effects, atol=1e-9 * np.abs(f).max())


def test_each_row_is_as_random_as_a_coin():
    """A cell's chance to be on is a half, and any pattern of three is as likely as another."""
    random = np.random.default_rng(0)
    first = np.array([orthogonal_block(3, random)[0] for _ in range(8000)])
    counts = np.bincount(first @ [1, 2, 4], minlength=8)
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000 * 7 / 8)
