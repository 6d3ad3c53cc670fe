"""Networks: autoencoder, noise predictor, gradient estimator, semantic encoder."""
