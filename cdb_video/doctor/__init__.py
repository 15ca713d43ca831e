"""Checks a setup before a run: the machine, the lists, every clip. It changes nothing."""

from cdb_video.doctor.diagnose import diagnose
from cdb_video.doctor.findings import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
