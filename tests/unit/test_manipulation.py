"""Editing moves codes as the equation says, and the measures see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_toy import SHAPE, ToyModel, affine, make_store

from ldae.data.diagnoses import Diagnoses
from ldae.data.volumes import VolumeStore
from ldae.evaluation.codes import encode_semantics, measure_region_volumes, template_volumes
from ldae.evaluation.editing.directions import (
    Direction,
    find_directions,
    manipulated_code,
    targeted_directions,
)
from ldae.evaluation.editing.fidelity import agreement_of_change, autoencoder_ceiling, group_effect
from ldae.evaluation.editing.judges import ProbeSettings, halve_subjects
from ldae.evaluation.editing.manipulation import EditSettings, manipulate_attribute
from ldae.evaluation.probes.fitting import Probe
from ldae.evaluation.regions import region_atlas
from ldae.evaluation.selection import choose_rows
from ldae.methods import METHODS, Methods
from ldae.statistics.scores import NO_RATIO, tabulate_scores
from ldae.statistics.tables import table_columns

STUDY = Methods(METHODS)
DIAGNOSES = Diagnoses("AD", "CN")
TARGETED = replace(STUDY["ldae"], name="ldae_targeted", edit="targeted")
EDITED = Methods([STUDY["ldae"], TARGETED])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VolumeStore:
    return make_store(tmp_path_factory.mktemp("study"), n_subjects=60)


def probe(weights: Sequence[float], task: str = "age", cv_score: float | None = None) -> Probe:
    """Mean 1, 2, … and standard deviation 2, 4, … of the entries of the code.

    Without a score the probe reads its attribute perfectly.
    """
    entries = np.arange(1.0, len(weights) + 1)
    perfect = 0.0 if task == "age" else 1.0
    score = perfect if cv_score is None else cv_score
    return Probe(task, entries, 2 * entries, np.array(weights), 0, 1, 2, 2, score)


def test_code_is_shifted_as_the_method_says() -> None:
    y = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    direction = Direction.of_probe(probe([3.0, 4.0]))
    moved = manipulated_code(y, direction, 0.5)
    shift = 0.5 * np.sqrt(2) * np.array([3, 4]) / 5
    expected = np.array([2, 4]) * ((y.numpy() - [1, 2]) / [2, 4] + shift) + [1, 2]
    np.testing.assert_allclose(moved.numpy(), expected, rtol=1e-6)
    torch.testing.assert_close(manipulated_code(y, direction, 0.0), y)
    with pytest.raises(ValueError, match="no direction of age"):
        Direction.of_probe(probe([0.0, 0.0]))


ALL = ("ad_vs_cn", "age", "sex")


def draw(n: int, dim: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Codes (n, dim) with correlated entries of different scale, two of each participant; targets.

    Patients are older. Every fifth participant is neither a patient nor a control. Last: what one
    unit of disease, age and sex does to the code, (3, dim).
    """
    rng = np.random.default_rng(0)
    disease, sex = rng.integers(0, 2, n).astype(float), rng.integers(0, 2, n).astype(float)
    age = 60 + 8 * disease + rng.normal(scale=6, size=n)
    effects = rng.normal(size=(3, dim)) * np.array([[1.0], [0.1], [1.0]])
    code = 3 + rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim))
    code += np.stack([disease, age, sex], 1) @ effects
    targets = {"ad_vs_cn": np.where(np.arange(n) % 5, disease, np.nan), "age": age, "sex": sex}
    return code, np.array([f"p{i // 2}" for i in range(n)]), targets, effects


@pytest.mark.parametrize(("n", "dim"), [(400, 6), (15, 20)])
def test_a_targeted_edit_moves_its_own_probe_alone(n: int, dim: int) -> None:
    codes, subjects, targets, effects = draw(n, dim)
    # Standardisations that differ between the probes and from the codes' own.
    probes = {t: probe(e, t) for t, e in zip(ALL, effects, strict=True)}
    directions = targeted_directions(codes, subjects, targets, probes)
    for task, direction in directions.items():
        for amount in (0.5, -0.5):
            moved = manipulated_code(torch.as_tensor(codes), direction, amount).numpy()
            change = {t: probes[t].score(moved) - probes[t].score(codes) for t in probes}
            own = change.pop(task)
            assert n < 20 or (np.sign(amount) * own > 0.01).all()
            for others in change.values():
                np.testing.assert_allclose(others, 0, atol=1e-9)
            # As long as the paper's: a root mean square of a SD per entry.
            deviations = (moved - codes) / codes.std(0)
            np.testing.assert_allclose(np.sqrt((deviations**2).mean(1)), 0.5)


def test_a_targeted_edit_is_as_near_to_the_true_effect_as_the_others_allow() -> None:
    codes, subjects, targets, effects = draw(40000, 6)
    weights = np.random.default_rng(1).normal(size=6)
    probes = {"ad_vs_cn": probe(effects[0], "ad_vs_cn"), "age": probe(weights)}
    found = targeted_directions(codes, subjects, targets, probes)["ad_vs_cn"]
    # The unit of the regression's targets is their SD over all rows.
    deviation = np.nan_to_num(targets["ad_vs_cn"] - np.nanmean(targets["ad_vs_cn"])).std()
    true = effects[0] / found.std * deviation
    w = weights * found.std / probes["age"].std
    precision = np.linalg.inv(np.corrcoef(codes.T))

    def distance(move: np.ndarray) -> float:
        return float((move - true) @ precision @ (move - true))

    free = np.linalg.svd(w[None])[2][1:]
    for other in found.vector + np.random.default_rng(2).normal(size=(20, 5)) @ free:
        assert w @ other == pytest.approx(0, abs=1e-9)
        assert distance(other) > distance(found.vector)


def test_the_effect_is_what_an_attribute_does_to_those_alike_in_the_others() -> None:
    codes, subjects, targets, effects = draw(60_000, 4)
    probes = {task: probe([1.0, 2.0, 3.0, 4.0], task) for task in ALL}
    found = find_directions("effect", codes, subjects, targets, probes)
    assert set(found) == set(ALL)
    for task, effect in zip(ALL, effects, strict=True):
        direction = found[task]
        moved = manipulated_code(torch.zeros(1, 4, dtype=torch.float64), direction, 1.0)[0]
        origin = manipulated_code(torch.zeros(1, 4, dtype=torch.float64), direction, 0.0)[0]
        cosine = torch.cosine_similarity(moved - origin, torch.tensor(effect), dim=0)
        assert cosine > 0.99, task
    with pytest.raises(ValueError, match="no kind of edit"):
        find_directions("sideways", codes, subjects, targets, probes)
    with pytest.raises(ValueError, match="at least two codes"):
        find_directions("effect", codes[:1], subjects[:1], targets, probes)


def test_a_single_attribute_is_edited_along_its_effect_between_participants() -> None:
    codes, subjects, targets, _ = draw(40000, 6)
    alone = targeted_directions(codes, subjects, targets, {"age": probe([1.0] * 6)})["age"]
    slope = np.cov(np.column_stack([codes, targets["age"]]).T)[:-1, -1] / codes.std(0)
    cosine = alone.vector @ slope / np.linalg.norm(alone.vector) / np.linalg.norm(slope)
    assert cosine == pytest.approx(1, abs=1e-6)


def test_what_reads_like_the_edited_attribute_is_not_held(
    caplog: pytest.LogCaptureFixture,
) -> None:
    codes, subjects, targets, _ = draw(400, 3)
    probes = {
        "ad_vs_cn": probe([1.0, 2.0, 0.0], "ad_vs_cn"),
        "age": probe([0.0, 0.0, 1.0]),
        "sex": probe([2.0, 4.0, 0.0], "sex"),
    }
    disease = targeted_directions(codes, subjects, targets, probes)["ad_vs_cn"]
    assert "editing ad_vs_cn cannot hold sex: its probe reads what" in caplog.text
    moved = manipulated_code(torch.as_tensor(codes), disease, 1.0).numpy()
    change = {t: (p.score(moved) - p.score(codes)).mean() for t, p in probes.items()}
    assert change["age"] == pytest.approx(0, abs=1e-9)
    assert change["sex"] == pytest.approx(2 * change["ad_vs_cn"]) and abs(change["sex"]) > 0.01


@pytest.mark.parametrize(
    ("task", "score", "held"),
    [
        ("sex", 0.5, False),
        # 200 participants of both sexes, about half as often with both: 0.5 + 2.33 · 0.036
        ("sex", 0.57, False),
        ("sex", 0.60, True),
        ("sex", -math.inf, False),  # no fold had both
        ("age", -90.0, False),  # mean squared error, years²; the variance of age is about 52
        ("age", -51.0, False),
        ("age", -45.0, True),
    ],
)
def test_only_what_a_probe_reads_is_held(task: str, score: float, *, held: bool) -> None:
    """Weights of a probe at chance are noise, which would take a part of the effect away."""
    codes, subjects, targets, effects = draw(400, 6)
    weights = np.random.default_rng(1).normal(size=6)
    probes = {"ad_vs_cn": probe(effects[0], "ad_vs_cn"), task: probe(weights, task, score)}
    disease = targeted_directions(codes, subjects, targets, probes)["ad_vs_cn"]
    moved = manipulated_code(torch.as_tensor(codes), disease, 1.0).numpy()
    change = (probes[task].score(moved) - probes[task].score(codes)).mean()
    assert (change == pytest.approx(0, abs=1e-9)) == held


def test_codes_and_probes_that_give_no_targeted_edit_are_reported() -> None:
    codes, subjects, targets, _ = draw(50, 3)
    with pytest.raises(ValueError, match="probe of age reads nothing"):
        targeted_directions(codes, subjects, targets, {"age": probe([0.0, 0.0, 0.0])})
    with pytest.raises(ValueError, match="at least two codes, all finite"):
        targeted_directions(codes[:1], subjects[:1], targets, {"age": probe([1.0, 0.0, 0.0])})


def test_halves_share_no_participant(store: VolumeStore) -> None:
    a, b = halve_subjects(store.index, 0)
    subjects = store.index["subject"].to_numpy()
    assert not set(subjects[a]) & set(subjects[b])
    assert sorted([*a, *b]) == store.rows("train").tolist()


class GroupAsTruth:
    """Effects that are the training participants' own differences, the same for all."""

    def __init__(self, store: VolumeStore) -> None:
        effects = {task: group_effect(store, task, DIAGNOSES) for task in TASKS}
        self.maps = {task: effect.astype(np.float32) for task, effect in effects.items()}
        self.base = store.volumes[:1].astype(np.float32)

    def of(self, attribute: str, scans: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        repeated = np.repeat(self.maps[attribute][None], len(scans), 0)
        return np.repeat(self.base, len(scans), 0), repeated


TASKS = ("ad_vs_cn", "age")
Edited = tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def edited(store: VolumeStore) -> Edited:
    model = ToyModel()
    scores, examples = manipulate_attribute(
        store,
        {"ldae": model, "ldae_targeted": model},
        {"ldae": encode_semantics(model.semantic_code, store, 32, model.device)},
        template_volumes(
            measure_region_volumes(
                store, region_atlas(SHAPE, affine()), pd.Series(1.1, index=store.index["scan"])
            )
        ),
        region_atlas(SHAPE, affine()),
        GroupAsTruth(store),
        probing=ProbeSettings([0.01, 1.0], [10.0, 1000.0], 3, 10, DIAGNOSES),
        scans=store.index["scan"].iloc[choose_rows(store.index, "test", 8, seed=0)].tolist(),
        settings=EditSettings([-0.5, -0.25, 0.25, 0.5], n_steps=8, batch_size=5),
        seed=0,
        methods=EDITED,
    )
    table = tabulate_scores(
        scores.assign(seed=0, split="test"),
        "manipulation",
        STUDY,
        cohort="toy",
        n_bootstrap=50,
        seed=0,
    )
    return scores, table, examples


def chosen(table: pd.DataFrame, metric: str, **where: object) -> pd.Series:
    """Values of a metric of the model's edits of disease, by amount."""
    rows = table[(table["metric"] == metric) & (table["method"] == "ldae")]
    for column, value in ({"task": "ad_vs_cn"} | where).items():
        rows = rows[rows[column] == value]
    return rows.set_index("amount")["value"]


def test_dose_and_response(edited: Edited) -> None:
    _, table, examples = edited
    assert list(table.columns) == table_columns("manipulation")
    for judge in ("code", "voxels", "volumes"):
        response = chosen(table, "response", attribute="ad_vs_cn", judge=judge)
        assert response[0.0] == 0 and response.is_monotonic_increasing
    ventricles = chosen(table, "ventricle_change_ml")
    assert ventricles[0.5] > 0 > ventricles[-0.5]
    assert chosen(table, "ventricle_change_spearman").item() > 0.5
    assert examples["ad_vs_cn"].shape == (5, *SHAPE) and examples["age"].shape == (5, *SHAPE)


def test_targeted_edits_stand_beside_the_papers(edited: Edited) -> None:
    scores, table, _ = edited
    assert set(scores["method"]) == {"ldae", "ldae_targeted", "group_difference"}
    keys = ["task", "attribute", "judge", "metric", "amount", "region", "scan"]
    paper, targeted = (
        scores.loc[scores["method"] == method, [*keys, "value", "note"]]
        for method in ("ldae", "ldae_targeted")
    )
    both = paper.merge(targeted, on=[*keys, "note"], validate="one_to_one")
    assert len(both) == len(paper) == len(targeted)
    # One unedited decoding, the same participants and judges for both.
    same = both["metric"].isin(["participant_slope", "truth_ceiling"]) | (both["amount"] == 0)
    np.testing.assert_array_equal(both.loc[same, "value_x"], both.loc[same, "value_y"])
    responses = both[(both["metric"] == "response") & ~same]
    assert (responses["value_x"] != responses["value_y"]).all()
    rising = table[
        (table["method"] == "ldae_targeted") & (table["metric"] == "response")
        & (table["attribute"] == table["task"]) & (table["amount"] == 0.5)
        & (table["judge"] == "code")
    ]  # fmt: skip
    assert len(rising) == 2 and (rising["value"] > 0).all()
    ratios = table[(table["metric"] == "off_target_ratio") & (table["judge"] == "code")]
    ratio = ratios.set_index(["method", "task", "attribute"])["value"]
    assert ratio["ldae_targeted", "ad_vs_cn", "age"] < ratio["ldae", "ad_vs_cn", "age"]


def test_responses_count_in_sds_between_participants(edited: Edited, store: VolumeStore) -> None:
    scores, _, _ = edited
    # What the attribute does to participants, in the same unit: the groups' distance over the SD
    # of everyone, at most 2 for two groups of one size, and near it where they hardly overlap.
    slopes = scores[(scores["metric"] == "participant_slope") & (scores["task"] == "ad_vs_cn")]
    own = slopes[(slopes["attribute"] == "ad_vs_cn") & (slopes["judge"] == "voxels")]
    assert 1.5 < own["value"].mean() <= 2.0
    half_a, _ = halve_subjects(store.index, 0)
    assert set(own["scan"]) == set(store.index["scan"].iloc[half_a])
    years = scores[(scores["metric"] == "response_years") & (scores["task"] == "age")]
    top = years[(years["amount"] == 0.5) & (years["judge"] == "code")]["value"]
    assert 1 < top.mean() < 100


def test_true_map_that_is_the_group_difference_is_recognised(edited: Edited) -> None:
    scores, table, _ = edited
    trivial = scores[
        (scores["method"] == "group_difference") & (scores["metric"] == "truth_correlation")
    ]
    np.testing.assert_allclose(trivial["value"], 1, atol=1e-5)
    assert trivial["scan"].nunique() == 8 and set(trivial["task"]) == set(TASKS)
    with_truth = chosen(table, "truth_correlation").dropna()
    with_group = chosen(table, "map_correlation").dropna()
    np.testing.assert_allclose(with_truth, with_group, atol=1e-5)
    # Right for both signs of a, because the direction is.
    assert (with_truth > 0.3).all() and 0.5 in with_truth.index and -0.5 in with_truth.index
    assert chosen(table, "truth_agreement").dropna().iloc[-1] == 1


def test_agreement_has_the_sign_of_the_edit() -> None:
    truth = np.random.default_rng(0).normal(size=(2, *SHAPE))
    mask = torch.ones(2, 1, *SHAPE, dtype=torch.bool)
    frames = pd.concat(agreement_of_change(np.stack([truth[0], -truth[1]]), truth[0], truth, mask))
    values = frames.set_index(["metric", "sample"])["value"]
    assert values["truth_correlation", 0] == pytest.approx(1)
    assert values["truth_correlation", 1] == pytest.approx(-1)
    assert values["truth_agreement"].tolist() == [1, 0]
    assert values["map_correlation", 0] == pytest.approx(1)


def test_what_passes_the_autoencoder_bounds_the_agreement(store: VolumeStore) -> None:
    class Clear(ToyModel):
        """Its latent is the scan."""

        def to_latent(self, x: torch.Tensor) -> torch.Tensor:
            return x

        def from_latent(self, z_0: torch.Tensor) -> torch.Tensor:
            return z_0

    x, mask = store.batch([0, 1]), store.mask_batch([0, 1])
    base = x[:, 0].numpy()
    # Darker where the scan is bright: no value leaves [0, 1].
    truth = -0.1 * base
    assert autoencoder_ceiling(Clear(), x, mask, x, base, truth) == pytest.approx(1, abs=1e-4)
    toy = ToyModel()
    blurred = autoencoder_ceiling(toy, x, mask, toy.from_latent(toy.to_latent(x)), base, truth)
    assert (blurred < 0.9).all() and (blurred > 0.1).all()


def kept_identity(values: list[float]) -> pd.Series:
    rows = [
        {"subject": f"p{i}", "scan": f"s{i}", "value": value, "amount": 0.5}
        for i, value in enumerate(values)
    ]
    scores = pd.DataFrame(rows).assign(
        method="ldae", task="age", attribute="", judge="", steps=20, region="", note="", seed=0,
        split="test", metric="identity_kept",
    )  # fmt: skip
    table = tabulate_scores(scores, "manipulation", STUDY, cohort="toy", n_bootstrap=200, seed=0)
    return table[table["amount"].isna()].iloc[0]


def test_few_participants_who_agree_prove_little() -> None:
    six = kept_identity([1.0] * 6)
    assert six["value"] == six["ci_high"] == 1
    assert six["ci_low"] == pytest.approx(0.025 ** (1 / 6))
    assert kept_identity([1.0] * 80)["ci_low"] > 0.95
    assert kept_identity([1.0] * 5 + [0.0])["ci_low"] < 0.6
    alone = kept_identity([np.nan] * 3)
    assert np.isnan(alone["value"]) and "another visit" in alone["note"]


def test_off_target_ratio_is_that_of_the_slopes() -> None:
    rows = []
    for metric, on, off in (("response_slope", 2.0, 0.5), ("participant_slope", 1.0, -0.8)):
        for i in range(20):
            common = {"task": "ad_vs_cn", "judge": "code", "scan": f"s{i}", "subject": f"p{i}"}
            wiggle = 0.1 * (-1) ** i
            rows.append(common | {"metric": metric, "attribute": "ad_vs_cn", "value": on})
            rows.append(common | {"metric": metric, "attribute": "sex", "value": off + wiggle})
    scores = pd.DataFrame(rows).assign(
        method="ldae", steps=20, amount=np.nan, region="", note="", seed=0, split="test"
    )
    table = tabulate_scores(scores, "manipulation", STUDY, cohort="toy", n_bootstrap=200, seed=0)
    ratio = table.set_index("metric")
    assert ratio.loc["off_target_ratio", "value"] == pytest.approx(0.25)
    assert ratio.loc["off_target_ratio_participants", "value"] == pytest.approx(0.8)
    low, high = ratio.loc["off_target_ratio", ["ci_low", "ci_high"]]
    assert low < 0.25 < high < 0.3
    assert ratio.loc["off_target_ratio", "n_subjects"] == 20
    # the same mean response, of participants who disagree whether there is one
    unsure = scores.copy()
    edited = (unsure["metric"] == "response_slope") & (unsure["attribute"] == "ad_vs_cn")
    unsure.loc[edited, "value"] = 2.0 + 40.0 * (-1.0) ** np.arange(20)
    table = tabulate_scores(unsure, "manipulation", STUDY, cohort="toy", n_bootstrap=200, seed=0)
    ratio = table.set_index("metric")
    assert ratio.loc["response_slope", "value"].max() == pytest.approx(2.0)
    assert ratio.loc["off_target_ratio", ["value", "ci_low", "ci_high"]].isna().all()
    assert ratio.loc["off_target_ratio", "note"].startswith(NO_RATIO)
    assert ratio.loc["off_target_ratio_participants", "value"] == pytest.approx(0.8)
    unjudged = scores[scores["attribute"] == "sex"]
    table = tabulate_scores(unjudged, "manipulation", STUDY, cohort="toy", n_bootstrap=200, seed=0)
    assert set(table["metric"]) == {"response_slope", "participant_slope"}, "no ratio to nothing"
