"""What guided networks are compared with, on one shared encoder: section 4.2's alternatives and the usual baselines.

Every network is called as those of `core.paper`: `network(support, annotation, query)` with support [B, S, 3, H, W] and
query [B, 3, H, W] in [0, 1] and annotation [B, S, 2, H, W] (weights of positive and of negative pixels) gives logits
[B, H, W]. Annotation is pooled to the feature cells by area; every annotated image counts equally, and an image without
annotated pixels changes nothing.

An `encoder` (see `encoders`) maps images [N, 3, H, W] in [0, 1], sides multiples of 32, to features [N, C, h, w].
"""

from __future__ import annotations

import copy
from importlib.util import find_spec

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guided_demo.core.paper import weighted_mean
from guided_demo.errors import InputError

# --- guided by annotated features ------------------------------------------------------------------------------------


class FeatureBaseline(nn.Module):
    """Encode, pool the annotation, score the query's cells (`score`), upsample bilinearly."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, support: Tensor, annotation: Tensor, query: Tensor) -> Tensor:
        shown = self.encoder(support.flatten(0, 1)).unflatten(0, support.shape[:2])
        asked = self.encoder(query)
        # Sums over many cells and solves lose too much in half precision.
        with torch.autocast(query.device.type, enabled=False):
            share = F.interpolate(annotation.flatten(0, 1).float(), shown.shape[-2:], mode="area")
            score = self.score(shown.float(), share.unflatten(0, support.shape[:2]), asked.float())
            return F.interpolate(score[:, None], query.shape[-2:], mode="bilinear", align_corners=False)[:, 0]

    def score(self, shown: Tensor, share: Tensor, asked: Tensor) -> Tensor:
        """Features [B, S, C, h, w] and annotated share [B, S, 2, h, w] of the support, query features [B, C, h, w]:
        logits [B, h, w]."""
        raise NotImplementedError


def means(shown: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Mean annotated feature per sign [B, 2, C], and which signs are annotated at all [B, 2] (0/1); zeros where not."""
    per_image = weighted_mean(shown[:, :, None], share[:, :, :, None], (-2, -1))  # [B, S, 2, C]
    seen = (share.sum((-2, -1)) > 0).float()  # [B, S, 2]
    return weighted_mean(per_image, seen[..., None], (1,)), seen.amax(1)


def equal_images(share: Tensor) -> Tensor:
    """Shares [B, S, 2, h, w] scaled so that each sign sums to 1, every image annotated with it in equal parts."""
    total = share.sum((-2, -1), keepdim=True)
    count = (total > 0).float().sum(1, keepdim=True)
    return share / torch.where(total > 0, total * count, torch.ones_like(total))


class Concatenation(FeatureBaseline):
    """The paper's late global guidance and head, on the shared encoder."""

    def __init__(self, encoder: nn.Module, channels: int, width: int = 128) -> None:
        super().__init__(encoder)
        self.head = nn.Sequential(
            nn.Conv2d(3 * channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, 1, 1)
        )

    def score(self, shown: Tensor, share: Tensor, asked: Tensor) -> Tensor:
        guidance = means(shown, share)[0].flatten(1)[:, :, None, None]
        return self.head(torch.cat([asked, guidance.expand(-1, -1, *asked.shape[-2:])], dim=1))[:, 0]


class Similarity(FeatureBaseline):
    """Logits from two cosines, to the class and to the rest, with a learned temperature.

    A side without annotation has a learned cosine instead: "unlike anything seen" is then the rest.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.log_temperature = nn.Parameter(torch.tensor(2.3))
        self.absent = nn.Parameter(torch.tensor(0.5))

    def logits(self, cosines: Tensor, seen: Tensor) -> Tensor:
        """cosines [B, 2, h, w] and seen [B, 2] to [B, h, w]."""
        cosines = torch.where(seen[:, :, None, None] > 0, cosines, self.absent)
        return self.log_temperature.exp() * (cosines[:, 0] - cosines[:, 1])


class Prototype(Similarity):
    """Cosine to the mean annotated feature (prototype retrieval)."""

    def score(self, shown: Tensor, share: Tensor, asked: Tensor) -> Tensor:
        prototypes, seen = means(shown, share)
        cosines = torch.einsum("bkc,bchw->bkhw", F.normalize(prototypes, dim=2), F.normalize(asked, dim=1))
        return self.logits(cosines, seen)


class NearestNeighbour(Similarity):
    """Cosine to the most similar annotated cell."""

    def score(self, shown: Tensor, share: Tensor, asked: Tensor) -> Tensor:
        cells = F.normalize(shown, dim=2).transpose(1, 2).flatten(2)  # [B, C, S*h*w]
        annotated = share.transpose(1, 2).flatten(2) > 0  # [B, 2, S*h*w]
        cosines = torch.einsum("bcn,bchw->bnhw", cells, F.normalize(asked, dim=1))
        best = [cosines.masked_fill(~annotated[:, k, :, None, None], -1).amax(1) for k in range(2)]
        return self.logits(torch.stack(best, dim=1), annotated.any(2).float())


class Ridge(FeatureBaseline):
    """Class-balanced ridge regression of +1 and -1 on the annotated cells, solved in closed form."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.log_penalty = nn.Parameter(torch.tensor(-3.0))
        self.scale = nn.Parameter(torch.tensor(4.0))
        self.shift = nn.Parameter(torch.tensor(0.0))

    def score(self, shown: Tensor, share: Tensor, asked: Tensor) -> Tensor:
        x = _with_constant(F.normalize(shown, dim=2).transpose(1, 2)).flatten(2)  # [B, C+1, N]
        weight = equal_images(share).transpose(1, 2).flatten(2)  # [B, 2, N]
        gram = torch.einsum("bcn,bn,bdn->bcd", x, weight.sum(1), x)
        penalty = self.log_penalty.exp() * torch.eye(x.shape[1], device=x.device)
        right = torch.einsum("bcn,bn->bc", x, weight[:, 0] - weight[:, 1])
        # Positive definite, so by Cholesky; the batched LU of torch.linalg.solve fails on some CPUs with two threads.
        solution = torch.cholesky_solve(right[..., None], torch.linalg.cholesky(gram + penalty))[..., 0]
        score = torch.einsum("bchw,bc->bhw", _with_constant(F.normalize(asked, dim=1)), solution)
        return self.scale * score + self.shift


def _with_constant(features: Tensor) -> Tensor:
    """Channels (dimension 1) with a one appended, which the solve turns into a bias."""
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


class ParameterRegression(FeatureBaseline):
    """The means are mapped to weight and bias of a 1x1 classifier on the query's features."""

    def __init__(self, encoder: nn.Module, channels: int) -> None:
        super().__init__(encoder)
        self.regress = nn.Sequential(nn.Linear(2 * channels, channels), nn.ReLU(), nn.Linear(channels, channels + 1))

    def score(self, shown: Tensor, share: Tensor, asked: Tensor) -> Tensor:
        parameters = self.regress(means(shown, share)[0].flatten(1))
        return torch.einsum("bchw,bc->bhw", _with_constant(asked), parameters)


# --- without guidance ------------------------------------------------------------------------------------------------


class ForegroundBackground(FeatureBaseline):
    """What usually is foreground: ignores the support altogether."""

    def __init__(self, encoder: nn.Module, channels: int, width: int = 128) -> None:
        super().__init__(encoder)
        self.head = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))

    def forward(self, support: Tensor, annotation: Tensor, query: Tensor) -> Tensor:
        features = self.encoder(query)
        return F.interpolate(self.head(features).float(), query.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


class FineTuned(nn.Module):
    """A foreground-background network optimised on the support of each task: the head alone, or all of it.

    Class and rest weigh the same in the loss, few points or dense masks, where plain cross-entropy would count pixels.
    With the whole network, more steps and all support of a class it is the fully supervised oracle. Meta-trained as its
    `base` is; the optimisation happens when evaluated, task after task.
    """

    minibatch = 8

    def __init__(self, base: ForegroundBackground, steps: int, rate: float, whole: bool) -> None:
        super().__init__()
        self.base, self.steps, self.rate, self.whole = base, steps, rate, whole

    def forward(self, support: Tensor, annotation: Tensor, query: Tensor) -> Tensor:
        if self.training:
            return self.base(support, annotation, query)
        tasks = zip(support, annotation, query, strict=True)
        return torch.cat([self.tune(s, a)(s[None], a[None], q[None]) for s, a, q in tasks])

    def tune(self, support: Tensor, annotation: Tensor) -> ForegroundBackground:
        """A copy of the base, optimised on one task's support [S, 3, H, W] and annotation [S, 2, H, W]."""
        network = copy.deepcopy(self.base)
        annotated = annotation.flatten(1).any(1).nonzero()[:, 0].tolist()
        if not annotated:
            return network
        tuned = network if self.whole else network.head
        generator = np.random.default_rng(0)
        with torch.enable_grad():
            tuned.requires_grad_(True)
            optimiser = torch.optim.Adam(tuned.parameters(), lr=self.rate)
            for _ in range(self.steps):
                chosen = generator.permutation(annotated)[: self.minibatch]
                shown, marks = support[chosen], annotation[chosen].float()
                weight = equal_images(marks[None])[0]  # each sign sums to 1
                logits = network(shown, marks, shown)
                loss = (weight[:, 0] * F.softplus(-logits) + weight[:, 1] * F.softplus(logits)).sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return network.eval()


class PixelForest(nn.Module):
    """A random forest on the annotated pixels, as ilastik (Gaussian filters) and convpaint (network features) do.

    Needs scikit-image and scikit-learn, see `check_packages`. Features are Gaussian filters at five scales, or those of
    `encoder`, upsampled. Nothing is trained beforehand.
    """

    def __init__(self, encoder: nn.Module | None = None, trees: int = 50, pixels: int = 5000) -> None:
        super().__init__()
        self.encoder, self.trees, self.pixels = encoder, trees, pixels

    @staticmethod
    def check_packages() -> None:
        """Raises InputError if a package is missing, with what to do about it."""
        needed = {"scikit-image": "skimage", "scikit-learn": "sklearn"}
        missing = [package for package, module in needed.items() if find_spec(module) is None]
        if missing:
            raise InputError(f"A forest needs {' and '.join(missing)}; run `pip install {' '.join(missing)}` and try again.")

    @torch.no_grad()
    def forward(self, support: Tensor, annotation: Tensor, query: Tensor) -> Tensor:
        tasks = zip(support, annotation, query, strict=True)
        return torch.stack([torch.from_numpy(self._task(*task)) for task in tasks]).to(query.device)

    def _task(self, support: Tensor, annotation: Tensor, query: Tensor) -> np.ndarray:
        from sklearn.ensemble import RandomForestClassifier

        rows, truth = [], []
        generator = np.random.default_rng(0)
        for image, marks in zip(support, annotation.cpu().numpy() > 0, strict=True):
            if not marks.any():
                continue
            features = self._features(image)
            for sign in range(2):
                found = np.flatnonzero(marks[sign])
                found = generator.permutation(found)[: self.pixels // len(support)]  # dense masks: a sample will do
                rows.append(features[found])
                truth.append(np.full(len(found), 1 - sign))
        labels = np.concatenate(truth) if truth else np.zeros(0, int)
        size = tuple(query.shape[-2:])
        if len(np.unique(labels)) < 2:  # nothing to tell apart
            return np.full(size, 10.0 if labels.any() else -10.0, np.float32)
        forest = RandomForestClassifier(self.trees, class_weight="balanced", random_state=0)
        forest.fit(np.concatenate(rows), labels)
        probability = forest.predict_proba(self._features(query))[:, 1].clip(1e-3, 1 - 1e-3)
        return np.log(probability / (1 - probability)).astype(np.float32).reshape(size)

    def _features(self, image: Tensor) -> np.ndarray:
        """[3, H, W] to [H * W, C] float32."""
        if self.encoder is not None:
            maps = F.interpolate(self.encoder(image[None]).float(), image.shape[-2:], mode="bilinear")[0]
            return maps.flatten(1).T.cpu().numpy()
        from skimage.feature import multiscale_basic_features

        pixels = image.permute(1, 2, 0).float().cpu().numpy()
        maps = multiscale_basic_features(pixels, channel_axis=-1, sigma_min=1, sigma_max=16)
        return maps.reshape(-1, maps.shape[-1]).astype(np.float32)
