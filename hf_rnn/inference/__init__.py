"""From texts to answers: loading, predicting, explaining."""
