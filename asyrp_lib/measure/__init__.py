"""What is measured: scores, distances, intervals of confidence, speed."""
