"""From texts to answers: loading a trained model, predicting rows and spans, comparing two models."""
