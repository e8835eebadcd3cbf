"""Distances in a network's space: Fréchet's between two sets (FD, FAD, FD_bank), and the rank of the own sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frechet:
    """distance: never negative; note: why the number is not to be trusted, empty where it is."""

    distance: float
    dim: int
    note: str


def frechet_distance(reference: np.ndarray, generated: np.ndarray) -> Frechet:
    """|m_r - m_g|² + tr(S_r + S_g - 2 (S_r S_g)^½) of embeddings [n_r, D] and [n_g, D].

    The trace of the root is the sum of the singular values of S_r^½ S_g^½, with both roots from symmetric
    eigendecompositions: no matrix square root that turns complex or fails where covariances are singular,
    which they always are with fewer than D embeddings.
    """
    reference, generated = _checked(reference, "reference"), _checked(generated, "generated")
    if reference.shape[1] != generated.shape[1]:
        raise ValueError(f"embeddings of {reference.shape[1]} and {generated.shape[1]} channels do not compare")
    root_r, trace_r = _root_covariance(reference)
    root_g, trace_g = _root_covariance(generated)
    overlap = np.linalg.svd(root_r @ root_g, compute_uv=False).sum()
    shift = ((reference.mean(axis=0) - generated.mean(axis=0)) ** 2).sum()
    return Frechet(
        distance=float(max(0.0, shift + trace_r + trace_g - 2 * overlap)),
        dim=reference.shape[1],
        note=sample_size_note(min(len(reference), len(generated)), reference.shape[1]),
    )


def own_ranks(reference: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """Share of the other references that are nearer to a generated sound than its own: [n], 0 best, 0.5 chance.

    One embedding a sound, [n, D] each, in the same order; nearness is the cosine about the references' mean, which
    leaves out what all sounds have in common. References that are equal to the own one are no nearer.
    """
    reference, generated = _checked(reference, "reference"), _checked(generated, "generated")
    if reference.shape != generated.shape:
        raise ValueError(f"ranks need pairs, got embeddings of {reference.shape} and {generated.shape}")
    centre = reference.mean(axis=0)
    directions = [values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
                  for values in (reference - centre, generated - centre)]  # fmt: skip
    likeness = directions[1] @ directions[0].T
    return (likeness > np.diagonal(likeness)[:, None] + 1e-9).sum(axis=1) / (len(reference) - 1)


def sample_size_note(n: int, dim: int) -> str:
    """What to say about n embeddings of `dim` channels; a covariance needs several times `dim` of them."""
    if n <= dim:
        return f"{n} embeddings cannot fill a covariance of {dim} channels: the distance is biased upwards"
    if n < 5 * dim:
        return f"{n} embeddings are few for {dim} channels: compare only distances at equal n"
    return ""


def _checked(embeddings: np.ndarray, name: str) -> np.ndarray:
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"{name} embeddings need the shape [n >= 2, D], got {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        raise ValueError(f"{name} embeddings hold values that are not finite")
    return embeddings


def _root_covariance(embeddings: np.ndarray) -> tuple[np.ndarray, float]:
    """(symmetric root of the covariance [D, D], trace of the covariance)."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(embeddings, rowvar=False)))
    values = np.clip(values, 0.0, None)
    return (vectors * np.sqrt(values)) @ vectors.T, float(values.sum())
