"""The 33 classes of the model and the 54 labels of SynthSeg's training maps, with the tables that connect them.

"id" is a FreeSurfer id, "class" an output channel (0..32), "gen" an index into GEN (0..53), as the maps are stored.
"""

from __future__ import annotations

import numpy as np

CLASSES: list[tuple[int, str]] = [
    (0, "background"),
    (2, "left cerebral white matter"),
    (3, "left cerebral cortex"),
    (4, "left lateral ventricle"),
    (5, "left inferior lateral ventricle"),
    (7, "left cerebellum white matter"),
    (8, "left cerebellum cortex"),
    (10, "left thalamus"),
    (11, "left caudate"),
    (12, "left putamen"),
    (13, "left pallidum"),
    (14, "3rd ventricle"),
    (15, "4th ventricle"),
    (16, "brain-stem"),
    (17, "left hippocampus"),
    (18, "left amygdala"),
    (24, "CSF"),
    (26, "left accumbens area"),
    (28, "left ventral DC"),
    (41, "right cerebral white matter"),
    (42, "right cerebral cortex"),
    (43, "right lateral ventricle"),
    (44, "right inferior lateral ventricle"),
    (46, "right cerebellum white matter"),
    (47, "right cerebellum cortex"),
    (49, "right thalamus"),
    (50, "right caudate"),
    (51, "right putamen"),
    (52, "right pallidum"),
    (53, "right hippocampus"),
    (54, "right amygdala"),
    (58, "right accumbens area"),
    (60, "right ventral DC"),
]
"""(id, name) of every class, in the order of the output channels."""

CLASS_IDS = np.array([c[0] for c in CLASSES])
"""[33] ids, ascending."""
NCLASS = len(CLASSES)

# fmt: off
GEN = np.array([
    0, 14, 15, 16, 24, 72, 85, 502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530,
    2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 17, 18, 25, 26, 28, 30, 136, 137,
    41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 57, 58, 60, 62, 163, 164])
"""[54] labels of the maps in SynthSeg's order: background and 17 without a side, 18 left, 18 right (same order)."""
N_NEUTRAL, N_SIDED = 18, 18

SEG = np.array([
    0, 14, 15, 16, 24] + [0] * 13 + [
    2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 17, 18, 2, 26, 28, 0, 4, 5,
    41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 41, 58, 60, 0, 43, 44])
"""[54] id to be predicted for each gen: lesions count as white matter, choroid plexus as ventricle, vessels, optic
chiasm and 5th ventricle as background; CSF is kept, as in SynthSeg 2.0."""

TISSUE = np.array([
    0, 1, 1, 13, 1, 1, 2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
    2, 3, 1, 1, 4, 5, 6, 3, 7, 8, 3, 3, 10, 3, 9, 11, 12, 12,
    2, 3, 1, 1, 4, 5, 6, 3, 7, 8, 3, 3, 10, 3, 9, 11, 12, 12])
"""[54] tissue class (0..24) of each gen in the T1 priors (SynthSeg's `generation_classes_contrast_specific`)."""
# fmt: on

GEN_TO_CLASS = np.searchsorted(CLASS_IDS, SEG).astype(np.uint8)
"""[54] class of each gen."""

FLIP_GEN = np.arange(len(GEN))
"""[54] gen of the other side."""
FLIP_GEN[N_NEUTRAL:] = np.roll(FLIP_GEN[N_NEUTRAL:], N_SIDED)

EXTRA = GEN >= 500
"""[54] head tissue outside the meninges."""
OUT_OF_BRAIN = EXTRA | np.isin(GEN, [0, 24, 85, 30, 62])
"""[54] what a brain extraction may take away."""

RIGHT_TO_LEFT = {
    41: 2,
    42: 3,
    43: 4,
    44: 5,
    46: 7,
    47: 8,
    49: 10,
    50: 11,
    51: 12,
    52: 13,
    53: 17,
    54: 18,
    58: 26,
    60: 28,
}
"""id of a right structure -> id of its left counterpart."""

FLIP_CLASS = np.arange(NCLASS)
"""[33] class of the other side."""
for _r, _l in RIGHT_TO_LEFT.items():
    _i, _j = np.searchsorted(CLASS_IDS, [_r, _l])
    FLIP_CLASS[_i], FLIP_CLASS[_j] = _j, _i

_RGB = {
    0: (0, 0, 0),
    2: (245, 245, 245),
    3: (205, 62, 78),
    4: (120, 18, 134),
    5: (196, 58, 250),
    7: (220, 248, 164),
    8: (230, 148, 34),
    10: (0, 118, 14),
    11: (122, 186, 220),
    12: (236, 13, 176),
    13: (12, 48, 255),
    14: (204, 182, 142),
    15: (42, 204, 164),
    16: (119, 159, 176),
    17: (220, 216, 20),
    18: (103, 255, 255),
    24: (60, 60, 60),
    26: (255, 165, 0),
    28: (165, 42, 42),
}
COLOURS: list[tuple[int, int, int]] = [_RGB[RIGHT_TO_LEFT.get(i, i)] for i, _ in CLASSES]
"""Display colour of every class; both sides alike, as in FreeSurfer's viewers."""
