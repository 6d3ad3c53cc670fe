"""Networks: autoencoder, noise predictor, gradient estimator and semantic encoders."""
