"""Runs on a Ray cluster: one task a run, and one writer of the store.

A task gets the study, the images and what there is of its run already, works in a folder of its
own, and returns the run's files. The process that was started checks them and writes them into the
store, so that no disk has to be shared. Where the cache has the same path and is shared, a run that
lost its worker goes on from its checkpoint.
"""

from analysis.cluster.driver import OWN, run

__all__ = ["OWN", "run"]
