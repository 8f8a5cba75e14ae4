"""What the audit does: the stages of dvc.yaml, and what they share.

A stage is the module, or the package, of its name: it reads tables, calls the
library, writes tables, and declares itself in ``STAGE``. Beside the stages
stand what several of them need (places of files, parameters, models, the common
part of the gates) and the pages that are made of declarations. Figures of
images, maps and samples are computed by the library; counting, joining and
laying out is done here. Nothing here knows DVC or Prefect.

Importing it fixes the threads of numpy's BLAS, which reads their number once.
"""

import os

# By default it takes as many as the machine has cores, and long sums then end in other bits.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
