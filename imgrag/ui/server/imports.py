"""The heavy imports of a first run, made in the background while the person still types.

Two threads that import the same packages at once can see half of a module. So a run waits until
the imports under way are through; the page itself never does.
"""

from __future__ import annotations

import logging
import threading

from imgrag.logs import log_event
from imgrag.models.clip import import_clip

log = logging.getLogger(__name__)
_under_way = threading.Lock()
_failed = threading.Event()


def announce() -> None:
    """Let runs wait from now on; to be called before the page is up, and `begin` after it."""
    _under_way.acquire()


def begin() -> None:
    """Start importing in a thread of its own, and let runs go when it is through."""
    threading.Thread(target=_import, name="imports", daemon=True).start()


def wait() -> None:
    """Return at once, or when the imports under way are through."""
    with _under_way:
        return


def ready() -> bool:
    """Whether a run could begin at once; never again after imports that failed."""
    return not (_under_way.locked() or _failed.is_set())


def _import() -> None:
    """Classes are named because these packages import a module only when something of it is asked for."""
    try:
        from diffusers import AutoPipelineForText2Image  # noqa: F401
        from transformers import (  # noqa: F401
            AutoModelForCausalLM,
            AutoProcessor,
            AutoTokenizer,
            Qwen2_5_VLForConditionalGeneration,
        )

        import_clip()
    except Exception as error:  # noqa: BLE001  the page stays up and tells it to whoever asks
        _failed.set()
        log_event(log, "imports_failed", level=logging.ERROR, error=error)
    finally:
        _under_way.release()
