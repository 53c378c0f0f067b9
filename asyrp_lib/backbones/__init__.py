"""The frozen U-Nets: built, converted, loaded from a file, a folder or the Hub."""
