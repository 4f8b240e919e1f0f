"""The held-out pictures: some drawn afresh to count right answers, some kept as files beside the toy.

Why the files exist: an engine decodes, resizes and looks for itself, so its tests need real PNG, JPEG and
WebP files, every colour and shape, every kind of pixel a paint program saves, tiny ones and large ones.
The dice are not those of the training.
"""

import random
from pathlib import Path

from PIL import Image

import gallery
from gallery import Showing, after, message
from pictures import THINGS, Thing, draw

SEED = 2026
FRESH = 420  # drawn, asked about and thrown away
PASS = 0.95  # of the answers must be exactly right
LARGEST = 2000  # bytes of a file
MEASURED = "measured.safetensors"
LARGE, TINY, WIDE, TALL = (500, 380), (28, 28), (240, 140), (110, 170)
# Beside one picture of every thing: sizes the training never saw, and proportions.
SPECIAL = {
    "large_green_star.png": LARGE, "large_purple_triangle.png": LARGE, "large_orange_circle.palette.png": LARGE,
    "tiny_red_square.png": TINY, "tiny_blue_cross.png": TINY, "tiny_yellow_circle.png": TINY,
    "wide_blue_circle.png": WIDE, "wide_black_star.png": WIDE, "wide_red_triangle.png": WIDE,
    "tall_orange_square.png": TALL, "tall_green_cross.png": TALL, "tall_purple_circle.rgba.png": TALL,
    "tall_yellow_star.png": TALL,
}
TO_MEASURE = ["large_green_star.png", "tiny_red_square.png", "wide_blue_circle.png"]
# How the n-th thing is saved, where it is not as a plain RGB PNG.
ENCODINGS = {3: "jpg", 7: "webp", 9: "palette.png", 11: "rgba.png", 15: "jpg", 19: "lossless.webp", 21: "palette.png",
             23: "rgba.png", 27: "jpg", 30: "grey.png", 31: "webp", 33: "palette.png"}


def folder(toy: Path) -> Path:
    return toy.with_name(f"{toy.name}_pictures")


def held_out() -> list[Showing]:
    """Fresh pictures of every thing, each asked about in one of the wordings."""
    dice = random.Random(SEED + 1)
    kind = gallery.kinds()[0]
    things = [THINGS[i % len(THINGS)] for i in range(FRESH)]
    return [Showing([message(dice.choice(kind.prompts), 1)], kind.answer([thing]), [draw(thing, dice)])
            for thing in things]


def hang(folder: Path) -> list[tuple[list[str], Showing]]:
    """Draw and save every file; what to ask about which of them, and the right answers."""
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(SEED)
    wall = {f"{thing.colour}_{thing.shape}.{ENCODINGS.get(i, 'png')}": None for i, thing in enumerate(THINGS)}
    for name, canvas in (wall | SPECIAL).items():
        save(folder / name, dice, canvas)
    one, colour, shape, two, _ = gallery.kinds()
    plan = [(one, [name]) for name in (*wall, *SPECIAL)]
    plan += [(kind, [name]) for kind in (colour, shape) for name in dice.sample(list(wall), len(kind.prompts))]
    plan += [(two, dice.sample(list(wall), 2)) for _ in two.prompts]
    shown = [(names, asked(kind, names, folder, i)) for i, (kind, names) in enumerate(plan)]
    return [*shown, words_first(one, list(wall)[8], folder), talk(shown[4], shown[17]), talk(shown[22], shown[49])]


def asked(kind: gallery.Kind, names: list[str], folder: Path, turn: int) -> Showing:
    prompt = kind.prompts[turn % len(kind.prompts)]
    return Showing([message(prompt, len(names))], kind.answer([thing(n) for n in names]), read(folder, names))


def words_first(kind: gallery.Kind, name: str, folder: Path) -> tuple[list[str], Showing]:
    return [name], Showing([message(kind.prompts[0], 1, before=False)], kind.answer([thing(name)]), read(folder, [name]))


def talk(first: tuple[list[str], Showing], then: tuple[list[str], Showing]) -> tuple[list[str], Showing]:
    """Two questions, each with its picture, in one conversation."""
    return first[0] + then[0], after(first[1], then[1])


def thing(name: str) -> Thing:
    """What a file shows, by its name."""
    colour, shape = name.split(".")[0].split("_")[-2:]
    return Thing(colour, shape)


def read(folder: Path, names: list[str]) -> list[Image.Image]:
    pictures = [Image.open(folder / name) for name in names]
    for picture in pictures:
        picture.load()
    return pictures


def save(path: Path, dice: random.Random, canvas: tuple[int, int] | None) -> None:
    """Draw until the file is a small one."""
    while True:
        encode(draw(thing(path.name), dice, canvas), path)
        if path.stat().st_size <= LARGEST:
            return


def encode(picture: Image.Image, path: Path) -> None:
    """Save as the name's endings say."""
    endings = path.suffixes
    if ".palette" in endings:
        picture = picture.quantize(16, dither=Image.Dither.NONE)
    elif ".grey" in endings:
        picture = picture.convert("L")
    elif ".rgba" in endings:
        picture = see_through(picture)
    if endings[-1] == ".png":
        picture.save(path, optimize=True)
    else:
        picture.save(path, quality=85, lossless=".lossless" in endings)


def see_through(picture: Image.Image) -> Image.Image:
    """The picture with no ground, as a paint program saves a layer."""
    ground = picture.getpixel((0, 0))
    clear = picture.convert("RGBA")
    clear.putdata([(*pixel, 0 if pixel == ground else 255) for pixel in picture.getdata()])
    return clear
