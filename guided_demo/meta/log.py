"""The log of a training run: losses and validation scores by step, as JSON lines, and as a picture."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

from ..errors import InputError
from ..files import write_atomic


class Log:
    """What is kept at `path`, up to `step` where a run goes on; every line is on the disk as soon as it is known."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        try:
            lines = path.read_text("utf-8").splitlines(keepends=True) if path.is_file() else []
            whole = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be cut short, as on a full disk
            self.lines = [line for line in whole if line["step"] <= step]
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(f"{path} is no log of training; delete it, and the run goes on without what it said.") from error
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in self.lines).encode())

    @property
    def scores(self) -> list[float]:
        return [line["iou"] for line in self.lines if line.get("iou") is not None]

    @property
    def recent(self) -> float:
        losses = [line["loss"] for line in self.lines[-50:] if "loss" in line]
        return sum(losses) / max(1, len(losses))

    def loss(self, step: int, loss: float) -> None:
        self._write({"step": step, "loss": round(loss, 5)})

    def validated(self, step: int, score: float | None) -> None:
        if score is not None:
            self._write({"step": step, "iou": round(score, 4)})

    def _write(self, line: dict) -> None:
        self.lines.append(line)
        with self.path.open("a") as out:
            out.write(json.dumps(line) + "\n")

    def plot(self, measured: str) -> bytes:
        """A PNG of the losses and of the scores, which are `measured`, as "held-out IoU"."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        losses = [(line["step"], line["loss"]) for line in self.lines if "loss" in line]
        smooth, value = [], 0.0
        for number, (_, loss) in enumerate(losses):
            keep = min(0.98, number / (number + 9))  # short at first, so that a short run is not shown as it began
            value = keep * value + (1 - keep) * loss
            smooth.append(value)
        left.plot([s for s, _ in losses], smooth)
        left.set(xlabel="step", ylabel="loss", title="Training loss, smoothed", xlim=(0, None))
        scores = [(line["step"], line["iou"]) for line in self.lines if "iou" in line]
        right.plot([s for s, _ in scores], [v for _, v in scores], marker="o")
        right.set(xlabel="step", ylabel=measured, title="Another image, 5 points", xlim=(0, None), ylim=(0, 1))
        buffer = BytesIO()
        figure.savefig(buffer, dpi=120)
        return buffer.getvalue()
