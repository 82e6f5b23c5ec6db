"""Uploads that go on where they were cut: a file comes piece by piece, to whichever instance."""
