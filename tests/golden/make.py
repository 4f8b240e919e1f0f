#!/usr/bin/env python3
"""Build the golden cases, or check that transformers still says what is recorded of them."""

import argparse
import json
import shutil
import zlib
from pathlib import Path

import torch
from torch import nn

import pictures
import plain
import reference
import stored
import texts
from architectures import PREPROCESSOR
from cases import CASES, Case
from weights import random_weights

FOLDER = Path(__file__).parent / "cases"
BYTES_MAX = 7_000_000
FILE_BYTES_MAX = 600_000
TOLERANCE = 2e-5  # of the largest logit: another machine rounds differently


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", action="append", metavar="NAME", help="this case, or those that begin so")
    arguments.add_argument("--check", action="store_true", help="compute the logits again and compare")
    arguments = arguments.parse_args()
    torch.set_num_threads(1)
    if not arguments.only and not arguments.check:
        shutil.rmtree(FOLDER, ignore_errors=True)
    for case in CASES:
        if not arguments.only or any(case.name.startswith(name) for name in arguments.only):
            print(f"{case.name:40}", check(case) if arguments.check else build(case), flush=True)
    total = sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file())
    print(f"{len(CASES)} cases, {total / 1e6:.2f} MB")
    assert total < BYTES_MAX, "the cases are too large together"


def build(case: Case) -> str:
    """Write the folder of a case afresh; what is recorded is computed from the files written."""
    folder = FOLDER / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seed = zlib.crc32(case.name.encode())
    if case.images:
        plain.write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    for image in case.images:
        pictures.paint(image, folder)
    config = reference.configuration(case.config)
    weights = random_weights(reference.fresh(config, case.config), config, seed)
    case.alter(weights)
    case.write(weights, case.config, folder)
    model, images = open_case(case, folder)
    ids = texts.choose(case, seed, lambda ids: reference.logits(model, ids, images))
    logits = reference.logits(model, ids, images)
    write_expected(folder, case, ids, logits)
    assert 0.8 < logits.std() < 4, f"logits of {case.name} have a deviation of {logits.std()}"
    sizes = [file.stat().st_size for file in folder.iterdir()]
    assert max(sizes) < FILE_BYTES_MAX, f"a file of {case.name} is too large"
    return f"{sum(sizes) / 1000:6.0f} kB   std {logits.std():.2f}"


def check(case: Case) -> str:
    """Compare what transformers says now with what is recorded."""
    folder = FOLDER / case.name
    expected = json.loads((folder / "expected.json").read_text())
    recorded = torch.tensor(expected["logits"])
    model, images = open_case(case, folder)
    error = (reference.logits(model, expected["ids"], images) - recorded).abs().max() / recorded.abs().max()
    assert error < TOLERANCE, f"{case.name} is off by {error}"
    return f"off by {error:.1e}"


def open_case(case: Case, folder: Path) -> tuple[nn.Module, list[Path]]:
    """The model that the stored files are, and the pictures it is shown. A GGUF file's configuration is the case's."""
    config = stored.config(folder) or case.config
    model = reference.loaded(config, lambda names: stored.read(folder, names))
    return model, [folder / image for image in case.images]


def write_expected(folder: Path, case: Case, ids: list[int], logits: torch.Tensor) -> None:
    """A row of logits a line, seven digits a number."""
    rows = ",\n".join("[" + ",".join(f"{number:.7g}" for number in row) + "]" for row in logits.tolist())
    head = {"ids": ids} | ({"images": list(case.images)} if case.images else {})
    head |= {"note": case.note} if case.note else {}
    (folder / "expected.json").write_text(f'{json.dumps(head)[:-1]}, "logits": [\n{rows}\n]}}\n')


if __name__ == "__main__":
    main()
