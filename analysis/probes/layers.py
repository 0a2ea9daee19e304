"""Which layers of a network have maps that say something, found from the network itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn

from analysis.networks.classifier import Classifier
from analysis.probes.gradcam import grad_cam, gridded, layer_of
from analysis.probes.layouts import Layout, NoGrid, layout_of
from analysis.probes.random_weights import filled
from analysis.project.errors import UserError

# A map of fewer cells than 4×4 cannot distinguish a compact region from a diffuse one.
SMALLEST_MAP = 4
_IMAGES = 4
# A centre moves by half the map, and by less where all places are mixed; by chance up to 0.03.
_ASTRAY = 0.06
_TOO_SMALL = f"a map below {SMALLEST_MAP}×{SMALLEST_MAP} says nothing"
_NO_MAPS = "Leave [maps] out of the study"


def check_layers(classifier: Classifier, layers: Sequence[str]) -> None:
    """Raise ``UserError`` for layers whose maps are too small, zero everywhere, or not maps.

    It names a layer that works. Weights do not matter: a copy of the network has random ones.
    """
    trial = _Trial(classifier)
    for name in layers:
        layer_of(classifier, name)
        problem = trial.problem(name)
        if problem is None:
            continue
        works = trial.first()
        advice = f"Name an earlier layer, such as {works!r}" if works else _NO_MAPS
        if problem.endswith(_TOO_SMALL):
            advice += ", or raise network.size"
        raise UserError(f"maps.layers: the output of {name!r} {problem}.\n{advice}.")


def default_layers(classifier: Classifier) -> tuple[str, ...]:
    """Return the name of one layer that has maps: the last of timm's stages that does, if any.

    Raises ``UserError`` if no layer has.
    """
    found = _Trial(classifier).first()
    if found is None:
        name, size = classifier.architecture.network.model, classifier.size
        raise UserError(
            f"maps: no layer of {name!r} has a map of {SMALLEST_MAP}×{SMALLEST_MAP} or more at "
            f"input size {size}.\n{_NO_MAPS}."
        )
    return (found,)


@contextmanager
def _hooked(network: nn.Module, watched: Callable[[str], Callable[..., None]]) -> Iterator[None]:
    """Watch the output of every module of a network, by its name."""
    handles = [
        module.register_forward_hook(watched(name))
        for name, module in network.named_modules()
        if name
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Trial:
    """A copy of a network with random weights, whose layers are tried on noise."""

    def __init__(self, classifier: Classifier) -> None:
        generator = torch.Generator().manual_seed(0)
        self._copy = filled(classifier, generator, dtype=torch.float32)
        shape = (2, _IMAGES, classifier.channels, classifier.size, classifier.size)
        self._pixels, self._others = torch.rand(shape, generator=generator)

    def problem(self, name: str) -> str | None:
        """Return what is wrong with a layer, as the rest of a sentence about it, or nothing."""
        layout = self._layouts.get(name, "is not used")
        if isinstance(layout, str):
            return layout
        rows, columns = layout.rows, layout.columns
        if min(rows, columns) < SMALLEST_MAP:
            return f"is {rows}×{columns} at input size {self._copy.size}, and {_TOO_SMALL}"
        target = torch.zeros(_IMAGES, dtype=torch.long)
        try:
            maps = grad_cam(self._copy, self._pixels, layer=name, target=target, positive=False)
        except UserError as error:
            return str(error).partition(f"{name!r} ")[2].rstrip(".") or "has no map"
        if not maps.any():
            return "does not decide the logits: its map is zero everywhere"
        along, astray = self._moves(name)
        if astray > max(along, _ASTRAY):
            return "does not lie as the image does: its cells are not in reading order"
        return None

    def first(self) -> str | None:
        """Return the name of the likeliest layer without a problem."""
        features, others = self._likely
        for name in features:
            if self.problem(name) is None:
                return name
        fair = None
        for name in others:
            if name in self._decisive and self.problem(name) is None:
                along, astray = self._moves(name)
                if along > astray:
                    return name
                # Such as the output of attention, where all cells change alike.
                fair = fair or name
        return fair

    @property
    def _likely(self) -> tuple[list[str], list[str]]:
        """Return layers whose maps are large enough, the likeliest first.

        The first are those that timm takes features from, from the last one backwards, and what the
        attention of a last block sees: after it only the class token may count. Others follow from
        the output to the input, blocks before single modules.
        """
        large = [
            name
            for name, layout in reversed(self._layouts.items())
            if isinstance(layout, Layout) and min(layout.rows, layout.columns) >= SMALLEST_MAP
        ]
        known = getattr(self._copy.network, "feature_info", None) or ()
        stages = [str(stage.get("module")) for stage in known if isinstance(stage, dict)]
        features = [f"{stage}{part}" for stage in reversed(stages) for part in ("", ".norm1")]
        modules = dict(self._copy.network.named_modules())
        blocks = [name for name in large if [*modules[name].children()]]
        return [name for name in features if name in large], [*dict.fromkeys(blocks + large)]

    @cached_property
    def _decisive(self) -> set[str]:
        """Return layers whose grids the logits depend on, found in one pass backward."""
        outputs = dict[str, Tensor]()

        def watched(name: str) -> Callable[..., None]:
            def watch(module: nn.Module, inputs: object, output: object) -> None:
                if isinstance(output, Tensor) and output.requires_grad:
                    outputs[name] = output

            return watch

        with _hooked(self._copy.network, watched):
            logits = self._copy(self._pixels[:1].clone().requires_grad_())
        if not logits.requires_grad:
            return set()
        try:
            gradients = torch.autograd.grad(
                logits[:, 0].sum(), [*outputs.values()], allow_unused=True
            )
        # What is written over has none; each layer is then tried by itself.
        except RuntimeError:
            return set(outputs)
        return {
            name
            for name, gradient in zip(outputs, gradients, strict=True)
            if gradient is not None
            and isinstance(layout := self._layouts.get(name), Layout)
            and layout.grid(gradient).any()
        }

    @cached_property
    def _layouts(self) -> dict[str, Layout | str]:
        """Return how the output of each module lies, or why it does not, as they were last used."""
        network, found = self._copy.network, dict[str, Layout | str]()

        def watched(name: str) -> Callable[..., None]:
            def watch(module: nn.Module, inputs: object, output: object) -> None:
                found.pop(name, None)
                try:
                    found[name] = layout_of(network, output, images=_IMAGES)
                except NoGrid as problem:
                    found[name] = str(problem)

            return watch

        with torch.no_grad(), _hooked(network, watched):
            self._copy(self._pixels)
        return found

    def _moves(self, name: str) -> tuple[float, float]:
        """Return how far the centre of what changes in a layer moves as the image does, and astray.

        Each quarter of the images is replaced in turn. Down it should move down the rows, and
        across it along the columns, by the first value at least. It does not among the queries and
        keys of attention, or where patches are in another order: by the second at most it moves
        along the columns for down, or down the rows for across. Both are shares of the map.
        """
        before, half = self._output(name, self._pixels), self._copy.size // 2
        moves = torch.zeros(2, 2)
        for down, across in itertools.product((False, True), repeat=2):
            rows, columns = (slice(half, None) if far else slice(half) for far in (down, across))
            pixels = self._pixels.clone()
            pixels[..., rows, columns] = self._others[..., rows, columns]
            change = (self._output(name, pixels) - before).abs().sum(dim=(0, 1))
            along = (torch.linspace(0, 1, cells) for cells in change.shape)
            centre = torch.stack(
                [(change.sum(dim=1 - axis) * place).sum() for axis, place in enumerate(along)]
            )
            sign = torch.tensor([down, across]) * 2.0 - 1
            moves += torch.outer(sign, centre / change.sum()) / 2
        least = moves.diagonal().min().item()
        return least, moves.fill_diagonal_(0).abs().max().item()

    @torch.no_grad()
    def _output(self, name: str, pixels: Tensor) -> Tensor:
        """Return the output of a layer as a grid."""
        found = list[Tensor]()
        with gridded(self._copy, name, images=len(pixels)) as grid:
            grid.register_forward_hook(lambda module, inputs, output: found.append(output.clone()))
            self._copy(pixels)
        return found[-1]
