"""`python -m bench`: see suite.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the files here import each other by their names, as scripts do

from suite import main

raise SystemExit(main())
