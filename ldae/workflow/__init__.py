"""What the Snakefile and its jobs need: settings, plan, job entry, progress, containers."""
