"""What is shown: figures and the slider panel."""
