"""The viewer: its page, the scenes of studies and of files, and who may open it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from report_toy import CONFIG

from ldae.__main__ import main
from ldae.data.addresses import Derivative, derivative_address
from ldae.errors import InputError
from ldae.methods import study_methods
from ldae.provenance.history import History
from ldae.viewer.files import build_files_page
from ldae.viewer.page import STEPS, Scene, Shown, Volume, build_page
from ldae.viewer.server import PageServer
from ldae.viewer.strips import draw_strip, draw_strips
from ldae.viewer.study import (
    SCENES,
    SHOWN_BY,
    read_study_page,
    scenes_of_scans,
    study_scenes,
)
from ldae.workflow.study import VIEWED

SHAPE = (6, 7, 5)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = -12
RNG = np.random.default_rng(0)
BRAIN = RNG.uniform(0.2, 1.0, SHAPE).astype(np.float32)


def data_of(page: str) -> dict[str, Any]:
    """What the page's script reads."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    found: dict[str, Any] = json.loads(text)
    return found


def volume_of(data: dict[str, Any], number: int) -> nib.Nifti1Image:
    """A volume as niivue reads it."""
    return nib.Nifti1Image.from_bytes(
        gzip.decompress(base64.b64decode(data["volumes"][number]["nifti"]))
    )


def scene(*labels: str, **options: Any) -> Scene:
    """A scene with a reference and brighter and brighter stops."""
    real = Shown("real", Volume(BRAIN, AFFINE))
    stops = [
        Shown(label, Volume(BRAIN + 0.1 * k, AFFINE), base=real) for k, label in enumerate(labels)
    ]
    return Scene("key", "Title", "Text.", "Amount", stops, reference=real, **options)


def test_what_is_shipped_of_niivue_is_what_npm_has() -> None:
    folder = files("ldae.viewer") / "niivue"
    origin = json.loads((folder / "niivue.json").read_text())
    code = (folder / "niivue.umd.js").read_bytes()
    assert hashlib.sha256(code).hexdigest() == origin["sha256"]
    assert b"</script" not in code and b"<!--" not in code, "it stands inside an HTML element"
    assert "Copyright (c) 2021, Niivue" in (folder / "LICENSES.txt").read_text()


def test_page_has_every_volume_once_with_its_place() -> None:
    page = build_page("Toy", "Note", [scene("a", "b"), scene("c")])
    data = data_of(page)
    first, second = data["scenes"]
    assert first["reference"]["volume"] == first["stops"][0]["base"]["volume"]
    assert len(data["volumes"]) == 5, "two references, of which each is a base too, and three stops"
    image = volume_of(data, first["stops"][1]["volume"])
    assert np.allclose(image.affine, AFFINE)
    assert np.abs(image.get_fdata() / STEPS - (BRAIN + 0.1)).max() <= 0.5 / STEPS
    assert image.header["cal_max"] == STEPS
    assert first["limit"] == pytest.approx(0.1, rel=0.01) and second["limit"] == 0.02


def test_page_can_be_made_again_and_loads_nothing() -> None:
    page = build_page("Toy", "Note", [scene("a")])
    assert page == build_page("Toy", "Note", [scene("a")])
    assert "default-src 'none'" in page and "connect-src" not in page
    around = page.partition("<script>")[0]
    assert not re.search(r"\b(src|href)=", around)


def test_names_cannot_become_part_of_the_page() -> None:
    page = build_page("</script><script>alert(1)", "<b>", [scene("</script><img src=x>")])
    assert "alert(1)" not in page.replace("\\u003cscript>alert(1)", "")
    assert data_of(page)["title"] == "</script><script>alert(1)"


# files


def write(
    folder: Path, name: str, record: dict[str, Any] | None = None, *, shape: tuple[int, ...] = SHAPE
) -> Path:
    """A NIfTI file and the record beside it."""
    path = folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(RNG.uniform(0, 900, shape).astype(np.float32), AFFINE), path)
    if record is not None:
        (folder / f"{name}.json").write_text(json.dumps(record))
    return path


def edit(amount: float, space: str = "own") -> dict[str, Any]:
    return {"operation": "edit", "attribute": "age", "amount": amount, "space": space}


def visit(month: float) -> dict[str, Any]:
    return {"operation": "interpolate", "at": 0.5, "months": [0, 24, month], "space": "own"}


@pytest.mark.parametrize(
    ("records", "key", "ticks"),
    [
        ([None, edit(0.6), edit(-0.4)], "edit-0", ["−0.4", "0", "+0.6"]),
        ([edit(0.6), None, edit(0.2)], "edit-0", ["0", "+0.2", "+0.6"]),
        ([None, visit(18), visit(6)], "interpolation-0", ["0", "6", "18"]),
        ([None, {"operation": "interpolate", "at": 0.25, "months": None}], "interpolation-0",
         ["0", "0.25"]),
        ([None, None, {"operation": "reconstruct"}], "files", ["1.nii.gz", "2.nii.gz"]),
        ([None], "files", ["0.nii.gz"]),
    ],
)  # fmt: skip
def test_records_order_the_files(
    tmp_path: Path, records: list[dict[str, Any] | None], key: str, ticks: list[str]
) -> None:
    paths = [write(tmp_path, str(k), record) for k, record in enumerate(records)]
    (only,) = data_of(build_files_page(paths))["scenes"]
    assert only["key"] == key.replace("interpolation", "interpolate")
    assert [stop["tick"] for stop in only["stops"]] == ticks
    assert only["slider"] == (key != "files")


def test_files_on_other_grids_are_not_subtracted(tmp_path: Path) -> None:
    head = write(tmp_path, "head")
    own = write(tmp_path, "own", edit(0.5))
    template = write(tmp_path, "template", edit(0.5, "MNI"), shape=(4, 4, 4))
    first, second = data_of(build_files_page([head, own, template]))["scenes"]
    assert [bool(stop["base"]) for stop in first["stops"]] == [False, True]
    assert [bool(stop["base"]) for stop in second["stops"]] == [False]
    assert second["title"] == "Edit, age, template space"


def test_maps_of_change_beside_images_are_left_out(tmp_path: Path) -> None:
    names = [("head", None), ("edited", edit(0.5)), ("change", edit(0.5) | {"image": "change"})]
    paths = [write(tmp_path, name, record) for name, record in names]
    assert build_files_page(paths) == build_files_page(paths[:2])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.nii.gz", "there is no such file"), ("text.txt", "this is no NIfTI file"),
        ("broken.nii.gz", "cannot be read"), ("series.nii.gz", "it has 4 dimensions"),
        ("change.nii.gz", "a map of a change"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_shown(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "text.txt").touch()
    (tmp_path / "broken.nii.gz").write_bytes(b"x")
    write(tmp_path, "series", shape=(*SHAPE, 2))
    write(tmp_path, "change", edit(0.5) | {"image": "change"})
    with pytest.raises(InputError, match=problem):
        build_files_page([tmp_path / name])


# studies


def volumes(*leading: int) -> np.ndarray:
    return RNG.uniform(0, 1, (*leading, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a finished study, what the viewer reads."""
    folder = tmp_path_factory.mktemp("results")
    kept: dict[str, dict[str, Any]] = {
        "reconstruction": {
            "scan": np.array(["sub-1", "sub-2"]), "steps": 100, "voxel_steps": 20,
            "original": volumes(2), "mask": volumes(2) > 0, "ldae": volumes(2),
            "autoencoder": volumes(2),
        },
        "manipulation": {
            "scan": "sub-1", "method": "ldae", "amounts": np.array([-0.5, 0.0, 0.5]),
            "original": volumes(), "mask": volumes() > 0, "age": volumes(3), "ad_vs_cn": volumes(3),
        },
        "interpolation": {
            "subject": "sub-2", "months": np.array([0.0, 12, 24]), "visit_a": volumes(),
            "real": volumes(), "visit_b": volumes(), "sequence": volumes(3),
            "sequence_alpha": np.array([0.0, 0.5, 1.0]), "ldae": volumes(), "mask": volumes() > 0,
        },
    }  # fmt: skip
    for name, arrays in kept.items():
        path = folder / f"examples/{name}/seed-0.npz"
        path.parent.mkdir(parents=True)
        np.savez_compressed(path, training_seed=0, **arrays)
    tables = {
        "qc/qc.tsv": {"scan": ["sub-1", "sub-2"], "status": "pass", "reason": ""},
        "volumes/index.tsv": {"scan": ["sub-1", "sub-2"], "subject": ["sub-1", "sub-2"],
                              "session": "", "split": "test", "months": 0.0, "row": [0, 1]},
        "manifest/scans.tsv": {"scan": ["sub-1", "sub-2"], "subject": ["sub-1", "sub-2"],
                               "age": [70.0, 71.0], "diagnosis": "CN", "session": "", "sex": "F",
                               "months": 0.0, "site": "", "path": ["a", "b"], "sha256": "0"},
    }  # fmt: skip
    for name, columns in tables.items():
        (folder / name).parent.mkdir()
        pd.DataFrame(columns).to_csv(folder / name, sep="\t", index=False)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    for scan in ("sub-1", "sub-2"):
        path = folder / "preprocessed" / derivative_address(scan, Derivative.VOLUME)
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(volumes(), AFFINE), path)
    return folder


def test_a_study_shows_what_it_has_kept(results: Path) -> None:
    data = data_of(read_study_page(results))
    scenes = {one["key"]: one for one in data["scenes"]}
    assert list(scenes) == [
        "reconstruction", "reconstruction-sub-2", "edit-age", "edit-ad_vs_cn", "interpolation",
        "middle-visit", "scans",
    ]  # fmt: skip
    assert {SHOWN_BY[figure] for figure in SHOWN_BY} <= set(scenes)
    assert "simulated" in data["note"]
    ticks = {key: [stop["tick"] for stop in one["stops"]] for key, one in scenes.items()}
    assert ticks["edit-age"] == ["−0.5", "0", "+0.5"]
    assert ticks["interpolation"] == ["0 original", "0", "12", "24", "24 original"]
    assert ticks["scans"] == ["sub-1", "sub-2"]
    bases = [stop["base"] and stop["base"]["label"] for stop in scenes["interpolation"]["stops"]]
    decoded, real = "original visit, decoded, month 0", "original visit, month 0"
    assert bases == [None, None, decoded, decoded, real]
    edited = np.load(results / "examples/manipulation/seed-0.npz")["age"][2]
    image = volume_of(data, scenes["edit-age"]["stops"][2]["volume"])
    assert np.abs(image.get_fdata() / STEPS - edited).max() <= 0.5 / STEPS
    assert np.allclose(image.affine, AFFINE)


def test_what_was_kept_is_drawn_by_scan(results: Path) -> None:
    kept = {name: results / f"examples/{name}/seed-0.npz" for name in SCENES}
    index = pd.DataFrame(
        {"scan": ["sub-2_ses-a", "sub-2_ses-b"], "subject": "sub-2", "months": [0.0, 12.0]}
    )
    methods = study_methods(CONFIG)
    scenes = study_scenes(CONFIG, methods, kept, AFFINE, index)
    assert {one.key: one.scan for of in scenes.values() for one in of} == {
        "reconstruction": "sub-1", "edit-age": "sub-1", "edit-ad_vs_cn": "sub-1",
        "reconstruction-sub-2": "sub-2",
        "interpolation": "sub-2_ses-b", "middle-visit": "sub-2_ses-b",  # the predicted visit
    }  # fmt: skip
    first = scenes["manipulation"][0]
    nobody = replace(scenes["interpolation"][0], scan="")  # it is not listed
    some = {"manipulation": [first], "interpolation": [nobody]}
    ((scan, (edit,)),) = draw_strips(some, kept, History(results, ())).items()
    assert (scan, edit.title, edit.scene) == ("sub-1", "Edit, age", "edit-age")
    assert edit.caption.startswith(
        "Axial slices. First column: original scan sub-1. Other columns: amount a (SD per entry of "
        "the code). Below: the difference from “not edited, a = 0”, ±"
    )
    assert edit.picture.startswith(b"\x89PNG")
    assert draw_strip(first)[0] == edit.picture


def test_scans_lead_to_their_reconstructions(results: Path) -> None:
    kept = {"reconstruction": results / "examples/reconstruction/seed-0.npz"}
    assert scenes_of_scans(kept, ["sub-0", "sub-2"]) == {
        "sub-0": "scans:sub-0", "sub-2": "reconstruction-sub-2", "sub-1": "reconstruction",
    }  # fmt: skip
    assert tuple(SCENES) == VIEWED and scenes_of_scans({}, []) == {}


# the command and its server


def test_the_command_writes_a_page(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, page = write(tmp_path, "head"), tmp_path / "pages/view.html"
    assert main(["view", str(head), "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"Wrote {page}\n"
    assert "Content-Security-Policy" in page.read_text()
    assert main(["view", str(head), "-o", str(page)]) == 2, "the file exists"
    assert main(["view", str(head), "-o", "/proc/page.html"]) == 1, "it cannot be written there"
    assert main(["view", str(results), str(head)]) == 2, "a study among files"
    assert main(["view", str(tmp_path)]) == 2, "a folder without a study"


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with PageServer("<p>π</p>", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "{path}", "127.0.0.1:{port}", 200), ("HEAD", "{path}", "localhost:{port}", 200),
        ("GET", "/", "127.0.0.1:{port}", 404), ("GET", "{path}../", "127.0.0.1:{port}", 404),
        ("GET", "/etc/passwd", "127.0.0.1:{port}", 404),
        ("GET", "{path}", "example.org:{port}", 404), ("GET", "{path}", "127.0.0.1", 404),
        ("POST", "{path}", "127.0.0.1:{port}", 501),
    ],
)  # fmt: skip
def test_only_the_page_is_served_and_only_to_who_knows_its_address(
    server: PageServer, method: str, path: str, host: str, status: int
) -> None:
    port = server.server_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Host": host.format(port=port)}
    connection.request(method, path.format(path=server.path), headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == status
    if status == 200:
        assert answer.headers["Cache-Control"] == "no-store"
        assert content == ("<p>π</p>".encode() if method == "GET" else b"")
    connection.close()


def test_a_port_that_is_taken_is_refused(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(InputError, match="the port cannot be used"):
        PageServer("", server.server_port)
