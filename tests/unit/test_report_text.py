"""What the report says in words: claims, cohort, methods, works, run times, scans to look at."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_toy import (
    AUC,
    CONFIG,
    GROWTH,
    LOSS,
    MADE,
    SIDE_EFFECT,
    SKILL,
    SPEEDUP,
    STUDY,
    gain,
    toy_cohort,
    toy_summary,
    toy_text,
    verdict_rows,
)

from ldae.conclusions.attribution import TRAINING, UNTRAINED
from ldae.methods import METHODS, Methods
from ldae.provenance.history import FileState, History, Job, Status
from ldae.report.cohort import Cohort
from ldae.report.effort import describe_effort
from ldae.report.links import lightest, links_of
from ldae.report.literature import as_bibtex, as_csl, read_literature, short_citation
from ldae.report.scans import (
    MOST_DRAWN,
    MOST_UNUSUAL,
    SMALL_STUDY,
    ScanCard,
    Strip,
    choose_scans,
    show_scans,
    tabulate_measures,
)
from ldae.report.summary import SIZE, SLOPE, ModelAnswer, summarise
from ldae.report.writeup import write_methods
from ldae.statistics.scores import NO_RATIO
from ldae.statistics.tables import tidy
from ldae.wording import counted, listed, ranged

NAN = float("nan")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            gain(-1.81, -2.94, -0.79, "fails"),
            "The mean absolute error of age is 1.81 years [0.79, 2.94] larger than with voxel PCA "
            "(80 participants).",
        ),
        (
            gain(0.86, 0.1, 1.67, "holds"),
            "The mean absolute error of age is 0.86 years [0.10, 1.67] smaller than with voxel PCA "
            "(80 participants).",
        ),
        (
            gain(0.86, NAN, NAN, "open", n_subjects=1),
            "The mean absolute error of age is 0.86 years (no interval) smaller than with voxel "
            "PCA (1 participant).",
        ),
        (
            gain(-0.005, -0.173, 0.17, "open", **AUC),
            "The AUC for Alzheimer's disease is 0.005 [−0.170, 0.173] lower than with voxel PCA "
            "(80 participants).",
        ),
        (
            gain(0.0, -0.194, 0.209, "open", **AUC),
            "The AUC for Alzheimer's disease differs by 0.000 [−0.194, 0.209] from that with "
            "voxel PCA (80 participants).",
        ),
        (
            gain(-0.0031, -0.0034, -0.0027, "fails", **LOSS),
            "The SSIM inside the brain is 0.0031 [0.0027, 0.0034] lower than with the autoencoder "
            "alone (80 participants; required: at most 0.002 lower).",
        ),
        (
            gain(-1.48, -1.7, -1.33, "fails", **SKILL, task=NAN, against=NAN),
            "The mean squared error of the predicted visit is 148 % [133, 170] larger than with "
            "the best baseline (80 participants).",
        ),
        (
            gain(0.08, 0.07, 0.09, "holds", **SKILL, task=NAN, against=NAN),
            "The mean squared error of the predicted visit is 8.0 % [7.0, 9.0] smaller than with "
            "the best baseline (80 participants).",
        ),
        (
            gain(-1, -1, -0.9, "fails", **GROWTH, against=NAN),
            "The ventricles shrink with the amount of an edit towards Alzheimer's disease: "
            "Spearman's ρ is −1.00 [−1.00, −0.90] (80 participants; required: at least 0.95).",
        ),
        (
            gain(0.64, 0.53, 0.77, "fails", **SIDE_EFFECT, against=NAN),
            "Edits of Alzheimer's disease move predicted age 0.64 times [0.53, 0.77] as far (in "
            "SD) as predicted Alzheimer's disease, both judged from regional volumes (80 "
            "participants; required: less than 0.2).",
        ),
        (
            gain(4, 3.9, 4.04, "holds", **SPEEDUP, task=NAN, against=NAN, n_scans=2),
            "Reconstruction is 4.0 times [3.9, 4.0] as fast as with the voxel DAE "
            "(2 scans at a time).",
        ),
    ],
)  # fmt: skip
def test_a_number_is_said_with_its_interval_and_subjects(
    row: dict[str, object], sentence: str
) -> None:
    answers = toy_summary(verdict_rows(row)).answers
    findings = [f for answer in answers for model in answer.models for f in model.findings]
    assert (row["verdict"], sentence) in [(f.verdict, f.text) for f in findings]


def test_every_claim_has_a_sentence_with_number_interval_and_participants() -> None:
    rows = verdict_rows(
        gain(0.9, 0.2, 1.6, "holds"),
        gain(0.001, 0.0, 0.002, "holds", **LOSS),
        gain(1.0, 0.97, 1.0, "holds", **GROWTH, against=NAN),
        gain(0.1, 0.05, 0.2, "holds", **SKILL, task=NAN, against=NAN),
        gain(4.0, 3.0, 5.0, "holds", **SPEEDUP, task=NAN, against=NAN),
    )
    answers = toy_summary(rows).answers
    assert [answer.claim for answer in answers] == [
        "Representation", "Reconstruction", "Manipulation", "Interpolation", "Speed",
    ]  # fmt: skip
    for answer in answers:
        assert answer.lead is not None and answer.lead.label == "LDAE"
        (finding,) = answer.lead.findings
        whose = "151 scans at a time" if answer.claim == "Speed" else "80 participants"
        assert re.search(rf"\d.* \[.+, .+\].* \({whose}", finding.text), finding.text


def test_the_recommended_model_is_named_beside_the_papers() -> None:
    rows = verdict_rows(
        gain(0.9, 0.2, 1.6, "holds"), gain(0.1, -0.2, 0.4, "open", method="ldae_anatomical")
    )
    summary = toy_summary(rows)
    label, tally = summary.recommended or ("", {})
    assert [m.label for m in summary.answers[0].briefly(label)] == ["LDAE", label]
    assert [m.label for m in summary.answers[0].briefly("")] == ["LDAE"]
    assert label == "anatomical LDAE" and tally == {"holds": 0, "open": 1, "fails": 0}
    assert toy_summary(verdict_rows(gain(0.9, 0.2, 1.6, "holds"))).recommended is None


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (TRAINING, "Training the code added a clear gain in prediction over its start."),
        (
            UNTRAINED.format("histogram_pca"),
            "Training the code added no clear gain in prediction over its start (PCA of local "
            "histograms).",
        ),
        ("something else", "This is due to something else."),
    ],
)
def test_a_finding_says_what_it_is_due_to(part: str, sentence: str) -> None:
    rows = verdict_rows(gain(1, 0.5, 2, "holds", earned_by=part))
    (finding,) = toy_summary(rows).answers[0].models[0].findings
    assert finding.owed == sentence and finding.text.endswith("(80 participants).")


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        ((1, 2, 0), "3 statements: 1 holds, 2 are open"),
        ((2, 1, 1), "4 statements: 2 hold, 1 is open, 1 fails"),
        ((9, 0, 0), "9 statements hold"),
        ((0, 0, 1), ""),
        ((0, 0, 0), ""),
    ],
)
def test_numbers_and_verbs_agree(tally: tuple[int, int, int], words: str) -> None:
    model = ModelAnswer("x", (), dict(zip(("holds", "open", "fails"), tally, strict=True)))
    assert model.statements == words


def test_wording() -> None:
    assert [counted(n, "scan") for n in (0, 1, 1200)] == ["0 scans", "1 scan", "1,200 scans"]
    assert (ranged(1, 1, "scan"), ranged(1, 3, "scan")) == ("1 scan", "1 to 3 scans")
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")


def test_side_effects_without_a_ratio_say_what_was_measured() -> None:
    slope = {"method": "ldae", "task": "ad_vs_cn", "judge": "volumes", "metric": SLOPE}
    numbers = [
        slope | {"attribute": attribute, "value": value, "ci_low": low, "ci_high": high}
        for attribute, value, low, high in (
            ("ad_vs_cn", -0.0046, -0.0068, -0.0021), ("age", 0.0102, 0.0072, 0.0131),
        )
    ]  # fmt: skip
    edits = tidy(numbers, "manipulation", cohort="toy", seeds={"ldae": [0]}, split="test")
    verdicts = verdict_rows(gain(NAN, NAN, NAN, "open", **SIDE_EFFECT, against=NAN, note=NO_RATIO))

    def said(edits: pd.DataFrame | None) -> str:
        summary = summarise(verdicts, STUDY, CONFIG["verdicts"], toy_cohort(), {}, edits)
        (finding,) = summary.answers[2].models[0].findings
        assert finding.verdict == "open"
        return finding.text

    assert said(edits) == (
        "Per unit of their amount, edits of Alzheimer's disease move predicted Alzheimer's disease "
        "by −0.005 SD [−0.007, −0.002] and predicted age by 0.010 SD [0.007, 0.013], both judged "
        "from regional volumes (80 participants). No verdict: a side effect counts as a share of "
        "the former, whose interval is not above zero."
    )
    assert (
        said(edits.iloc[:1])
        == said(None)
        == f"Side effects of edits: not judged, because {NO_RATIO}."
    )


def test_growth_with_an_edit_says_how_large_it_is() -> None:
    change = {"method": "ldae", "task": "ad_vs_cn", "metric": SIZE}
    numbers = [
        change | {"amount": amount, "value": value, "ci_low": value - 0.04, "ci_high": value + 0.04}
        for amount, value in ((-0.6, -0.05), (0.0, 0.0), (0.6, 0.01))
    ]
    edits = tidy(numbers, "manipulation", cohort="toy", seeds={"ldae": [0]}, split="test")
    verdicts = verdict_rows(gain(1, 1, 1, "holds", **GROWTH, against=NAN))
    summary = summarise(verdicts, STUDY, CONFIG["verdicts"], toy_cohort(), {}, edits)
    (finding,) = summary.answers[2].models[0].findings
    assert finding.text.endswith(
        "Spearman's ρ is 1.00 [1.00, 1.00] (80 participants; required: at least 0.95). At the "
        "amount 0.6 they change by 0.0 ml [0.0, 0.1]."
    )


def test_a_claim_that_could_not_be_judged_says_why() -> None:
    row = {**SKILL, "value": NAN, "verdict": "open", "note": "nobody has three visits"}
    summary = toy_summary(verdict_rows(row, gain(1, 0.5, 2, "holds")))
    by_question = {answer.question: answer for answer in summary.answers}
    (filled,) = (a for q, a in by_question.items() if "visit" in q)
    said = "Prediction of a visit: not judged, because nobody has three visits."
    assert filled.models[0].findings[0].text == said
    (edits,) = (a for q, a in by_question.items() if "edit" in q)
    assert edits.models[0].findings[0].text == "Not judged: no model was evaluated."
    nothing = toy_summary(None)
    assert nothing.answers == () and "no table of verdicts" in nothing.basis


def test_the_simplest_comparator_of_the_test_split_is_shown() -> None:
    rows = verdict_rows(
        gain(5, 4, 6, "holds", against="untrained"),
        gain(3, 2, 4, "holds", split="cv"),
        gain(1, 0.5, 2, "holds"),
    )
    answer = toy_summary(rows).answers[0].models[0]
    assert [f.text for f in answer.findings] == [
        "The mean absolute error of age is 1.00 years [0.50, 2.00] smaller than with voxel PCA "
        "(80 participants)."
    ]
    assert answer.tally == {"holds": 3, "open": 0, "fails": 0}
    others = toy_summary(rows[rows["against"] == "untrained"]).answers[0].models[0]
    assert "than with untrained encoder" in others.findings[0].text


def test_summary_knows_no_method_by_name() -> None:
    methods = Methods(m for m in METHODS if m.name not in ("ldae", "voxel_pca"))
    rows = verdict_rows(gain(1, 0.5, 2, "holds", method="ldae_joint", against="latent_mean"))
    summary = summarise(rows, methods, CONFIG["verdicts"], toy_cohort(), {})
    (model,) = summary.answers[0].models
    assert model.label == "LDAE, joint" and "pooled latents" in model.findings[0].text


def test_a_real_cohort_is_called_real() -> None:
    text = " ".join(toy_cohort(simulated=False).sentences())
    assert text.startswith("This is a real cohort.") and "simulated" not in text
    assert "Quality control excluded 1 scan." in text
    assert "simulated" not in text and "1 training participant (2 scans), 1 validation" in text


@pytest.mark.parametrize(("simulated", "oldest"), [(True, "92"), (False, "over 89")])
def test_ages_that_identify_a_participant_are_not_named(simulated: bool, oldest: str) -> None:
    cohort = Cohort("x", simulated, 1, 1, 0, None, (55.0, 92.0), {}, 1, {})
    assert cohort.demography() == f"aged 55 to {oldest} years"


def test_methods_text_can_be_cited(tmp_path: Path) -> None:
    text = toy_text()
    keys = set(re.findall(r"@([\w]+)", text.markdown))
    assert keys == {str(work["id"]) for work in text.works} and len(keys) > 15
    files = [tmp_path / name for name in ("m.md", "m.bib", "m.json")]
    text.write(*files)
    assert keys == {work["id"] for work in json.loads(files[2].read_text())}
    assert keys == set(re.findall(r"^@\w+\{(\w+),", files[1].read_text(), re.MULTILINE))
    for fact in (
        "4 participants with 5",
        "40 × 48 × 40 voxels of 4 mm",
        "PyTorch 2.13.0",
        "seed 0",
    ):
        assert fact in text.markdown, fact
    assert "{" not in text.markdown and "None" not in text.markdown
    page = " ".join(getattr(block, "html", "") for block in text.blocks)
    assert 'href="#ref-lozupone2026"' in page and "[@" not in page
    assert len(text.how_to_cite) == 2 and "LDAE" in text.how_to_cite[0]


def test_methods_text_follows_the_settings() -> None:
    config = CONFIG | {"preprocessing": CONFIG["preprocessing"] | {"brain_extraction": "deepbet"}}
    config |= {"training_seeds": [0, 1, 2]}
    real = toy_cohort(simulated=False)
    text = write_methods(config, real, STUDY, ["prior"], ["probes"], {}, MADE).markdown
    assert "deepbet [@fisch2024]" in text and "3 seeds (0, 1 and 2)" in text
    assert "Brain Imaging Data Structure" in text and "simulated" not in text
    assert "joint variant replaces" not in text and "middle visit" not in text
    assert "The anatomical LDAE is" not in text
    networks, tables = ["ldae_anatomical"], ["interpolation"]
    text = write_methods(config, real, STUDY, networks, tables, {}, MADE).markdown
    assert "The anatomical LDAE is a variant of this workflow" in text and "a head that" in text
    assert "(weight 10⁻⁸)" in text and "ldae_anatomical" not in text
    assert "[@lu2022; @zhao2023] (LDAE, multistep sampler; anatomical LDAE; " in text
    everything = write_methods(config, real, STUDY, CONFIG, tables, {}, MADE).markdown
    assert not re.search(r"\.[A-Z]", everything), "a space between sentences"


def test_methods_text_says_what_started_from_a_trained_model() -> None:
    def models(config: dict[str, object]) -> str:
        return write_methods(config, toy_cohort(), STUDY, [], [], {}, MADE).markdown

    assert "a model of another study" not in models(CONFIG)
    started = CONFIG | {"pretrained": "/data/model"}
    assert "another study also has started from its weights." in models(started)
    started["autoencoder"] = CONFIG["autoencoder"] | {"start": "frozen"}
    started["prior"] = CONFIG["prior"] | {"start": "scratch"}
    text = models(started)
    assert "weights, except prior; those of autoencoder were kept unchanged" in text
    assert "/data/model" not in text


def test_literature_is_complete() -> None:
    works = read_literature()
    for key, work in works.items():
        assert re.fullmatch(r"[a-z]+\d{4}", key) and key.endswith(
            str(work["issued"]["date-parts"][0][0])
        )
        assert work["author"] and work["title"] and short_citation(work)
    assert len(json.loads(as_csl(works.values()))) == len(works)
    bibtex = as_bibtex(works.values())
    assert bibtex.count("{") == bibtex.count("}") and "et al" not in bibtex


def job(case: str, n: int, status: Status, *outputs: str, **record: object) -> Job:
    start = MADE + timedelta(minutes=n)
    files = tuple(FileState(path, 1, "0" * 64) for path in outputs)
    rule = case.partition("/")[0]
    return Job(f"job-{n}", rule, {}, case, status, start, start, record, (), files)


def test_effort_counts_attempts_time_and_failures() -> None:
    gpu = {"device": {"kind": "cuda"}, "peak_memory": {"process_mib": 2048.0, "gpu_mib": 1024.0}}
    history = History(
        Path(),
        (
            job("train/a", 0, Status.FAILED, error={"type": "E", "message": "disk full\nmore"}),
            job("train/a", 1, Status.COMPLETED, wall_seconds=7200.0, **gpu),
            job("plot/x", 2, Status.UNENDED),
        ),
    )
    effort = describe_effort(history)
    train, plot = effort.rules
    assert (train.jobs, train.attempts, train.failed, train.gpu_hours) == (1, 2, 1, 2.0)
    assert (train.memory_gib, train.gpu_gib, plot.attempts) == (2.0, 1.0, 1)
    assert [(p.case, p.repeated) for p in effort.problems] == [("train/a", True), ("plot/x", False)]
    assert effort.problems[0].reason == "disk full"
    assert "2 jobs ran in 3 attempts, of which 2 failed" in effort.sentence
    assert "2.0 GPU hours" in effort.sentence


def test_the_report_does_not_count_its_own_attempt_as_failed() -> None:
    killed, own = (job("build_report", n, Status.UNENDED) for n in (1, 2))
    done = job("plot/x", 0, Status.COMPLETED)
    effort = describe_effort(History(Path(), (done, own)), "build_report")
    assert effort.problems == () and "1 job ran in 1 attempt, of which none" in effort.sentence
    effort = describe_effort(History(Path(), (done, killed, own)), "build_report")
    assert [(p.case, p.when) for p in effort.problems] == [("build_report", "2026-11-28 00:01")]


def quality(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "scan": [f"sub-{i}" for i in range(n)],
            "status": "pass",
            "reason": "",
            "brain_volume_ml": rng.normal(1400, 50, n),
            "scale": rng.normal(1, 0.01, n),
            "notes": "",
        }
    )
    table.loc[1, ["status", "reason"]] = ["excluded", "scale 2 is above 1.5"]
    table.loc[3, "scale"] = 1.3
    return table


def test_scans_to_look_at() -> None:
    every = choose_scans(quality(SMALL_STUDY), 0)
    assert len(every) == SMALL_STUDY and every["sub-1"] == "excluded: scale 2 is above 1.5"
    some = choose_scans(quality(500), 0)
    assert len(some) <= 1 + MOST_UNUSUAL + MOST_DRAWN and "unusual: scale 1.3" in some["sub-3"]
    assert list(some.values()).count("drawn at random") == MOST_DRAWN
    assert some == choose_scans(quality(500), 0)


def test_cards_show_what_there_is(tmp_path: Path) -> None:
    preview = "preprocessed/sub-1/figures/sub-1_desc-brain_T1w.jpg"
    history = History(tmp_path, (job("preprocess/b", 0, Status.COMPLETED, f"<results>/{preview}"),))
    index = pd.DataFrame({"scan": ["sub-1"], "split": "test", "age": NAN, "diagnosis": "AD"})
    table = quality(4).assign(notes=["", "NaN in the air", "", ""])
    chosen, scenes = {"sub-1": "drawn", "sub-2": "excluded"}, {"sub-1": "one", "sub-3": "two"}
    strip = Strip("Edit, age", "Slices.", b"", "edit-age", {})
    cards = show_scans(chosen, table, index, history, scenes, {"sub-3": [strip]})
    seen, kept, unseen = sorted(
        cards, key=lambda card: ["sub-1", "sub-3", "sub-2"].index(card.scan)
    )
    assert (kept.scan, kept.why, kept.scene) == ("sub-3", "an example of the evaluations", "two")
    assert (kept.strips, seen.strips) == ((strip,), ())
    assert (seen.why, seen.scene, unseen.scene) == ("drawn", "one", "")
    assert seen.preview == tmp_path / preview and seen.facts == "test split, AD; NaN in the air"
    assert seen.files["record"] == "records/preprocess/b/job-0.json"
    assert unseen.preview is None and unseen.files == {} and unseen.facts == "not used"


def test_measures_stand_below_the_median_of_scans_that_passed() -> None:
    table = quality(5).assign(cut_area_cm2=NAN)
    cards = [ScanCard(scan, "", "", None, {}) for scan in ("sub-3", "sub-1")]
    found = tabulate_measures(cards, table)
    assert list(found.columns) == ["scan", "brain_volume_ml", "scale"]
    assert list(found["scan"]) == ["median", "sub-3", "sub-1"]
    assert found.loc[0, "scale"] == f"{table['scale'].drop(1).median():.4g}"


def test_links_lead_to_what_one_job_wrote(tmp_path: Path) -> None:
    names = [f"<results>/figures/age.{kind}" for kind in ("png", "svg", "tsv")]
    history = History(tmp_path, (job("plot/age", 0, Status.COMPLETED, *names),))
    assert links_of(history, tmp_path / "figures" / "age.png") == {
        "SVG": "figures/age.svg", "PNG": "figures/age.png", "numbers (TSV)": "figures/age.tsv",
        "record": "records/plot/age/job-0.json",
    }  # fmt: skip
    assert links_of(history, tmp_path / "figures" / "other.png") == {}


@pytest.mark.parametrize(("size", "chosen"), [(5, "f.svg"), (50, "f.png")])
def test_the_smaller_picture_is_shown(tmp_path: Path, size: int, chosen: str) -> None:
    (tmp_path / "f.png").write_bytes(b"x" * 20)
    (tmp_path / "f.svg").write_bytes(b"x" * size)
    assert lightest(tmp_path / "f.png").name == chosen


def test_a_cohort_without_labels_has_sentences() -> None:
    cohort = Cohort("x", False, 1, 1, 0, None, None, {}, 1, {"test": (1, 1)})
    assert cohort.demography() == "" and (
        "It comprises 1 participant with 1 T1-weighted scan." in cohort.sentences()
    )
