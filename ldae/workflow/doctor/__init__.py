"""What a machine and a cluster are like for a study: checks that each fail alone."""
