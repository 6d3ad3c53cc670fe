"""Interactive slices of scans: one page that needs no network, made of a study or of files."""
