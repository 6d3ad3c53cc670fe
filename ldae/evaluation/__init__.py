"""What codes and models can do, measured on scans; no table is made here."""
