"""What is kept on disk: paths, files, weights, cached tensors, results, images."""
