"""The deformation that follows from a code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge

from ldae.data.volumes import VolumeStore
from ldae.networks.deformation import CodeDeformation, carry, follow
from ldae.training.deformation import coarse_shape, fit_deformation, register_participants

SHAPE = (32, 28, 30)


def ball(radius: float) -> np.ndarray:
    """A head with a dark ball in it, whose edge is five voxels wide."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"))
    centre = (np.array(SHAPE).reshape(3, 1, 1, 1) - 1) / 2
    distance = np.sqrt(((grid - centre) ** 2).sum(0))
    return 0.9 - 0.7 / (1 + np.exp(distance - radius))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VolumeStore:
    """40 heads with balls of 6 to 9 voxels, two visits each; the code of a head is its radius."""
    folder = tmp_path_factory.mktemp("balls")
    radius = np.repeat(np.linspace(6, 9, 40), 2)
    np.save(folder / "v.npy", np.stack([ball(r) for r in radius]).astype(np.float16))
    np.save(folder / "m.npy", np.ones((80, *SHAPE), np.uint8))
    index = pd.DataFrame(
        {
            "row": range(80),
            "scan": [f"s{i}" for i in range(80)],
            "subject": [f"p{i // 2}" for i in range(80)],
            "session": "",
            "months": [12.0, 0.0] * 40,  # the first visit comes second
            "split": (["train"] * 6 + ["test"] * 2) * 10,
        }
    )
    index.to_csv(folder / "i.tsv", sep="\t", index=False)
    return VolumeStore(folder / "v.npy", folder / "m.npy", folder / "i.tsv")


@pytest.fixture(scope="module")
def deformation(store: VolumeStore) -> CodeDeformation:
    """Fitted to the training heads."""
    coarse = coarse_shape(SHAPE, 4.0, 8.0)
    found = register_participants(store, 4.0, coarse, 300)
    network = CodeDeformation(2, SHAPE, coarse)
    radius = np.repeat(np.linspace(6, 9, 40), 2)[found.rows]
    codes = torch.tensor(np.stack([radius, np.ones_like(radius)], 1))  # one entry tells nothing
    fit_deformation(network, codes, found.displacement, 0.01)
    return network


def code(radius: float) -> torch.Tensor:
    return torch.tensor([[radius, 1.0]])


def test_first_visits_of_training_participants_are_registered(store: VolumeStore) -> None:
    found = register_participants(store, 4.0, (16, 14, 15), 300)
    chosen = store.index.iloc[found.rows]
    assert set(chosen["split"]) == {"train"} and (chosen["months"] == 0).all()
    assert chosen["subject"].is_unique and len(chosen) == 30
    assert found.displacement.shape == (30, 3, 16, 14, 15)
    few = register_participants(store, 4.0, (16, 14, 15), 7).rows
    assert len(set(few)) == 7 and set(few) <= set(found.rows)


def test_displacements_are_in_voxels_of_the_scan(store: VolumeStore) -> None:
    """Registered at half the resolution, they are as long as at the full one."""
    full = register_participants(store, 4.0, (8, 7, 8), 300).displacement.flatten(1)
    half = register_participants(store, 2.0, (8, 7, 8), 300).displacement.flatten(1)
    ends = torch.stack([(d[-1] - d[0]).norm() for d in (full, half)])
    assert 0.5 < ends[1] / ends[0] < 2.5


@pytest.mark.parametrize(("before", "after"), [(7.0, 8.0), (8.0, 7.0), (6.5, 8.5)])
def test_a_changed_code_moves_what_is_there(
    deformation: CodeDeformation, before: float, after: float
) -> None:
    x = torch.from_numpy(ball(before)).float()[None, None]
    moved = deformation(x, code(before), code(after))[0, 0].numpy()
    change, truth = moved - ball(before), ball(after) - ball(before)
    assert np.corrcoef(change.ravel(), truth.ravel())[0, 1] > 0.7
    # the registration's smoothness keeps it from coming all the way
    assert 0.1 < change.sum() / truth.sum() < 1.1
    assert moved.min() >= 0.19 and moved.max() <= 0.91


def test_the_same_code_changes_nothing(deformation: CodeDeformation) -> None:
    x = torch.from_numpy(ball(7.0)).float()[None, None]
    torch.testing.assert_close(deformation(x, code(7.0), code(7.0)), x, atol=1e-5, rtol=0)
    entry = torch.tensor([[7.0, 3.0]])  # an entry that is the same for every scan
    torch.testing.assert_close(deformation(x, code(7.0), entry), x, atol=1e-5, rtol=0)


def test_codes_are_shrunk_as_a_ridge_shrinks() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)) * [1.0, 5.0, 0.2] + 7
    seen = codes @ rng.normal(size=(3, 2)) + rng.normal(size=(300, 2))
    standard = (codes - codes.mean(0)) / codes.std(0)
    network = CodeDeformation(3, SHAPE, (1, 1, 2))
    penalty = 0.7
    fit_deformation(network, torch.from_numpy(codes), torch.zeros(300, 3, 1, 1, 2), penalty)
    free, ridge = (Ridge(p * 300 + 1e-9).fit(standard, seen) for p in (0.0, penalty))
    y, moved = torch.from_numpy(codes[:1]).float(), torch.from_numpy(codes[1:2]).float()
    shrunk = (network.shrunk(y, moved) - y).numpy()[0] / codes.std(0)
    np.testing.assert_allclose(
        free.coef_ @ shrunk, ridge.coef_ @ (standard[1] - standard[0]), rtol=1e-3
    )


def test_a_batch_is_deformed_as_its_scans_are(deformation: CodeDeformation) -> None:
    x = torch.stack([torch.from_numpy(ball(r)).float()[None] for r in (6.5, 8.0)])
    y, moved = torch.cat([code(6.5), code(8.0)]), torch.cat([code(7.5), code(7.0)])
    together = deformation(x, y, moved)
    alone = [deformation(x[[i]], y[[i]], moved[[i]]) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_a_steady_velocity_carries_by_itself() -> None:
    x = torch.rand(1, 1, 8, 9, 10)
    shift = torch.zeros(1, 3, 8, 9, 10)
    shift[:, 1] = 2.0
    there = carry(x, follow(shift))
    torch.testing.assert_close(there[:, :, :, :-2], x[:, :, :, 2:], atol=1e-4, rtol=0)
    waves = torch.linspace(0, torch.pi, 24).sin()
    turned = torch.zeros(1, 3, 24, 24, 24)
    turned[:, 0] = 1.5 * waves[:, None, None] * waves[:, None] * waves
    there, back = follow(turned), follow(-turned)
    assert (carry(there, back) + back).abs().max() < 0.02 * there.abs().max()


def test_the_coarse_grid_covers_the_scan() -> None:
    assert coarse_shape((40, 48, 41), 4.0, 8.0) == (20, 24, 21)
    assert coarse_shape((24, 24, 24), 8.0, 8.0) == (24, 24, 24)
    assert coarse_shape((5, 5, 5), 10.0, 8.0) == (5, 5, 5)
