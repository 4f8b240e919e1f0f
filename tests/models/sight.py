"""How Gemma's vision tower learns to see, before the model learns to say what it saw.

Why it exists: a transformer this small, shown pictures only through the words of an answer, would need
hours to tell a star from a circle. Three things make it minutes. The patch filters start as whitened
principal components of real patches, not as noise. Muon moves the matrices. And a throw-away linear
layer asks for colour and shape directly; the language model takes its place afterwards.
"""

import random

import torch
from torch import Tensor, nn

from pictures import COLOURS, SHAPES, THINGS, draw

SEED = 1956
ALBUM = 20_000  # different pictures, each looked at in four reflections
LOOKS = 100_000
BATCH = 128
LEARNING_RATE, MUON_RATE = 2e-3, 0.05
SMALLEST_VARIANCE = 1e-3  # components below it are not blown up


def learn_to_see(model: nn.Module, processor) -> None:
    """Train the tower and the projector of `model` on pictures as `processor` prepares them."""
    torch.manual_seed(SEED)
    album, truth = look_through(processor)
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    whiten(tower.embeddings.patch_embedding, normal(album[:2000]))
    nn.init.normal_(projector.mm_input_projection_weight, std=len(projector.mm_input_projection_weight) ** -0.5)
    guess = nn.Linear(projector.mm_input_projection_weight.shape[1], len(COLOURS) + len(SHAPES))
    matrices = [p for p in tower.encoder.parameters() if p.ndim == 2]
    others = [p for part in (tower, projector, guess) for p in part.parameters() if all(p is not m for m in matrices)]
    optimisers = [torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.01),
                  torch.optim.AdamW(others, lr=LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.98), fused=True)]
    steps = LOOKS // BATCH
    rate = lambda step: min(1.0, (step + 1) / 60) * (0.02 + 0.98 * (1 - step / steps))
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, rate) for o in optimisers]
    for step in range(steps):
        chosen = torch.randint(len(album), (BATCH,))
        pixels = normal(reflected(album[chosen], step))
        seen = guess(model.get_image_features(pixels).pooler_output.mean(1))  # (batch, colours + shapes)
        colour, shape = seen.split([len(COLOURS), len(SHAPES)], 1)
        loss = nn.functional.cross_entropy(colour, truth[chosen, 0]) + nn.functional.cross_entropy(shape, truth[chosen, 1])
        model.zero_grad()
        guess.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*matrices, *others], 1.0)
        for part in (*optimisers, *schedules):
            part.step()
        if step % 50 == 49:
            right = (colour.argmax(1) == truth[chosen, 0]) & (shape.argmax(1) == truth[chosen, 1])
            print(f"tower: step {step + 1}/{steps}, loss {loss.item():.3f}, right {right.float().mean():.2f}", flush=True)


def look_through(processor) -> tuple[Tensor, Tensor]:
    """An album: pixels u8 (pictures, 3, side, side), resized as the processor resizes, and truth
    (pictures, 2), the numbers of colour and shape."""
    dice = random.Random(SEED)
    things = [THINGS[i % len(THINGS)] for i in range(ALBUM)]
    resized = [processor.image_processor(draw(thing, dice), do_rescale=False, do_normalize=False)["pixel_values"][0]
               for thing in things]
    colours, shapes = list(COLOURS), list(SHAPES)
    truth = [(colours.index(thing.colour), shapes.index(thing.shape)) for thing in things]
    return torch.stack([torch.as_tensor(pixels) for pixels in resized]).byte(), torch.tensor(truth)


def normal(pixels: Tensor) -> Tensor:
    """u8 to the -1..1 that mean 0.5 and deviation 0.5 make of it."""
    return pixels.float() / 127.5 - 1


def reflected(pixels: Tensor, turn: int) -> Tensor:
    axes = [axis for bit, axis in ((1, 3), (2, 2)) if turn & bit]
    return pixels.flip(axes) if axes else pixels


@torch.no_grad()
def whiten(filters: nn.Conv2d, pixels: Tensor) -> None:
    """Set the filters to principal components of the pictures' patches, scaled to equal variance and
    mixed by a random rotation, so that every unit starts with a share of every detail."""
    side = filters.kernel_size[0]
    patches = pixels.unfold(2, side, side).unfold(3, side, side)  # (n, 3, rows, columns, side, side)
    patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)  # (patches, 3 * side * side)
    variance, components = torch.linalg.eigh(torch.cov((patches - patches.mean(0)).T))
    count = filters.out_channels
    scaled = components[:, -count:] / (variance[-count:] + SMALLEST_VARIANCE).sqrt()
    rotation = torch.linalg.qr(torch.randn(count, count)).Q
    weight = rotation @ scaled.T  # (count, 3 * side * side)
    filters.weight.copy_(weight.view_as(filters.weight))
    filters.bias.copy_(-weight @ patches.mean(0))
