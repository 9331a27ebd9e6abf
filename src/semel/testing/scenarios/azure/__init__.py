"""The scenarios of the commit on Azure Tables: writers, readers and upkeep meet over a table atomic in one partition.

Here the explorer sees inside a store: each request to the table is a step of its own.
"""

from semel.testing.scenarios.azure.catalogue import over_entities
from semel.testing.scenarios.azure.judge import CommitJudge
from semel.testing.scenarios.azure.parties import Setting

__all__ = ["CommitJudge", "Setting", "over_entities"]
