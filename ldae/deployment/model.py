"""A trained model in use: encode, reconstruct, edit, interpolate, predict."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from ldae.deployment.answers import (
    ASSUMED_GAP_MONTHS,
    GAP_ASSUMED,
    NO_DIAGNOSIS,
    SIMULATED,
    Decoded,
    Prediction,
)
from ldae.deployment.artefact import Artefact, read_artefact
from ldae.deployment.requests import AGE_RANGE, check_edit, find_device, position_of
from ldae.deployment.scans import Grid, Image, Opened, check_intensities, open_scan, preprocess
from ldae.errors import InputError
from ldae.models.inference import edit, encode_stochastic, lerp, sample, slerp
from ldae.references import resolve

if TYPE_CHECKING:
    from ldae.deployment.readout import Readout
    from ldae.evaluation.editing.directions import Direction
    from ldae.evaluation.probes.fitting import Probe
    from ldae.methods import Method
    from ldae.models.base import DiffusionAutoencoder, VisitFiller


class Model:
    """A trained model, from the results of a study or from an exported folder.

    Scans (:data:`ldae.deployment.scans.Image`) are raw T1-weighted heads in any orientation, which
    are preprocessed as the study's were; brains that this preprocessing has made, which are
    recognised by their grid; or voxels (H, W, D) in [0, 1], 0 outside the brain. The argument
    `preprocessed` says which where the grid would mislead. All methods raise
    :class:`ldae.errors.InputError` for a scan that cannot be used.

    Parameters
    ----------
    artefact
        Its files.
    device
        Where to compute.
    """

    def __init__(self, artefact: Artefact, device: torch.device) -> None:
        self.artefact = artefact
        self.device = device
        self.grid = Grid(artefact.config)

    def __repr__(self) -> str:
        name, device = self.method.name, str(self.device)
        return f"{type(self).__name__}(method={name!r}, shape={self.shape}, device={device!r})"

    @property
    def method(self) -> Method:
        """The method of the study."""
        return self.artefact.method

    @property
    def config(self) -> dict[str, Any]:
        """Complete settings of the study."""
        return dict(self.artefact.config)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid (H, W, D) of the scans, voxels to the right, to the front and upwards."""
        return self.grid.shape

    @property
    def affine(self) -> np.ndarray:
        """From voxel indices of the grid to MNI152 space, RAS mm, (4, 4)."""
        return self.grid.affine

    @property
    def digest(self) -> str:
        """SHA-256 of the weights and of the settings on which encoding depends."""
        return self.artefact.digest

    @property
    def steps(self) -> int:
        """Steps of the sampler unless others are asked for: those of the study's edits."""
        return int(self.artefact.config["evaluation"]["manipulation"]["n_steps"])

    @property
    def simulated(self) -> bool:
        """Whether it was trained on simulated participants."""
        return bool(self.artefact.config["cohort"]["source"] == "simulated")

    def encode(self, image: Image, *, preprocessed: bool | None = None) -> np.ndarray:
        """Semantic code of a scan, or of several scans as voxels (B, 1, H, W, D).

        Parameters
        ----------
        image, preprocessed
            The scan, see :class:`Model`.

        Returns
        -------
        numpy.ndarray
            float32 (dim,) of one scan, (B, dim) of several. Codes of the study's scans are those in
            its folder ``codes`` but for rounding.
        """
        if isinstance(image, Tensor | np.ndarray) and image.ndim != 3:
            x = torch.as_tensor(image).float()
            if tuple(x.shape[1:]) != (1, *self.shape):
                problem = f"have shape {tuple(x.shape)}, the model's grid is {self.shape}"
                raise InputError("voxels", problem, "Give (H, W, D), or (B, 1, H, W, D)")
            return self._codes(check_intensities("voxels", x))
        code: np.ndarray = self._codes(self.open(image, preprocessed=preprocessed).x)[0]
        return code

    def preprocess(self, path: str | Path) -> nib.Nifti1Image:
        """Bring a raw T1-weighted head onto the model's grid, as the study did with its own.

        SimpleITK works with one thread in this process from then on: it gives the same bits every
        time.

        Parameters
        ----------
        path
            NIfTI file.

        Returns
        -------
        nibabel.Nifti1Image
            float32 intensities in [0, 1], 0 outside the brain.

        Raises
        ------
        InputError
            If the scan cannot be preprocessed or exceeds a limit of the study's quality control, or
            if the study took its brain masks from elsewhere.
        MachineError
            If the machine failed, for want of memory or disk.
        """
        return self.grid.image(preprocess(Path(path), self.grid).volume)

    def open(self, image: Image, *, preprocessed: bool | None = None) -> Opened:
        """A scan on the model's grid, with the way back to its own; arguments as for `encode`."""
        return open_scan(image, self.grid, preprocessed=preprocessed)

    @torch.inference_mode()
    def reconstruct(
        self, image: Image | Opened, *, steps: int | None = None, preprocessed: bool | None = None
    ) -> Decoded:
        """A scan encoded to its semantic and stochastic code, and decoded again.

        Parameters
        ----------
        image, preprocessed
            The scan, see :class:`Model`.
        steps
            Steps of the sampler, each way; by default those of the study's edits.
        """
        scan = self._opened(image, preprocessed)
        y, z_T = self._invert(scan, steps)  # noqa: N806
        x_hat = self._decode(y, z_T, steps)[0]
        details = self._details("reconstruct", steps)
        return Decoded(scan.own_brain(x_hat), self.grid.image(x_hat), None, details)

    @torch.inference_mode()
    def edit(
        self,
        image: Image | Opened,
        attribute: str,
        *,
        amount: float | None = None,
        to_age: float | None = None,
        from_age: float | None = None,
        steps: int | None = None,
        preprocessed: bool | None = None,
    ) -> Decoded:
        """A scan moved along the direction of an attribute.

        Parameters
        ----------
        image, preprocessed
            The scan, see :class:`Model`.
        attribute
            ``age`` or ``diagnosis``.
        amount
            a, in root mean square standard deviations per entry of the code; positive is towards
            old age, or towards the patients.
        to_age
            Instead of `amount`, of age: years that the model shall read.
        from_age
            The participant's age at the scan; by default what the model reads.
        steps
            As for :meth:`reconstruct`.
        """
        if (amount is None) == (to_age is None):
            raise InputError(attribute, "how far to edit is unclear", "Give amount or to_age")
        check_edit(amount, to_age, from_age)
        direction, probe = self._direction(attribute), self._probe(attribute)
        scan = self._opened(image, preprocessed)
        y, z_T = self._invert(scan, steps)  # noqa: N806
        if amount is None:
            if to_age is None or not AGE_RANGE[0] <= to_age <= AGE_RANGE[1]:
                raise InputError("to_age", f"{to_age} is no age in years", "Give 0 to 120")
            read = float(probe.predict(y.double().cpu().numpy())[0])
            start = read if from_age is None else from_age
            amount = self._amount(attribute, to_age - start)
        moved = self._move(y, direction, amount)
        before, after = self._edited(y, moved, z_T, steps)
        readings = probe.predict(torch.cat([y, moved]).double().cpu().numpy())
        details = self._details("edit", steps) | {
            "attribute": attribute,
            "amount": round(amount, 6),
            "to_age": to_age,
            "from_age": from_age,
            "read_before": round(float(readings[0]), 4),
            "read_after": round(float(readings[1]), 4),
        }
        warnings = self._edit_warnings(amount)
        return self._changed(scan, before, after, details, warnings)

    @torch.inference_mode()
    def interpolate(
        self,
        a: Image | Opened,
        b: Image | Opened,
        *,
        at: float | None = None,
        months: tuple[float, float, float] | None = None,
        steps: int | None = None,
        preprocessed: bool | None = None,
    ) -> Decoded:
        """A scan between two visits of a participant; its own space is that of visit A.

        Parameters
        ----------
        a, b, preprocessed
            The scans of both visits, see :class:`Model`.
        at
            Position between 0 (visit A) and 1 (visit B).
        months
            Instead of `at`: months of visit A, of visit B, and of the visit to fill in. A model
            that was trained to fill in visits uses the time between them; with `at` alone it
            assumes ``ASSUMED_GAP_MONTHS``.
        steps
            As for :meth:`reconstruct`.
        """
        alpha = position_of(at, months)
        first, second = self._opened(a, preprocessed), self._opened(b, preprocessed)
        if (fill_in := self._diffusion.fill_in) is not None:
            return self._filled_in(fill_in, first, second, alpha, months)
        y_a, z_a = self._invert(first, steps)
        y_b, z_b = self._invert(second, steps)
        y, z_T = lerp(y_a, y_b, alpha), slerp(z_a, z_b, alpha)  # noqa: N806
        before, after = self._decode(torch.cat([y_a, y]), torch.cat([z_a, z_T]), steps)
        details = self._details("interpolate", steps) | {
            "at": alpha,
            "months": None if months is None else list(months),
        }
        return self._changed(first, before, after, details, ())

    def _filled_in(
        self,
        fill_in: VisitFiller,
        first: Opened,
        second: Opened,
        alpha: float,
        months: tuple[float, float, float] | None,
    ) -> Decoded:
        """A scan between two visits, by the part of the model that was trained for it."""
        from ldae.networks.residual import Visits

        gap = ASSUMED_GAP_MONTHS if months is None else months[1] - months[0]
        model = self._diffusion
        ends = [(first, 1 - alpha), (second, alpha)]
        ends = ends if gap > 0 else ends[::-1]  # the earlier visit comes first
        visits = [
            Visits(x, model.to_latent(x)) for x in (scan.x.to(self.device) for scan, _ in ends)
        ]
        share, time = (torch.tensor([v], device=self.device) for v in (ends[1][1], abs(gap)))
        filled = fill_in(visits[0], visits[1], share, time)[0, 0].float().cpu().numpy()
        details = {"operation": "interpolate", "at": alpha, "gap_months": abs(gap)}
        details |= {"months": None if months is None else list(months)}
        warnings = (GAP_ASSUMED,) if months is None else ()
        return self._changed(first, first.x[0, 0].float().numpy(), filled, details, warnings)

    def predict(
        self, image: Image | Opened, *, preprocessed: bool | None = None
    ) -> dict[str, Prediction]:
        """Age and disease score of a scan, with intervals of 90 %; no diagnosis.

        Parameters
        ----------
        image, preprocessed
            The scan, see :class:`Model`.

        Returns
        -------
        dict
            By attribute; one that the study's cohort does not know is not there.
        """
        from ldae.deployment.readout import ATTRIBUTES

        y = self._codes(self._opened(image, preprocessed).x)[0]
        warnings = (NO_DIAGNOSIS, *((SIMULATED,) if self.simulated else ()))
        return {
            name: Prediction(
                name, **self._readouts[task].predict(y),
                held_out=self._readouts[task].held_out, warnings=warnings,
            )
            for name, task in ATTRIBUTES.items()
            if task in self._readouts
        }  # fmt: skip

    def decoder(self) -> DiffusionAutoencoder:
        """The trained diffusion autoencoder.

        Raises
        ------
        InputError
            If the model only encodes.
        """
        return self._diffusion

    def semantic_encoder(self, x: Tensor) -> Tensor:
        """Semantic codes (B, dim) of scans (B, 1, H, W, D) on the model's grid and device."""
        codes: Tensor = self._encoder(x)
        return codes

    @cached_property
    def _encoder(self) -> Any:
        network = self.artefact.network
        weights = self.artefact.files[network.name]
        return resolve(str(network.encoder))(weights, self.device)

    @cached_property
    def _diffusion(self) -> DiffusionAutoencoder:
        from ldae.diffusion.schedule import NoiseSchedule

        network, method = self.artefact.network, self.method
        if network.model is None or method.sampler is None:
            problem = "the model has an encoder only, it cannot decode"
            raise InputError(method.name, problem, "Choose another method, such as ldae")
        for path in self.artefact.files.values():
            if not path.is_file():
                raise InputError(path, "there is no such file", "Run the study to its end")
        schedule = NoiseSchedule(**self.artefact.config["diffusion"]).to(self.device)
        load_network = resolve(network.model)
        found: DiffusionAutoencoder = load_network(
            self.artefact.files, schedule, self.shape, self.device
        )
        found.sampler = resolve(method.sampler)
        return found

    @cached_property
    def _readouts(self) -> dict[str, Readout]:
        return self.artefact.readouts()

    @cached_property
    def _directions(self) -> dict[str, Direction]:
        return self.artefact.directions()

    def _steps(self, steps: int | None) -> int:
        """Steps of the sampler, checked."""
        if steps is None:
            return self.steps
        most = int(self.artefact.config["diffusion"]["n_timesteps"])
        if not 1 <= steps <= most:
            raise InputError("steps", f"{steps} is not between 1 and {most}", "Choose another")
        return steps

    def _opened(self, image: Image | Opened, preprocessed: bool | None) -> Opened:
        if isinstance(image, Opened):
            return image
        return self.open(image, preprocessed=preprocessed)

    @torch.inference_mode()
    def _codes(self, x: Tensor) -> np.ndarray:
        codes: np.ndarray = self._encoder(x.to(self.device)).float().cpu().numpy()
        return codes

    def _invert(self, scan: Opened, steps: int | None) -> tuple[Tensor, Tensor]:
        """Semantic code (1, dim) and stochastic code (1, C, h, w, d)."""
        model, x = self._diffusion, scan.x.to(self.device)
        y = model.semantic_code(x)
        if y is None:
            raise InputError(self.method.name, "it has no semantic code", "Choose another method")
        return y, encode_stochastic(model, model.to_latent(x), y, self._steps(steps))

    def _decode(self, y: Tensor, z_T: Tensor, steps: int | None) -> np.ndarray:  # noqa: N803
        """Brains (B, H, W, D) in [0, 1]."""
        model = self._diffusion
        x_hat = model.from_latent(sample(model, z_T, y, self._steps(steps)))
        brains: np.ndarray = x_hat[:, 0].float().cpu().numpy()
        return brains

    def _edited(
        self,
        y: Tensor,
        moved: Tensor,
        z_T: Tensor,  # noqa: N803
        steps: int | None,
    ) -> np.ndarray:
        """Brains (2, H, W, D) in [0, 1] with the codes y and `moved`, (1, dim) each."""
        if self._diffusion.deformation is None:
            return self._decode(torch.cat([y, moved]), torch.cat([z_T, z_T]), steps)
        before = self._decode(y, z_T, steps)
        x_hat = torch.from_numpy(before)[:, None].to(self.device)
        after = edit(self._diffusion, x_hat, z_T, y, moved, self._steps(steps))
        return np.concatenate([before, after[:, 0].float().cpu().numpy()])

    def _move(self, y: Tensor, direction: Direction, amount: float) -> Tensor:
        from ldae.evaluation.editing.directions import manipulated_code

        return manipulated_code(y, direction, amount)

    def _direction(self, attribute: str) -> Direction:
        from ldae.deployment.readout import ATTRIBUTES

        task = ATTRIBUTES.get(attribute, "")
        if task not in self._directions:
            known = [name for name, task in ATTRIBUTES.items() if task in self._directions]
            problem = "the model has no direction of this attribute"
            raise InputError(attribute, problem, f"Choose one of {', '.join(known)}")
        return self._directions[task]

    def _probe(self, attribute: str) -> Probe:
        from ldae.deployment.readout import ATTRIBUTES

        return self._probes[ATTRIBUTES[attribute]]

    @cached_property
    def _probes(self) -> dict[str, Probe]:
        return self.artefact.probes()

    def _amount(self, attribute: str, years: float) -> float:
        """Amount of an edit after which the age that the model reads has changed by `years`."""
        from ldae.deployment.readout import gain_of

        if attribute != "age":
            raise InputError("to_age", f"it belongs to age, not to {attribute}", "Give amount")
        gain = gain_of(self._probe("age"), self._direction("age"))
        if not gain > 0:
            problem = "the model's direction of age does not raise the age that it reads"
            raise InputError("to_age", problem, "Give amount")
        return years / gain

    def _edit_warnings(self, amount: float) -> tuple[str, ...]:
        """Say that an edit goes further than the study has measured."""
        measured = [float(a) for a in self.artefact.config["evaluation"]["manipulation"]["amounts"]]
        if min(measured) <= amount <= max(measured):
            return ()
        return (
            f"the amount {amount:.3g} is outside {min(measured):g} to {max(measured):g}, for which "
            "the study has measured what edits do",
        )

    def _details(self, operation: str, steps: int | None) -> dict[str, Any]:
        return {"operation": operation, "steps": self._steps(steps)}

    def _changed(
        self,
        scan: Opened,
        before: np.ndarray,
        after: np.ndarray,
        details: dict[str, Any],
        warnings: tuple[str, ...],
    ) -> Decoded:
        """What changes between two decoded brains, on the scan and in template space."""
        own = scan.own_changed(after - before)
        images = self.grid.image(after), self.grid.image(after - before)
        return Decoded(own, *images, details, warnings)


def load(
    path: str | Path,
    method: str | None = None,
    *,
    seed: int | None = None,
    device: str | torch.device = "cpu",
) -> Model:
    """Load a trained model.

    Parameters
    ----------
    path
        A folder that ``ldae export`` has written, or the results of a finished study.
    method
        Method of the study, such as ``ldae``; by default the recommended one, else the first one
        under test. An exported folder has only one.
    seed
        Training seed; by default the first of the study.
    device
        Where to compute, such as ``cuda``.

    Raises
    ------
    InputError
        If the folder holds no model, or not this one, or a file of it was changed.
    """
    return Model(read_artefact(Path(path), method, seed), find_device(device))
