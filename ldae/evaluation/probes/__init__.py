"""Linear probes of the codes: fitting, and the tables of their scores."""
