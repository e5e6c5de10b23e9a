"""Starts the workers of `tests.jobs.workers` on the nodes of a cluster, by a name that the nodes can look up."""

from __future__ import annotations

from tests.jobs.workers import Launcher

launch = Launcher()
