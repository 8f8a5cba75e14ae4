"""The checks that every method, dataset and architecture passes, a third party's too.

They need no test framework: each raises ContractError, an AssertionError, that
names the broken promise and how to mend it. A test of a plugin is one line:

    check_method("their_gradient", {"samples": 6})

With pytest, ``@pytest.mark.parametrize("check", method_checks("their_gradient"), ids=str)``
makes a test of each. Importing this package imports torch.
"""

from saliency_audit.testing.architectures import architecture_checks, check_architecture
from saliency_audit.testing.contract import Check, ContractError
from saliency_audit.testing.datasets import check_dataset, dataset_checks
from saliency_audit.testing.methods import check_method, method_checks

__all__ = [
    "Check",
    "ContractError",
    "architecture_checks",
    "check_architecture",
    "check_dataset",
    "check_method",
    "dataset_checks",
    "method_checks",
]
