"""Seals of the records."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from ldae.errors import InputError
from ldae.provenance.record import write_record
from ldae.provenance.seal import (
    PLACEHOLDER,
    SEALS,
    page_digest,
    plain_digest,
    read_seals,
    seal_page,
    seal_records,
    unsealed_records,
)
from ldae.provenance.signature import sign_seal, signed_by


def add(results, *names: str) -> None:
    for name in names:
        write_record(results / "records/rule", name, {"name": name})


def test_each_seal_contains_the_digest_of_the_previous_one(tmp_path):
    assert seal_records(tmp_path) is None
    add(tmp_path, "a", "b")
    first = seal_records(tmp_path)
    assert seal_records(tmp_path) == first, "there must be no new seal without new records"
    add(tmp_path, "c")
    second = seal_records(tmp_path)
    assert (second.number, second.previous) == (2, first.digest)
    assert set(first.records) == {"rule/a.json", "rule/b.json"}
    assert set(second.records) == {"rule/c.json"}
    assert [seal.digest for seal in read_seals(tmp_path)] == [first.digest, second.digest]


def test_processes_that_seal_at_once_leave_one_chain(tmp_path):
    def work(number: int) -> None:
        for i in range(10):
            add(tmp_path, f"{number}-{i}")
            seal_records(tmp_path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    seals = read_seals(tmp_path)
    assert [seal.number for seal in seals] == list(range(1, len(seals) + 1))
    for before, after in pairwise(seals):
        assert after.previous == before.digest
    assert sum(len(seal.records) for seal in seals) == 40
    assert unsealed_records(tmp_path, seals) == []


def test_invalid_seal_is_an_error(tmp_path):
    add(tmp_path, "a")
    seal_records(tmp_path)
    next((tmp_path / SEALS).glob("*.json")).write_text("{}")
    with pytest.raises(InputError, match=r"000001\.json: the file is not a seal"):
        seal_records(tmp_path)


def test_page_shows_the_seal_that_covers_it(tmp_path):
    add(tmp_path, "a")
    page = tmp_path / "report.html"
    page.write_text(f"<p>{PLACEHOLDER}</p><p>{PLACEHOLDER}</p>")
    seal = seal_page(tmp_path, page)
    assert page.read_text() == f"<p>{seal.digest}</p><p>{seal.digest}</p>"
    assert seal.page == page_digest(page, seal) and set(seal.records) == {"rule/a.json"}
    page.write_text(page.read_text().replace("<p>", "<b>", 1))
    assert seal.page != page_digest(page, seal)
    with pytest.raises(InputError, match="no place for the digest"):
        seal_page(tmp_path, page)


@pytest.mark.parametrize(
    "noted", ["a" * 64, "A" * 64, "aaaaaaaa", " aaaa-aaaa-aaaa ", f"sha256:{'a' * 64}"]
)
def test_noted_digest_may_be_spelt_in_several_ways(noted):
    assert ("a" * 64).startswith(plain_digest(noted))


@pytest.mark.parametrize("noted", ["", "aaaaaaa", "a" * 65, "report.html"])
def test_what_is_no_digest_is_refused(noted):
    with pytest.raises(InputError, match="no digest of a seal"):
        plain_digest(noted)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_signature_names_its_signer(tmp_path):
    for name in ("ada", "eve"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name]
        subprocess.run(command, check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.org {(tmp_path / 'ada.pub').read_text()}")
    add(tmp_path, "a")
    seal = seal_records(tmp_path)
    assert signed_by(tmp_path, seal, signers) is None
    sign_seal(tmp_path, seal, tmp_path / "eve")
    with pytest.raises(ValueError, match="no allowed signer"):
        signed_by(tmp_path, seal, signers)
    signature = sign_seal(tmp_path, seal, tmp_path / "ada")
    assert signed_by(tmp_path, seal, signers) == "ada@example.org"
    add(tmp_path, "b")
    later = seal_records(tmp_path)
    shutil.copy(signature, signature.with_name("000002.json.sig"))
    with pytest.raises(ValueError, match="not of this seal"):
        signed_by(tmp_path, later, signers)
    with pytest.raises(InputError, match="cannot be signed"):
        sign_seal(tmp_path, later, tmp_path / "nobody")
