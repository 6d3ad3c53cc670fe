"""Real heads with known change: the volumes are those asked for, the rest stays as it was."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from head_toy import make_head

from ldae.data.bids import read_bids
from ldae.errors import InputError
from ldae.evaluation.known_cohort import VOLUMES, Course, make_known_cohort
from ldae.simulation.known_change import TEMPLATE_MM, KnownHead, Registration
from ldae.simulation.template import build_template


@pytest.fixture(scope="module")
def head() -> KnownHead:
    """A drawn head whose affine to the template is known, warped a little."""
    image, _, to_scan = make_head(0)
    warp = np.zeros((13, 15, 13, 3), np.float32)
    warp[6, 7, 6] = [3, -2, 4]
    grid = np.diag([16.0, 16, 16, 1])
    grid[:3, 3] = [-98, -134, -90]
    registration = Registration(to_scan, warp, grid)
    return KnownHead(image.data, image.affine, registration, build_template(TEMPLATE_MM))


def test_registration_is_inverted(head: KnownHead) -> None:
    points = np.random.default_rng(0).uniform(-40, 40, (200, 3)).astype(np.float32)
    there = head.registration.to_template(head.registration.to_head(points))
    np.testing.assert_allclose(there, points, atol=0.02)


def test_a_head_that_does_not_change_is_the_same(head: KnownHead) -> None:
    image, volumes = head.change(1, 1, 1)
    np.testing.assert_array_equal(image, head.image)
    assert volumes == head.base_ml


@pytest.mark.parametrize("asked", [(1.5, 0.8, 0.95), (2.0, 1.0, 1.0), (1.0, 0.75, 0.9)])
def test_volumes_change_as_asked(head: KnownHead, asked: tuple[float, float, float]) -> None:
    image, volumes = head.change(*asked)
    found = [volumes[name] / head.base_ml[name] for name in head.base_ml]
    np.testing.assert_allclose(found, asked, rtol=0.02)
    # Fluid is dark: what is lost of tissue darkens the head, and only the brain changes.
    changed = np.abs(image - head.image) > 1e-3 * head.image.max()
    assert 0.001 < changed.mean() < 0.3 and (image - head.image)[changed].mean() < 0


def test_patients_lose_more_than_controls() -> None:
    patient, control = Course(1.0, 1.0), Course(0.0, 1.0)
    assert control.factors(0) == {"ventricles": 1, "hippocampus": 1, "cortex": 1}
    assert patient.factors(2)["hippocampus"] < control.factors(2)["hippocampus"] < 1
    assert patient.factors(2)["ventricles"] > control.factors(2)["ventricles"] > 1


def test_cohort_of_heads_is_read_like_any_other(tmp_path: Path) -> None:
    table = {"participant_id": ["sub-1", "sub-2"], "age": [60, 61], "sex": ["F", "M"]}
    folder = tmp_path / "heads"
    for seed, subject in enumerate(table["participant_id"]):
        path = folder / str(subject) / "anat" / f"{subject}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        image, _, _ = make_head(seed)
        nib.save(nib.Nifti1Image(image.data, image.affine), path)
    pd.DataFrame(table).to_csv(folder / "participants.tsv", sep="\t", index=False)
    out = tmp_path / "changed"
    options = {"months": [0, 24], "brain_extraction": "template", "seed": 0, "n_workers": 1}
    make_known_cohort(folder, out, **options)  # type: ignore[arg-type]
    scans = read_bids(out, 1, public=True).scans
    volumes = pd.read_csv(out / VOLUMES, sep="\t")
    assert list(volumes["scan"]) == list(scans["scan"]) and len(scans) == 4
    assert set(scans["diagnosis"]) == {"AD", "CN"} and set(scans["months"]) == {0, 24}
    first, last = (volumes[volumes["months"] == m].set_index("severity") for m in (0, 24))
    growth = last["ventricles_ml"] / first["ventricles_ml"]
    assert (growth > 1).all() and growth.idxmax() > 0  # the patient's grow faster
    with pytest.raises(InputError, match="Give a BIDS folder as FOLDER"):
        make_known_cohort(tmp_path / "nowhere", tmp_path / "new", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Correct FOLDER itself: this command"):
        (tmp_path / "empty").mkdir()
        make_known_cohort(tmp_path / "empty", tmp_path / "new", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not empty"):
        make_known_cohort(folder, out, **options)  # type: ignore[arg-type]
