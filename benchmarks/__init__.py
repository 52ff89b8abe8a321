"""What the app measures of itself. A benchmark prints; it never passes or fails."""
