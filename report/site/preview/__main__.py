"""Make the preview in a process of its own, which can be stopped with all that it started."""

from __future__ import annotations

import sys
from pathlib import Path

from report.site.preview import PreviewError, preview

if __name__ == "__main__":
    project, site, *profile = sys.argv[1:]
    try:
        preview(Path(project), Path(site), profile=profile[0] if profile else None)
    except PreviewError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.strerror or error}: {error.filename}")
