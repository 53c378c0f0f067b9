"""What is shown: figures (images, plots, overviews) and the slider panel."""
