"""The page: put together in `demo`, a room a tab (`create`, `history`, `library`), and `server` for what is no tab.

It dispatches on the type of a run's events and knows nothing of models.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path

# Set before Gradio is imported. A folder of one's own for the files it serves (one a user and
# checkout) can be swept at start without touching those of other Gradio apps.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
_OWNER = zlib.crc32(f"{Path(__file__).parent}:{Path.home()}".encode())
os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()) / f"imgrag-page-{_OWNER:08x}"))

from imgrag.ui.demo import build_demo, launch  # noqa: E402  after the settings above

__all__ = ["build_demo", "launch"]
