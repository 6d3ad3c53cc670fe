"""Every method and network of a study, each an object in one place.

A *network* is what a study trains (or only initialises) once per training seed. A *method* is a row
of the tables: a model under test, a baseline, a trivial answer or the truth. Rules, evaluations,
tables and figures ask the objects here what a method is; nothing is read from how a name begins or
ends. A new method is registered in :mod:`ldae.methods.registry`, or in a module of one's own that
the setting ``plugins`` or the entry point group ``ldae.methods`` names (``METHODS`` and
``NETWORKS`` of that module).

Only the standard library is imported: this package is read whenever the Snakefile is.
"""

from ldae.methods.collection import Methods
from ldae.methods.curves import Snapshot, snapshot_name, study_snapshots
from ldae.methods.kinds import (
    SHARED_SECTIONS,
    Codes,
    Look,
    Method,
    Need,
    Network,
    Role,
    Space,
)
from ldae.methods.registry import DDIM, METHODS, MULTISTEP, NETWORKS, RECOMMENDED
from ldae.methods.study import (
    PLUGIN_GROUP,
    Plugin,
    Variant,
    describe_change,
    plugins,
    study_methods,
    study_networks,
    study_variants,
    unwanted_networks,
)

__all__ = [
    "DDIM", "METHODS", "MULTISTEP", "NETWORKS", "PLUGIN_GROUP", "RECOMMENDED", "SHARED_SECTIONS",
    "Codes", "Look", "Method", "Methods", "Need", "Network", "Plugin", "Role", "Snapshot", "Space",
    "Variant", "describe_change", "plugins", "snapshot_name", "study_methods", "study_networks",
    "study_snapshots", "study_variants", "unwanted_networks",
]  # fmt: skip
