"""Knowledge bases: short texts with a term, a source and a licence, found by words and by CLIP's vectors.

How they come in is in `reading`, where they are kept and how they are found in `base`, which there are in
`shelf`. All of it stands on the library's readers, engines and search.
"""

from __future__ import annotations

from imgrag.knowledge.base import KnowledgeBase, share_of_term
from imgrag.knowledge.reading import Report
from imgrag.knowledge.shelf import KnowledgeShelf, knowledge_folder

__all__ = ["KnowledgeBase", "KnowledgeShelf", "Report", "knowledge_folder", "share_of_term"]
