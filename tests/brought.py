"""Files as they are brought to a gallery, and what becomes of them."""

import numpy as np

from guided_demo.incoming import Intake
from guided_demo.naming import Naming

NAMES = ("background", "cat")
SIZE = (80, 60)
REGION = np.zeros((60, 80), np.uint8)
REGION[10:30, 20:50] = 1


def labels(workspace, name):
    annotation = workspace.session.annotation(Naming(workspace.session.images).find(name).key)
    return annotation.label_map(SIZE, workspace.session.class_names)


def take_in(workspace, files, progress=lambda *call: None):
    """Files that come all at once; returns what could not be used."""
    intake = Intake(workspace)
    for steps in (intake.take(files), intake.finish()):
        for name in steps:
            progress(intake.done, intake.known, name)
    return intake.problems
