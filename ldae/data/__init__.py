"""A cohort on disk: BIDS tables, the table of scans, packed volumes and latents."""
