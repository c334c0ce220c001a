"""Errors whose message is meant for the person: what was wrong and what to do.

ImgragError
├── RequestError      a value of the request is out of range, empty, too long
├── ProfileError      a profile that does not exist or cannot be read
├── CheckpointError   a checkpoint is missing, unreachable or not what it should be
├── LibraryError      a library that does not exist, is empty or cannot be read
├── StyleError        a style that does not exist or cannot be read, or a LoRA that fits no generator here
├── MemoryBudgetError the models in use and the next one do not fit together
├── RecordError       a run that cannot be written, or not be read again
├── LeaseError        a GPU that is lent was not to be had, or was taken back
└── Cancelled         the person stopped the run
"""

from __future__ import annotations


class ImgragError(Exception):
    """The root of them all; its text may be shown as it is."""


class RequestError(ImgragError, ValueError):
    """A value of the request is out of range, empty or too long."""


class ProfileError(ImgragError):
    """A profile does not exist or cannot be read."""


class CheckpointError(ImgragError):
    """A checkpoint is missing, its hub cannot be reached, or it is not what it should be."""


class LibraryError(ImgragError):
    """A library does not exist, is empty or cannot be read."""


class StyleError(ImgragError):
    """A style does not exist or cannot be read, or its LoRA does not fit the generator."""


class MemoryBudgetError(ImgragError, MemoryError):
    """The models in use and the next one do not fit the budget together."""


class RecordError(ImgragError):
    """A run cannot be written, or what was written of one cannot be read."""


class LeaseError(ImgragError):
    """No GPU could be had where GPUs are lent, or it was taken back."""


class Cancelled(ImgragError):
    """The person stopped the run."""
