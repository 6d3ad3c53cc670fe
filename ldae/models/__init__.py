"""Trained models behind one interface: encode, sample, reconstruct, interpolate."""
