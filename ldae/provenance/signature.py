"""Signatures of seals, by which a group can prove who sealed a study.

They are made and checked by OpenSSH (``ssh-keygen -Y``), with the keys that most users have already
and without a network. A signature lies beside its seal, as ``<number>.json.sig``. Who may sign is
listed in a file of allowed signers (``ssh-keygen(1)``), one a line: name and public key.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ldae.errors import InputError
from ldae.provenance.reading import read_regular
from ldae.provenance.seal import Seal

# Keeps a signature of a seal from being passed off as one of something else.
NAMESPACE = "ldae-seal"
SUFFIX = ".sig"
# Time for ssh-keygen, seconds; making a signature may wait for the passphrase of the key.
CHECK_SECONDS = 60


def sign_seal(results: Path, seal: Seal, key: Path) -> Path:
    """Sign a seal, and return the path of the signature; one that exists is replaced.

    Parameters
    ----------
    results
        Results folder.
    seal
        The seal.
    key
        Private key of OpenSSH, or a public one whose private key an agent holds.

    Raises
    ------
    InputError
        If OpenSSH is missing, or the key cannot be used.
    """
    path = results / seal.name
    target = path.with_name(path.name + SUFFIX)
    target.unlink(missing_ok=True)  # ssh-keygen would ask whether to replace it
    command = ["-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE, str(path)]
    done = subprocess.run([_program(), *command], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode or not target.is_file():
        problem = " ".join(done.stderr.split()) or "ssh-keygen failed"
        raise InputError(key, f"the seal cannot be signed ({problem})", "Name a key of OpenSSH.")
    return target


def signed_by(results: Path, seal: Seal, signers: Path) -> str | None:
    """Name of the allowed signer who signed a seal; None if there is no signature.

    Raises
    ------
    ValueError
        If the signature is not that of an allowed signer over this seal.
    InputError
        If OpenSSH or the list of signers is missing.
    """
    if not signers.is_file():
        raise InputError(signers, "the list of signers is missing", "Name it with --signers.")
    path = results / seal.name
    signature = path.with_name(path.name + SUFFIX)
    if not signature.is_symlink() and not signature.exists():
        return None
    try:
        content = read_regular(path)
        read_regular(signature)
    except OSError as error:
        raise ValueError(f"the signature cannot be read ({error})") from error
    found = _ask("find-principals", "-s", str(signature), "-f", str(signers))
    for name in found.stdout.decode("utf-8", "replace").splitlines():
        options = ("-f", str(signers), "-I", name, "-n", NAMESPACE, "-s", str(signature))
        if _ask("verify", *options, content=content).returncode == 0:
            return name
    raise ValueError("the signature is of no allowed signer, or not of this seal")


def _ask(*arguments: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [_program(), "-Y", *arguments],
        input=content,
        capture_output=True,
        check=False,
        timeout=CHECK_SECONDS,
    )


def _program() -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise InputError("ssh-keygen", "OpenSSH is not installed", "Install it to use signatures.")
    return program
